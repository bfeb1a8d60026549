//! Lines of a policy that permit a request which OpenBao denied.

use std::collections::BTreeMap;

use serde_json::json;

/// Capabilities by path that requests need, as a policy in the root namespace states them.
pub type Needed = BTreeMap<String, Vec<&'static str>>;
/// Capabilities by path that a token has, as OpenBao returns them.
pub type Held = BTreeMap<String, Vec<String>>;

/// Capabilities in the order of a line.
const ORDER: [&str; 8] = ["create", "read", "update", "patch", "delete", "list", "scan", "sudo"];

/// Paths for which OpenBao also requires `sudo`, as a whole.
const SUDO_PATHS: [&str; 15] = [
    "auth/token/accessors",
    "auth/token/revoke-orphan",
    "sys/audit",
    "sys/config/auditing/request-headers",
    "sys/config/cors",
    "sys/config/ui/headers",
    "sys/leases",
    "sys/leases/lookup",
    "sys/raw",
    "sys/remount",
    "sys/rotate",
    "sys/rotate/keyring",
    "sys/rotate/root",
    "sys/seal",
    "sys/step-down",
];
/// Folders of paths for which OpenBao also requires `sudo`.
const SUDO_FOLDERS: [&str; 10] = [
    "sys/audit/",
    "sys/auth/",
    "sys/config/auditing/request-headers/",
    "sys/config/ui/headers/",
    "sys/internal/inspect/",
    "sys/leases/lookup/",
    "sys/leases/revoke-force/",
    "sys/leases/revoke-prefix/",
    "sys/plugins/catalog/",
    "sys/raw/",
];
/// Ends of paths for which OpenBao requires `sudo` in a PKI engine, with their methods.
const SUDO_ENDS: [(&str, &str); 2] = [("/root", "DELETE"), ("/root/sign-self-issued", "POST")];

/// Returns the line of a policy in the root namespace that permits a request: the line that an administrator adds when
/// OpenBao denies the request. `method` is an HTTP method or `LIST`. `path` is relative to `namespace`, or contains it, as
/// the path of a denied request does.
#[must_use]
pub fn policy_lines(namespace: &str, method: &str, path: &str) -> String {
    let (path, capabilities) = need(namespace, method, path);
    line(&path, &capabilities)
}

/// Returns what requests need: methods, or `LIST`, and paths from the root namespace.
#[must_use]
pub fn needed<'a>(requests: impl IntoIterator<Item = (&'a str, &'a str)>) -> Needed {
    let mut needed = Needed::new();
    for (method, path) in requests {
        let (path, capabilities) = need("", method, path);
        needed.entry(path).or_default().extend(capabilities);
    }
    needed
}

/// Returns the lines that a policy lacks. A line also contains what the token has at its path already: OpenBao applies only the
/// most specific rule, so that a line without it would take it away.
#[must_use]
pub fn lacking(needed: &Needed, held: &Held) -> Vec<String> {
    let missing = needed.iter().filter_map(|(path, capabilities)| {
        let held = held.get(path).map(Vec::as_slice).unwrap_or_default();
        let holds = |capability: &str| held.iter().any(|held| held == capability);
        let is_missing = !holds("root") && !capabilities.iter().all(|capability| holds(capability));
        let all = ORDER.into_iter().filter(|it| capabilities.contains(it) || holds(it));
        is_missing.then(|| line(path, &all.collect::<Vec<_>>()))
    });
    missing.collect()
}

/// The path of a rule that permits a request, and its capabilities.
fn need(namespace: &str, method: &str, path: &str) -> (String, Vec<&'static str>) {
    let namespace = namespace.trim_matches('/');
    let path = path.trim_matches('/');
    let relative = path.strip_prefix(namespace).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path);
    let full = if namespace.is_empty() { path.to_owned() } else { format!("{namespace}/{relative}") };
    let mut capabilities = capabilities(method).to_vec();
    if requires_sudo(method, relative) {
        capabilities.push("sudo");
    }
    // OpenBao adds the slash to the path of a list.
    let full = if matches!(method, "LIST" | "SCAN") { format!("{full}/") } else { full };
    (full, capabilities)
}

fn line(path: &str, capabilities: &[&str]) -> String {
    let listed: Vec<String> = capabilities.iter().map(|capability| format!("{capability:?}")).collect();
    format!("path {} {{ capabilities = [{}] }}", json!(path), listed.join(", "))
}

fn capabilities(method: &str) -> &'static [&'static str] {
    match method {
        "LIST" => &["list"],
        "SCAN" => &["scan"],
        "POST" | "PUT" => &["create", "update"],
        "PATCH" => &["patch"],
        "DELETE" => &["delete"],
        _ => &["read"],
    }
}

fn requires_sudo(method: &str, path: &str) -> bool {
    let path = below_namespaces(path);
    SUDO_PATHS.contains(&path)
        || SUDO_FOLDERS.iter().any(|folder| path.starts_with(folder))
        || SUDO_ENDS.iter().any(|(end, of)| *of == method && path.ends_with(end))
}

