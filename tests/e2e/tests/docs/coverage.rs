//! The page about coverage has a row for each path of OpenBao's API, and no other.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;
use steamer_openbao::Session;
use steamer_testing::cache::checkout;
use steamer_testing::tools;

/// Start of the paths of the mounts that the comparison creates. Their types follow.
const MOUNT: &str = "coverage-";
/// Types of secrets engines, and their names on the page.
const ENGINES: [(&str, &str); 9] = [
    ("database", "Database"),
    ("kubernetes", "Kubernetes"),
    ("kv-v1", "KV version 1"),
    ("kv-v2", "KV"),
    ("pki", "PKI"),
    ("rabbitmq", "RabbitMQ"),
    ("ssh", "SSH"),
    ("totp", "TOTP"),
    ("transit", "Transit"),
];
/// Types of auth methods, and their names on the page.
const METHODS: [(&str, &str); 6] = [
    ("approle", "AppRole"),
    ("cert", "Certificates"),
    ("jwt", "JWT and OIDC"),
    ("kubernetes", "Kubernetes"),
    ("oidc", "JWT and OIDC"),
    ("userpass", "Userpass"),
];
/// Sections of the page with paths.
const SECTIONS: [&str; 4] = ["System", "Identity", "Auth methods", "Secrets engines"];

/// Name of an engine or a method, empty for none, and path. A part of the path with any name is `<>`.
type Place = (String, String);

/// Compares the page with the list of paths of a server.
pub async fn compared(admin: &Session) -> Result<()> {
    for (family, types) in [("mounts", &ENGINES[..]), ("auth", &METHODS[..])] {
        for (type_, _) in types {
            let path = format!("sys/{family}/{MOUNT}{type_}");
            let mounted = admin.request_any(Method::POST, &path, Some(json!({"type": type_}))).await;
            mounted.with_context(|| path.clone())?;
        }
    }
    let answer = admin.request_any(Method::GET, "sys/internal/specs/openapi", None).await?;
    let paths = answer["paths"].as_object().context("OpenBao lists no paths")?;
    let places: Vec<Place> = paths.keys().filter_map(|path| place(path)).collect();
    let page = std::fs::read_to_string(checkout().join("docs/coverage.md"))?;
    let problems = problems(&places, &rows(&page));
    ensure!(problems.is_empty(), "docs/coverage.md: {}", problems.join("\n"));
    let (minor, _) = tools::OPENBAO.rsplit_once('.').context("no version")?;
    for text in [format!("OpenBao {minor} by path"), format!(": {} paths.", places.len())] {
        ensure!(page.contains(&text), "docs/coverage.md does not state `{text}`");
    }
    Ok(())
}

/// The place of a path. None for a path of another mount, and for the pattern that engines use during their upgrade.
fn place(path: &str) -> Option<Place> {
    let part = |part: &str| if part.starts_with('{') { "<>".to_owned() } else { part.to_owned() };
    let parts: Vec<String> = path.trim_matches('/').split('/').map(part).collect();
    let (first, rest) = parts.split_first().filter(|_| !path.contains('^'))?;
    let named = |names: &[(&str, &str)], mount: &str| {
        let type_ = mount.strip_prefix(MOUNT)?;
        names.iter().find(|(known, _)| *known == type_).map(|(_, name)| (*name).to_owned())
    };
    match (first.as_str(), rest) {
        ("sys" | "identity", _) => Some((String::new(), parts.join("/"))),
        ("cubbyhole", rest) => Some(("Cubbyhole".to_owned(), rest.join("/"))),
        ("auth", [mount, ..]) if mount == "token" => Some(("Token".to_owned(), parts.join("/"))),
        ("auth", [mount, rest @ ..]) => {
            Some((named(&METHODS, mount)?, format!("auth/<>/{}", rest.join("/"))))
        }
        (mount, rest) => Some((named(&ENGINES, mount)?, rest.join("/"))),
    }
}

