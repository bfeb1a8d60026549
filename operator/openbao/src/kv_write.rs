//! Writes to KV engines, as audit entries report them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Operations that change a KV engine.
const WRITES: [&str; 4] = ["create", "update", "patch", "delete"];
/// Longest texts of a write together, in bytes. No object can name a longer path.
const LONGEST: usize = 8 << 10;
/// Start of the request in an entry. No text contains it: quotation marks in texts are escaped.
const REQUEST: &[u8] = br#""request":{"#;
/// Bytes at the start of an entry that contain its type.
const TYPE: usize = 128;

/// A successful write to a KV engine. It contains neither a value nor a digest of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KvWrite {
    /// OpenBao namespace without slashes at its ends. Empty: the root namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Path of the mount in its namespace, without slashes at its ends.
    pub mount: String,
    /// Path below the mount as requested, such as `data/web` of KV version 2.
    pub path: String,
}

/// Content of an audit entry.
#[derive(Debug, PartialEq, Eq)]
pub enum AuditEntry {
    /// A successful write to a KV engine.
    Write(KvWrite),
    /// Any other request or response.
    Other,
    /// Not an audit entry, or one of an unknown form.
    Malformed,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    error: Cow<'a, str>,
    #[serde(default, borrow)]
    request: Option<Request<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Request<'a> {
    #[serde(borrow)]
    operation: Cow<'a, str>,
    #[serde(borrow)]
    mount_point: Cow<'a, str>,
    #[serde(borrow)]
    mount_type: Cow<'a, str>,
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Namespace<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Namespace<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
}

impl AuditEntry {
    /// Parses an entry of an audit device with JSON format.
    #[must_use]
    pub fn parse(entry: &[u8]) -> Self {
        let Ok(Entry { kind, error, request }) = serde_json::from_slice::<Entry<'_>>(entry) else {
            return Self::Malformed;
        };
        if kind != "response" || !error.is_empty() {
            return Self::Other;
        }
        request.map_or(Self::Other, |request| request.write())
    }

    /// Parses the start of an entry that is too large. In the request, OpenBao writes the data, of any size, after the path.
    /// A refused write counts as a write, because the error is at the end of the entry.
    #[must_use]
    pub fn parse_start(start: &[u8]) -> Self {
        let Some(position) = find(start, REQUEST) else { return Self::Malformed };
        let (head, request) = start.split_at(position + REQUEST.len() - 1);
        let is_response = find(&head[..head.len().min(TYPE)], br#""type":"request""#).is_none();
        if !is_response || find(request, br#""mount_type":"kv""#).is_none() {
            return Self::Other;
        }
        // The request is complete if the response is large.
        let complete = serde_json::Deserializer::from_slice(request).into_iter::<Request<'_>>().next();
        if let Some(Ok(request)) = complete {
            return request.write();
        }
        let Some(end) = find(request, br#","data":"#) else { return Self::Malformed };
        let request = [&request[..end], b"}".as_slice()].concat();
        serde_json::from_slice::<Request<'_>>(&request).map_or(Self::Malformed, |request| request.write())
    }
}

/// Position of a text.
fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

impl Request<'_> {
    fn write(&self) -> AuditEntry {
        if self.mount_type != "kv" || !WRITES.contains(&&*self.operation) {
            return AuditEntry::Other;
        }
        let namespace = self.namespace.path.trim_matches('/');
        let mount = self.mount_point.trim_matches('/');
        // The mount is stated with its namespace, the path without.
        let mount = match namespace {
            "" => Some(mount),
            namespace => mount.strip_prefix(namespace).and_then(|mount| mount.strip_prefix('/')),
        };
        let write = mount.and_then(|mount| {
            let path = self.path.strip_prefix(mount)?.strip_prefix('/')?;
            let [namespace, mount, path] = [namespace, mount, path].map(str::to_owned);
            Some(KvWrite { namespace, mount, path })
        });
        match write {
            Some(write) if write.size() > LONGEST => AuditEntry::Other,
            Some(write) => AuditEntry::Write(write),
            None => AuditEntry::Malformed,
        }
    }
}

impl KvWrite {
    /// Number of bytes of its texts.
    #[must_use]
    pub fn size(&self) -> usize {
        self.namespace.len() + self.mount.len() + self.path.len()
    }
}

