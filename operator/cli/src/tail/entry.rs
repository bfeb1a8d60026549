//! An audit entry of OpenBao.

use serde_json::Value;

use crate::style::line;

/// A request that OpenBao has answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) time: String,
    /// Namespace, without a slash at the end. Empty: the root namespace.
    namespace: String,
    operation: String,
    path: String,
    /// Name of the token.
    who: String,
    /// Address of the client.
    address: String,
    error: Option<String>,
}

/// The entries to show.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// Namespace of the requests, with those below it.
    pub(super) namespace: Option<String>,
}

impl Filter {
    pub(super) fn admits(&self, entry: &Entry) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| {
            let rest = entry.namespace.strip_prefix(namespace.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

impl Entry {
    /// The entry in a line of a log. None: the line is no answer to a request.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let entry: Value = serde_json::from_str(text).ok()?;
        if entry["type"] != "response" {
            return None;
        }
        let text = |path: &str| entry.pointer(path).and_then(Value::as_str).map(line);
        let request = |name: &str| text(&format!("/request/{name}")).unwrap_or_default();
        let own = text("/request/namespace/path").unwrap_or_default();
        // A request can name its namespace in the path in the place of a header.
        let full = format!("{own}{}", request("path"));
        let split = full.find("auth/").or_else(|| full.find("sys/")).filter(|at| own.is_empty() && *at > 0);
        let (namespace, path) =
            split.map_or((own.clone(), request("path")), |at| (full[..at].to_owned(), full[at..].to_owned()));
        Some(Self {
            time: text("/time")?,
            namespace: namespace.trim_end_matches('/').to_owned(),
            operation: request("operation"),
            path,
            who: text("/auth/display_name").unwrap_or_else(|| "anonymous".to_owned()),
            address: request("remote_address"),
            error: text("/error").filter(|error| !error.is_empty()),
        })
    }

    /// The entry on one line.
    pub(super) fn text(&self) -> String {
        let Self { time, namespace, operation, path, who, address, error } = self;
        let slash = if namespace.is_empty() { "" } else { "/" };
        let error = error.as_ref().map(|error| format!("  {error}")).unwrap_or_default();
        format!("{time}  {operation:6}  {namespace}{slash}{path}  {who}  {address}{error}\n")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn entry(namespace: &str, path: &str) -> String {
        json!({
            "type": "response", "time": "2026-11-28T12:00:00Z", "auth": {"display_name": "pipeline-42", "client_token": "hmac"},
            "request": {
                "operation": "read", "path": path, "namespace": {"path": namespace}, "remote_address": "10.0.0.7",
                "data": {"jwt": "canary"},
            },
            "response": {"data": {"value": "canary"}}, "error": "1 error occurred:\n\t* permission denied",
        })
        .to_string()
    }

    #[test]
    fn an_entry_shows_who_requested_what() {
        let shown = Entry::parse(&entry("org_1/", "secrets/kv/data/explicit/A")).unwrap().text();
        let expected = "2026-11-28T12:00:00Z  read    org_1/secrets/kv/data/explicit/A  pipeline-42  10.0.0.7  1 error occurred: * permission denied\n";
        assert_eq!(shown, expected);
    }

    #[rstest]
    #[case("org_1/", "secrets/kv/data/A", true)]
    #[case("org_1/group_7/", "sys/mounts", true)]
    #[case("", "org_1/auth/pipeline_jwt/cel/login", true)]
    #[case("org_10/", "secrets/kv/data/A", false)]
    #[case("", "sys/mounts", false)]
    fn a_filter_admits_a_namespace_and_those_below_it(
        #[case] namespace: &str,
        #[case] path: &str,
        #[case] expected: bool,
    ) {
        let filter = Filter { namespace: Some("org_1".to_owned()) };
        let entry = Entry::parse(&entry(namespace, path)).unwrap();
        assert_eq!(filter.admits(&entry), expected);
        assert!(Filter::default().admits(&entry));
    }

    #[rstest]
    #[case("2026-11-28T12:00:00Z [INFO]  core: unsealed")]
    #[case(r#"{"type":"request","time":"2026-11-28T12:00:00Z"}"#)]
    fn other_lines_are_no_entries(#[case] text: &str) {
        assert_eq!(Entry::parse(text), None);
    }
}
