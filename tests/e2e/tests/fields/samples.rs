//! Objects of each general kind that set every field, and the value of each field in OpenBao.

mod apps;
mod auth;
mod databases;
mod engines;
mod policies;

pub use auth::KEY;
use serde_json::{Value, json};

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
    /// JSON pointer in the answer. After `policy#`, it is one in the text of a policy. After `policy?` is a part of the text.
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
        fixed("local", "/local", json!(false)),
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
pub fn samples(postgres: u16, ca: &str) -> Vec<Sample> {
    let all = [
        policies::samples(),
        engines::samples(),
        auth::samples(ca),
        databases::samples(postgres, ca),
        apps::samples(),
    ];
    all.into_iter().flatten().collect()
}
