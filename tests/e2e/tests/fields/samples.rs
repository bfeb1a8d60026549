//! Objects of each general kind that set every field, and the value of each field in OpenBao.

mod apps;
mod auth;
mod databases;
mod engines;
mod issuers;
mod policies;
mod roles;
mod sources;

pub use auth::KEY;
use serde_json::{Value, json};
pub use sources::Sources;

/// An object, and where OpenBao has the values of its fields.
pub struct Sample {
    pub kind: &'static str,
    pub name: &'static str,
    pub spec: Value,
    pub parts: Vec<Part>,
}

/// A resource of an object.
pub struct Part {
    /// Path that is read.
    pub read: &'static str,
    /// Path and method of a change by hand.
    pub write: &'static str,
    pub method: &'static str,
    /// Parameters that each change needs.
    pub needed: Value,
    pub rows: Vec<Row>,
}

/// A field and its value in OpenBao.
pub struct Row {
    pub field: &'static str,
    /// JSON pointer in the answer. After `policy#`, it is one in the text of a policy, and after `certificate#` one in the
    /// contents of a certificate. After `?` is a part of the text: of a policy after `policy?`, else of the value before it.
    pub pointer: &'static str,
    pub value: Value,
    pub change: Change,
    /// Value in OpenBao after the field is removed from the spec, for a field that gives access.
    pub default: Option<Value>,
}

/// A change by hand.
pub enum Change {
    /// Parameters of a request.
    Body(Value),
    /// OpenBao cannot change the value, or a change of another row shows it.
    Fixed,
    /// The value is a part of the path that is read, so that OpenBao can change it only with another resource.
    Place,
    /// The value is a part of a certificate. It never changes, because an issued certificate is signed.
    Issued,
    /// OpenBao does not return the value. The audit log has it in the request of the operator to the path.
    Sent,
}

impl Sample {
    pub fn fields(&self) -> Vec<&'static str> {
        self.parts.iter().flat_map(|part| part.rows.iter().map(|row| row.field)).collect()
    }
}

impl Row {
    /// The row of a field that has the value `default` after it is removed from the spec.
    pub fn resets(self, default: Value) -> Self {
        Self { default: Some(default), ..self }
    }
}

impl Part {
    /// A resource that the path `path` reads and changes.
    pub fn at(path: &'static str, needed: Value, rows: Vec<Row>) -> Self {
        Self { read: path, write: path, method: "POST", needed, rows }
    }

    pub fn written_at(self, write: &'static str) -> Self {
        Self { write, ..self }
    }
}

/// A field whose parameter `change` changes by hand.
pub fn row(field: &'static str, pointer: &'static str, value: Value, change: Value) -> Row {
    Row { field, pointer, value, change: Change::Body(change), default: None }
}

/// A field whose value is only read.
pub fn fixed(field: &'static str, pointer: &'static str, value: Value) -> Row {
    Row { field, pointer, value, change: Change::Fixed, default: None }
}

/// A field whose value is in the path.
pub fn place(field: &'static str) -> Row {
    Row { field, pointer: "", value: Value::Null, change: Change::Place, default: None }
}

/// A field whose value is in a certificate.
pub fn issued(field: &'static str, pointer: &'static str, value: Value) -> Row {
    Row { change: Change::Issued, ..fixed(field, pointer, value) }
}

/// A field whose value is in a request to the path only.
pub fn sent(field: &'static str, pointer: &'static str, value: Value) -> Row {
    Row { change: Change::Sent, ..fixed(field, pointer, value) }
}

/// A field whose value prevents the resource at the path.
pub fn absent(field: &'static str) -> Row {
    fixed(field, "", Value::Null)
}

/// Rows whose parameters have the name of the pointer.
pub fn rows(all: Vec<(&'static str, &'static str, Value, Value)>) -> Vec<Row> {
    let one = |(field, pointer, value, other): (&'static str, &'static str, Value, Value)| match other {
        Value::Null => fixed(field, pointer, value),
        other => row(field, pointer, value, json!({&pointer[1..]: other})),
    };
    all.into_iter().map(one).collect()
}

/// The settings of a mount, in a spec.
pub fn tune() -> Value {
    json!({
        "defaultLeaseTTL": "1h", "maxLeaseTTL": "87600h", "listingVisibility": "unauth", "auditNonHmacRequestKeys": ["r"],
        "auditNonHmacResponseKeys": ["s"], "passthroughRequestHeaders": ["X-P"], "allowedResponseHeaders": ["X-A"],
    })
}

/// The rows of a mount.
pub fn mount_rows() -> Vec<Row> {
    vec![
        row("description", "/description", json!("full"), json!({"description": "other"})),
        row("options", "/options", json!({"a": "1"}), json!({"options": {"a": "2"}})),
        fixed("sealWrap", "/seal_wrap", json!(true)),
        fixed("local", "/local", json!(true)),
        row(
            "tune.defaultLeaseTTL",
            "/config/default_lease_ttl",
            json!(3600),
            json!({"default_lease_ttl": "2h"}),
        ),
        row("tune.maxLeaseTTL", "/config/max_lease_ttl", json!(315_360_000), json!({"max_lease_ttl": "5h"})),
        row(
            "tune.listingVisibility",
            "/config/listing_visibility",
            json!("unauth"),
            json!({"listing_visibility": ""}),
        )
        .resets(json!("")),
        row(
            "tune.auditNonHmacRequestKeys",
            "/config/audit_non_hmac_request_keys",
            json!(["r"]),
            json!({"audit_non_hmac_request_keys": ["x"]}),
        )
        .resets(json!([])),
        row(
            "tune.auditNonHmacResponseKeys",
            "/config/audit_non_hmac_response_keys",
            json!(["s"]),
            json!({"audit_non_hmac_response_keys": []}),
        )
        .resets(json!([])),
        row(
            "tune.passthroughRequestHeaders",
            "/config/passthrough_request_headers",
            json!(["X-P"]),
            json!({"passthrough_request_headers": ["X-B"]}),
        )
        .resets(json!([])),
        row(
            "tune.allowedResponseHeaders",
            "/config/allowed_response_headers",
            json!(["X-A"]),
            json!({"allowed_response_headers": []}),
        )
        .resets(json!([])),
    ]
}

/// All samples. A connection comes before its roles and applications.
pub fn samples(sources: &Sources) -> Vec<Sample> {
    let all = [
        policies::samples(sources),
        engines::samples(&sources.ca),
        issuers::samples(),
        auth::samples(&sources.ca),
        roles::samples(&sources.ca),
        databases::samples(sources),
        apps::samples(sources),
    ];
    all.into_iter().flatten().collect()
}
