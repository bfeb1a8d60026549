//! Generated lists of all kinds: samples, table of contents, tables in the README and in the page about security.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use steamer_api::{KindId, Property};
use steamer_testing::cache::checkout;

use crate::{docs, manifests};

const START: &str = "<!-- kinds:start -->";
const END: &str = "<!-- kinds:end -->";

/// An entry of every list.
struct Kind {
    name: String,
    short: Option<String>,
    about: String,
    properties: &'static [Property],
    is_namespaced: bool,
}

impl Kind {
    /// Name of its sample and of its pages, without an ending.
    fn file(&self) -> String {
        self.name.to_lowercase()
    }

    fn is(&self, property: Property) -> bool {
        self.properties.contains(&property)
    }
}

/// Every generated list, as a whole file.
pub(crate) fn generated() -> Result<Vec<(PathBuf, String)>> {
    let kinds = kinds()?;
    let read = |path: &str| {
        std::fs::read_to_string(checkout().join(path)).with_context(|| format!("cannot read {path}"))
    };
    Ok(vec![
        (PathBuf::from("config/samples/kustomization.yaml"), samples(&kinds)),
        (PathBuf::from("docs/SUMMARY.md"), summary(&read("docs/SUMMARY.md")?, &kinds)?),
        (PathBuf::from("README.md"), with_table(&read("README.md")?, &README.text(&kinds))?),
        (PathBuf::from(SECURITY_PAGE), with_table(&read(SECURITY_PAGE)?, &SECURITY.text(&kinds))?),
    ])
}

/// Hand-written files that a kind needs and that do not exist below `root`.
pub(crate) fn missing(root: &Path) -> Vec<String> {
    let names = steamer_api::definitions().into_iter().map(|definition| definition.spec.names.kind);
    names
        .flat_map(|kind| {
            let file = kind.to_lowercase();
            [format!("config/samples/{file}.yaml"), format!("docs/kinds/{file}.md")]
                .map(|path| (kind.clone(), path))
        })
        .filter(|(_, path)| !root.join(path).is_file())
        .map(|(kind, path)| format!("{path} is missing: kind {kind} needs a sample and a page"))
        .collect()
}

fn kinds() -> Result<Vec<Kind>> {
    let mut kinds = Vec::new();
    for (definition, kind) in steamer_api::definitions().into_iter().zip(KindId::ALL) {
        let about = first_sentence(&docs::description(&definition)?).to_owned();
        let (names, is_namespaced) = (definition.spec.names, definition.spec.scope == "Namespaced");
        let short = names.short_names.and_then(|names| names.into_iter().next());
        kinds.push(Kind { name: names.kind, short, about, properties: kind.properties(), is_namespaced });
    }
    Ok(kinds)
}

/// The first sentence of `text`, without its period.
fn first_sentence(text: &str) -> &str {
    let sentence = text.split_once(". ").map_or(text, |(sentence, _)| sentence);
    sentence.strip_suffix('.').unwrap_or(sentence)
}

fn samples(kinds: &[Kind]) -> String {
    let samples = kinds.iter().map(|kind| format!("{}.yaml", kind.file()));
    manifests::kustomization(&["namespaces.yaml".to_owned()].into_iter().chain(samples).collect::<Vec<_>>())
}

/// `text` with its list of kinds replaced: the lines that link to a page in `kinds/`.
fn summary(text: &str, kinds: &[Kind]) -> Result<String> {
    let is_kind = |line: &&str| line.contains("(kinds/");
    let before: Vec<&str> = text.lines().take_while(|line| !is_kind(line)).collect();
    let after: Vec<&str> = text.lines().skip(before.len()).skip_while(is_kind).collect();
    let is_found = before.len() < text.lines().count();
    ensure!(
        is_found && !after.iter().any(is_kind),
        "docs/SUMMARY.md must contain one list of links to kinds/"
    );
    let list: Vec<String> =
        kinds.iter().map(|kind| format!("- [{}](kinds/{}.md)", kind.name, kind.file())).collect();
    let lines = before.into_iter().chain(list.iter().map(String::as_str)).chain(after);
    Ok(lines.map(|line| format!("{line}\n")).collect())
}

/// A table with one row for each kind.
struct Table {
    header: &'static str,
    row: fn(&Kind) -> String,
}

const SECURITY_PAGE: &str = "docs/security.md";
const README: Table =
    Table { header: "| kind | description | documentation |\n|---|---|---|\n", row: described };
const SECURITY: Table =
    Table { header: "| kind | written by | honored in |\n|---|---|---|\n", row: protected };

