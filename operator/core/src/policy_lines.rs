//! Lines of a policy that permit a request which OpenBao denied.

use serde_json::json;

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
    let namespace = namespace.trim_matches('/');
    let path = path.trim_matches('/');
    let relative = path.strip_prefix(namespace).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path);
    let full = if namespace.is_empty() { path.to_owned() } else { format!("{namespace}/{relative}") };
    let mut capabilities = capabilities(method).to_vec();
    if requires_sudo(method, relative) {
        capabilities.push("sudo");
    }
    let listed: Vec<String> = capabilities.iter().map(|capability| format!("{capability:?}")).collect();
    // OpenBao adds the slash to the path of a list.
    let full = if matches!(method, "LIST" | "SCAN") { format!("{full}/") } else { full };
    format!("path {} {{ capabilities = [{}] }}", json!(full), listed.join(", "))
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
}