/// The path in its namespace: no namespace or mount has the name `sys`, and `auth/token` exists in each namespace.
fn below_namespaces(path: &str) -> &str {
    let starts = ["sys/", "auth/token/"].into_iter();
    let positions = starts.filter_map(|start| {
        let within = path.find(&format!("/{start}")).map(|position| position + 1);
        if path.starts_with(start) { Some(0) } else { within }
    });
    positions.min().and_then(|position| path.get(position..)).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::post(
        "team-a",
        "POST",
        "sys/mounts/kv",
        r#"path "team-a/sys/mounts/kv" { capabilities = ["create", "update"] }"#
    )]
    #[case::put("", "PUT", "kv/config", r#"path "kv/config" { capabilities = ["create", "update"] }"#)]
    #[case::get("", "GET", "sys/mounts", r#"path "sys/mounts" { capabilities = ["read"] }"#)]
    #[case::list("a/b", "LIST", "auth/jwt/role/", r#"path "a/b/auth/jwt/role/" { capabilities = ["list"] }"#)]
    #[case::patch("", "PATCH", "pki/roles/web", r#"path "pki/roles/web" { capabilities = ["patch"] }"#)]
    #[case::delete("", "DELETE", "pki/roles/web", r#"path "pki/roles/web" { capabilities = ["delete"] }"#)]
    #[case::slashes("/team-a/", "GET", "/x/", r#"path "team-a/x" { capabilities = ["read"] }"#)]
    #[case::with_its_namespace("team-a", "GET", "team-a/x", r#"path "team-a/x" { capabilities = ["read"] }"#)]
    #[case::similar_mount("team", "GET", "team-a/x", r#"path "team/team-a/x" { capabilities = ["read"] }"#)]
    #[case::auth_mount(
        "a",
        "POST",
        "sys/auth/jwt",
        r#"path "a/sys/auth/jwt" { capabilities = ["create", "update", "sudo"] }"#
    )]
    #[case::auth_tune(
        "",
        "GET",
        "sys/auth/a/jwt/tune",
        r#"path "sys/auth/a/jwt/tune" { capabilities = ["read", "sudo"] }"#
    )]
    #[case::auth_mounts("", "GET", "sys/auth", r#"path "sys/auth" { capabilities = ["read"] }"#)]
    #[case::in_the_path(
        "",
        "POST",
        "a/b/sys/auth/jwt",
        r#"path "a/b/sys/auth/jwt" { capabilities = ["create", "update", "sudo"] }"#
    )]
    #[case::audit(
        "",
        "POST",
        "sys/audit/file",
        r#"path "sys/audit/file" { capabilities = ["create", "update", "sudo"] }"#
    )]
    #[case::accessors(
        "",
        "LIST",
        "auth/token/accessors/",
        r#"path "auth/token/accessors/" { capabilities = ["list", "sudo"] }"#
    )]
    #[case::remount(
        "",
        "POST",
        "sys/remount",
        r#"path "sys/remount" { capabilities = ["create", "update", "sudo"] }"#
    )]
    #[case::pki_root("", "DELETE", "pki/root", r#"path "pki/root" { capabilities = ["delete", "sudo"] }"#)]
    #[case::quotes("", "GET", "kv/a\"b", r#"path "kv/a\"b" { capabilities = ["read"] }"#)]
    fn the_line_permits_the_request(
        #[case] namespace: &str,
        #[case] method: &str,
        #[case] path: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(policy_lines(namespace, method, path), expected);
    }

    const REQUESTS: [(&str, &str); 4] =
        [("GET", "kv/config"), ("POST", "kv/config"), ("DELETE", "pki/roles/web"), ("POST", "sys/auth/jwt")];

    fn held(path: &str, capabilities: &[&str]) -> Held {
        let capabilities = capabilities.iter().map(|&capability| capability.to_owned()).collect();
        Held::from([(path.to_owned(), capabilities)])
    }

    #[test]
    fn requests_of_one_path_have_one_line() {
        assert_eq!(
            lacking(&needed(REQUESTS), &Held::new()),
            [
                r#"path "kv/config" { capabilities = ["create", "read", "update"] }"#,
                r#"path "pki/roles/web" { capabilities = ["delete"] }"#,
                r#"path "sys/auth/jwt" { capabilities = ["create", "update", "sudo"] }"#,
            ]
        );
    }

    #[rstest]
    #[case::all(&["read", "update", "create"], None)]
    #[case::root(&["root"], None)]
    #[case::denied(&["deny"], Some(r#"["create", "read", "update"]"#))]
    #[case::some(&["read", "patch", "list"], Some(r#"["create", "read", "update", "patch", "list"]"#))]
    fn a_line_keeps_what_the_token_has_already(
        #[case] capabilities: &[&str],
        #[case] expected: Option<&str>,
    ) {
        let lines = lacking(&needed(REQUESTS[..2].iter().copied()), &held("kv/config", capabilities));
        let expected = expected.map(|listed| format!("path \"kv/config\" {{ capabilities = {listed} }}"));
        assert_eq!(lines, expected.into_iter().collect::<Vec<_>>());
    }
}