impl Table {
    fn text(&self, kinds: &[Kind]) -> String {
        let rows: String = kinds.iter().map(self.row).collect();
        format!("{}{rows}", self.header)
    }
}

/// `text` with the table between its two marks replaced.
fn with_table(text: &str, table: &str) -> Result<String> {
    let lacks = |mark: &str| format!("a page with a table of kinds does not contain the line {mark}");
    let (before, rest) = text.split_once(START).with_context(|| lacks(START))?;
    let (_, after) = rest.split_once(END).with_context(|| lacks(END))?;
    Ok(format!("{before}{START}\n{table}{END}{after}"))
}

/// Writers of a kind, and the namespaces in which it is honored.
fn protected(kind: &Kind) -> String {
    let writers = if kind.is(Property::Platform) { "platform team" } else { "role `edit` of the namespace" };
    let namespaces = match kind.is(Property::Restricted) {
        true => "`clusterNamespaces`",
        false if kind.is_namespaced => "every watched namespace",
        false => "the whole cluster, without `watchNamespaces`",
    };
    format!("| `{}` | {writers} | {namespaces} |\n", kind.name)
}

fn described(kind: &Kind) -> String {
    let Kind { name, short, about, .. } = kind;
    let short = short.as_ref().map(|short| format!(" (`{short}`)")).unwrap_or_default();
    let about = about.replace('|', "\\|");
    let file = kind.file();
    format!(
        "| `{name}`{short} | {about} | [page](docs/kinds/{file}.md), [reference](docs/reference/{file}.md) |\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Vec<Kind> {
        let kind = |name: &str, short: Option<&str>, properties| Kind {
            name: name.to_owned(),
            short: short.map(str::to_owned),
            about: format!("A {name} | more"),
            properties,
            is_namespaced: true,
        };
        let platform = &[Property::Platform, Property::Restricted];
        vec![kind("BaoAuth", None, &[]), kind("OpenBaoCluster", Some("obc"), platform)]
    }

    #[test]
    fn the_samples_start_with_the_namespaces() {
        let text = samples(&two());
        assert!(
            text.ends_with("resources:\n  - namespaces.yaml\n  - baoauth.yaml\n  - openbaocluster.yaml\n"),
            "{text}"
        );
    }

    #[test]
    fn the_summary_keeps_all_that_is_not_a_kind() {
        let text = "# Kinds\n\n- [Old](kinds/old.md)\n- [Older](kinds/older.md)\n\n# Next\n\n- [A](a.md)\n";
        let expected = "# Kinds\n\n- [BaoAuth](kinds/baoauth.md)\n\
            - [OpenBaoCluster](kinds/openbaocluster.md)\n\n# Next\n\n- [A](a.md)\n";
        assert_eq!(summary(text, &two()).unwrap(), expected);
        assert_eq!(summary(expected, &two()).unwrap(), expected);
        assert!(summary("# Kinds\n", &two()).is_err());
        assert!(summary("(kinds/a.md)\n\n(kinds/b.md)\n", &two()).is_err());
    }

    #[test]
    fn a_page_keeps_all_outside_its_marks() {
        let text = format!("before\n{START}\nold\n{END}\nafter\n");
        let expected = format!(
            "before\n{START}\n| kind | description | documentation |\n|---|---|---|\n\
            | `BaoAuth` | A BaoAuth \\| more | [page](docs/kinds/baoauth.md), \
            [reference](docs/reference/baoauth.md) |\n\
            | `OpenBaoCluster` (`obc`) | A OpenBaoCluster \\| more | [page](docs/kinds/openbaocluster.md), \
            [reference](docs/reference/openbaocluster.md) |\n{END}\nafter\n"
        );
        let table = README.text(&two());
        assert_eq!(with_table(&text, &table).unwrap(), expected);
        assert_eq!(with_table(&expected, &table).unwrap(), expected);
        assert!(with_table("no marks", &table).is_err());
    }

    #[test]
    fn the_page_about_security_states_the_writers_of_a_kind() {
        assert_eq!(
            SECURITY.text(&two()),
            "| kind | written by | honored in |\n|---|---|---|\n\
             | `BaoAuth` | role `edit` of the namespace | every watched namespace |\n\
             | `OpenBaoCluster` | platform team | `clusterNamespaces` |\n"
        );
    }

    #[test]
    fn a_description_is_cut_after_its_first_sentence() {
        assert_eq!(first_sentence("One. Two."), "One");
        assert_eq!(first_sentence("steamer.dev is one."), "steamer.dev is one");
        assert_eq!(first_sentence(""), "");
    }
}
