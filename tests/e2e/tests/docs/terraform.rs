//! The page about coverage has each resource of the Terraform provider for Vault once.

use anyhow::{Result, ensure};
use steamer_testing::cache::checkout;

/// Resources of version [`VERSION`] of the provider, as the provider registers them, one per line.
const RESOURCES: &str = include_str!("terraform_resources.txt");
/// Version of the provider.
const VERSION: &str = "5.11.0";
/// Section of the page with the table.
const SECTION: &str = "## Comparison with the Terraform provider for Vault";

/// The texts in the first column of the table of a section.
fn patterns(page: &str) -> Vec<&str> {
    let section = page.split_once(SECTION).map(|(_, rest)| rest).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

/// `*` at the end stands for any text.
fn matches(pattern: &str, resource: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == resource, |start| resource.starts_with(start))
}

/// Resources that do not match one pattern, and patterns without a resource.
fn problems(patterns: &[&str], resources: &[&str]) -> Vec<String> {
    let count = |resource: &str| patterns.iter().filter(|pattern| matches(pattern, resource)).count();
    let wrong = resources.iter().map(|resource| (resource, count(resource))).filter(|(_, count)| *count != 1);
    let wrong = wrong.map(|(resource, count)| format!("{resource} has {count} rows"));
    let unused = patterns.iter().filter(|pattern| !resources.iter().any(|it| matches(pattern, it)));
    wrong.chain(unused.map(|pattern| format!("{pattern} is no resource"))).collect()
}

#[test]
fn the_table_has_each_resource_of_the_terraform_provider_once() -> Result<()> {
    let page = std::fs::read_to_string(checkout().join("docs/coverage.md"))?;
    let resources: Vec<&str> = RESOURCES.lines().collect();
    let problems = problems(&patterns(&page), &resources);
    ensure!(problems.is_empty(), "docs/coverage.md: {}", problems.join("\n"));
    let text = format!("The table has {} resources of version {VERSION} of the provider", resources.len());
    ensure!(page.contains(&text), "docs/coverage.md does not state `{text}`");
    Ok(())
}

#[test]
fn a_resource_without_a_row_and_with_two_rows_are_problems() {
    let page = format!(
        "| `x` | A |\n{SECTION}\n\n| Resources | Object |\n|---|---|\n| `a`, `b_*` | `y` |\n\n## Next\n| `c` |"
    );
    assert_eq!(patterns(&page), ["a", "b_*"]);
    let found = problems(&["a", "b_*", "b_one", "old"], &["a", "b_one", "b_two", "missing"]);
    assert_eq!(found, ["b_one has 2 rows", "missing has 0 rows", "old is no resource"]);
}