/// Answer of a relay: writes in the order of their responses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvWrites {
    /// ID of the process of the relay.
    pub epoch: String,
    /// Position of the first write that the answer does not contain. The positions of each process start at 0.
    pub next: u64,
    /// `true`: writes before these ones are not known, because the relay dropped them or the position is of another process.
    pub lost: bool,
    /// Time since the last audit entry of any kind, in milliseconds. `None`: no entry yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_milliseconds: Option<u64>,
    /// The writes.
    pub writes: Vec<KvWrite>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn entry(changes: &Value) -> Vec<u8> {
        let mut entry = json!({
            "time": "2026-11-28T09:00:00Z", "type": "response",
            "auth": {"accessor": "hmac-sha256:1", "policies": ["web"]},
            "request": {
                "id": "1", "operation": "update", "mount_point": "kv/", "mount_type": "kv", "path": "kv/data/web",
                "namespace": {"id": "root"}, "data": {"data": {"password": "hmac-sha256:2"}},
            },
            "response": {"mount_type": "kv", "data": {"version": 2}},
        });
        for (pointer, value) in changes.as_object().into_iter().flatten() {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            entry.pointer_mut(parent).unwrap()[key] = value.clone();
        }
        entry.to_string().into_bytes()
    }

    fn text(entry: &AuditEntry) -> String {
        match entry {
            AuditEntry::Write(KvWrite { namespace, mount, path }) => format!("{namespace}|{mount}|{path}"),
            AuditEntry::Other => "other".to_owned(),
            AuditEntry::Malformed => "malformed".to_owned(),
        }
    }

    #[rstest]
    #[case::update(json!({}), "|kv|data/web")]
    #[case::create(json!({"/request/operation": "create"}), "|kv|data/web")]
    #[case::patch(json!({"/request/operation": "patch"}), "|kv|data/web")]
    #[case::delete(json!({"/request/operation": "delete", "/request/path": "kv/metadata/a/b"}), "|kv|metadata/a/b")]
    #[case::first_version(json!({"/request/path": "kv/web"}), "|kv|web")]
    #[case::nested_mount(json!({"/request/mount_point": "a/kv/", "/request/path": "a/kv/data/x"}), "|a/kv|data/x")]
    #[case::namespace(
        json!({"/request/namespace": {"id": "1", "path": "org/web/"}, "/request/mount_point": "org/web/kv/"}),
        "org/web|kv|data/web"
    )]
    #[case::escaped(json!({"/request/path": "kv/data/a \"b\"\u{e9}"}), "|kv|data/a \"b\"\u{e9}")]
    #[case::request(json!({"/type": "request"}), "other")]
    #[case::refused(json!({"/error": "1 error occurred: permission denied"}), "other")]
    #[case::read(json!({"/request/operation": "read"}), "other")]
    #[case::list(json!({"/request/operation": "list"}), "other")]
    #[case::another_engine(json!({"/request/mount_type": "pki"}), "other")]
    #[case::without_a_request(json!({"/request": null}), "other")]
    #[case::path_of_another_mount(json!({"/request/path": "kv2/data/web"}), "malformed")]
    #[case::mount_of_another_namespace(json!({"/request/namespace": {"path": "org/"}}), "malformed")]
    #[case::long(json!({"/request/path": format!("kv/data/{}", "x".repeat(9000))}), "other")]
    fn an_entry_is_a_write_if_it_changed_a_kv_engine(#[case] changes: Value, #[case] expected: &str) {
        assert_eq!(text(&AuditEntry::parse(&entry(&changes))), expected);
    }

    #[rstest]
    #[case::write("response", r#"{"operation":"update","mount_point":"kv/","mount_type":"kv","namespace":{"id":"root"},"path":"kv/data/web","data":{"a":"x"#, "|kv|data/web")]
    #[case::request(
        "request",
        r#"{"operation":"update","mount_point":"kv/","mount_type":"kv","path":"kv/data/web","data":{"a":"x"#,
        "other"
    )]
    #[case::large_answer("response", r#"{"operation":"list","mount_point":"kv/","mount_type":"kv","path":"kv/metadata"},"response":{"data":{"keys":["a"#, "other")]
    #[case::login("response", r#"{"operation":"update","mount_point":"auth/jwt/","mount_type":"jwt","path":"auth/jwt/login","data":{"a":"x"#, "other")]
    #[case::without_a_mount("response", r#"{"operation":"update","path":"kv","data":{"a":"x"#, "other")]
    #[case::without_a_path(
        "response",
        r#"{"operation":"update","mount_point":"kv/","mount_type":"kv","pa"#,
        "malformed"
    )]
    fn the_start_of_a_large_entry_names_the_path(
        #[case] kind: &str,
        #[case] request: &str,
        #[case] expected: &str,
    ) {
        let start =
            format!(r#"{{"time":"t","type":"{kind}","auth":{{"policies":["web"]}},"request":{request}"#);
        assert_eq!(text(&AuditEntry::parse_start(start.as_bytes())), expected);
    }

    #[test]
    fn a_write_contains_no_value_and_no_digest() {
        let AuditEntry::Write(write) = AuditEntry::parse(&entry(&json!({}))) else { panic!("no write") };
        assert_eq!(serde_json::to_string(&write).unwrap(), r#"{"mount":"kv","path":"data/web"}"#);
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0_usize..400) {
            let _ = (AuditEntry::parse(&bytes), AuditEntry::parse_start(&bytes));
            let entry = entry(&json!({}));
            prop_assert_eq!(AuditEntry::parse(&entry[..cut.min(entry.len() - 1)]), AuditEntry::Malformed);
        }
    }
}