/// The paths in the first column of the tables, with the name before them.
fn rows(page: &str) -> Vec<Place> {
    let mut section = "";
    let mut rows = Vec::new();
    for line in page.lines() {
        section = line.strip_prefix("## ").unwrap_or(section);
        let cell = line.strip_prefix("| ").and_then(|line| line.split('|').next());
        let Some(cell) = cell.filter(|_| SECTIONS.contains(&section)) else { continue };
        let mut texts = cell.split('`');
        let name = texts.next().unwrap_or_default().trim().trim_end_matches(':');
        rows.extend(texts.step_by(2).map(|path| (name.to_owned(), path.to_owned())));
    }
    rows
}

fn problems(places: &[Place], rows: &[Place]) -> Vec<String> {
    let is_row = |(of, pattern): &Place, (name, path): &Place| of == name && matches(pattern, path);
    let count = |place: &Place| rows.iter().filter(|row| is_row(row, place)).count();
    let wrong = places.iter().map(|place| (place, count(place))).filter(|(_, count)| *count != 1);
    let wrong = wrong.map(|((name, path), count)| format!("{name} {path} has {count} rows"));
    let unused = rows.iter().filter(|row| !places.iter().any(|place| is_row(row, place)));
    wrong.chain(unused.map(|(name, path)| format!("{name} {path} does not exist"))).collect()
}

/// Compares a path with one of the page. `*` at the end stands for any text and for nothing.
fn matches(pattern: &str, path: &str) -> bool {
    let mut found = path.split('/');
    for part in pattern.split('/') {
        let next = found.next();
        if let Some(start) = part.strip_suffix('*') {
            return next.map_or(start.is_empty(), |next| next.starts_with(start));
        }
        let is_same = |next: &str| next == part || (next == "<>" && part.starts_with('<'));
        if !next.is_some_and(is_same) {
            return false;
        }
    }
    found.next().is_none()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("sys/mounts/<path>", "sys/mounts/<>", true)]
    #[case("sys/mounts/<path>", "sys/mounts/<>/tune", false)]
    #[case("sys/mounts/<path>", "sys/mounts", false)]
    #[case("sys/audit/*", "sys/audit", true)]
    #[case("sys/audit/*", "sys/audit/<>", true)]
    #[case("sys/audit/*", "sys/audit-hash/<>", false)]
    #[case("sys/generate-root*", "sys/generate-root-token/update", true)]
    #[case("sys/generate-root*", "sys/generate", false)]
    #[case("issuer/<issuer>/sign/<role>", "issuer/<>/sign/<>", true)]
    #[case("issuer/<issuer>/sign/<role>", "issuer/<>/issue/<>", false)]
    fn a_path_matches_its_row(#[case] pattern: &str, #[case] path: &str, #[case] expected: bool) {
        assert_eq!(matches(pattern, path), expected);
    }

    #[test]
    fn a_row_has_the_name_before_its_paths() {
        let page =
            "## System\n\n| Paths | Object |\n|---|---|\n| `sys/a`, `sys/b/*` | X `y` |\n## Other\n| `c` |";
        let found = rows(&page.replace("| `sys/a`", "| KV: `data/<path>` | A |\n| `sys/a`"));
        let row = |name: &str, path: &str| (name.to_owned(), path.to_owned());
        assert_eq!(found, [row("KV", "data/<path>"), row("", "sys/a"), row("", "sys/b/*")]);
    }

    #[test]
    fn a_path_without_a_row_and_a_row_without_a_path_are_problems() {
        let places = [
            "/sys/a",
            "/coverage-pki/issuer/{ref}",
            "/coverage-kv-v2/^.*$",
            "/other/x",
            "/auth/coverage-jwt/role",
        ];
        let places: Vec<Place> = places.iter().filter_map(|path| place(path)).collect();
        let row = |name: &str, path: &str| (name.to_owned(), path.to_owned());
        let rows =
            [row("PKI", "issuer/<ref>"), row("PKI", "old"), row("JWT and OIDC", "auth/<mount>/role/*")];
        assert_eq!(problems(&places, &rows), [" sys/a has 0 rows", "PKI old does not exist"]);
    }
}
