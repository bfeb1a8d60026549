//! One resource for each mechanism of the general kinds, with the specs of two installations and the request of a person.

use reqwest::Method;
use serde_json::{Value, json};

/// A resource that two installations, or an installation and a person, want in different states.
pub struct Contest {
    pub kind: &'static str,
    /// Name of the objects and of the resource.
    pub name: String,
    /// Start of the paths of all requests for the resource.
    pub path: String,
    /// Path that returns its state.
    pub state: String,
    /// Path that each pass over the resource reads or lists once.
    pub read: String,
    /// Specs of the first and the second installation, without the cluster.
    pub specs: [Value; 2],
    /// Text that only the state of the first spec contains.
    pub mark: &'static str,
    /// Method, path and body of the request of a person.
    pub edit: (Method, String, Value),
}

/// The specs, and the text that only the state of the first one contains.
type Wanted = ([Value; 2], &'static str);

impl Contest {
    /// `end` is what the path of the request of a person has after the path of the resource.
    fn new(
        prefix: &str,
        (kind, folder): (&'static str, &str),
        wanted: Wanted,
        (end, edit): (&str, Value),
    ) -> Self {
        let name = name(prefix, kind);
        let path = format!("{folder}/{name}");
        let (specs, mark) = wanted;
        let edit = (Method::POST, format!("{path}{end}"), edit);
        Self { kind, edit, name, state: path.clone(), read: path.clone(), path, specs, mark }
    }
}

fn name(prefix: &str, kind: &str) -> String {
    format!("{prefix}-{}", kind.to_lowercase())
}

/// The resources. Their names begin with the prefix. The mounts of [`MOUNTS`] and [`issuer_mount`] must exist, and the connection
/// [`BASE`].
pub fn contests(prefix: &str) -> Vec<Contest> {
    [
        mounts(prefix),
        access(prefix),
        others(prefix),
        certificates(prefix),
        databases(prefix),
        vec![app(prefix)],
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Mounts that the resources need, and their types.
pub const MOUNTS: [(&str, &str); 4] = [
    ("sys/mounts/transit", "transit"),
    ("sys/mounts/pki", "pki"),
    ("sys/mounts/database", "database"),
    ("sys/auth/approle", "approle"),
];

/// Mount of the issuer: two issuers of one mount share settings.
pub fn issuer_mount(prefix: &str) -> String {
    name(prefix, "PKIIssuer")
}

/// Secret with the login of the connections. OpenBao does not use it.
pub const LOGIN: &str = "database-login";
/// Connection of the database roles.
pub const BASE: &str = "base";

/// Spec of a connection to a server that does not exist, without the cluster.
pub fn connection(open: i64) -> Value {
    json!({
        "mount": "database", "plugin": "postgresql-database-plugin", "verify": false, "allowedRoles": ["*"],
        "connectionURL": "postgresql://{{username}}:{{password}}@127.0.0.1:9/app?sslmode=disable",
        "rootSecretRef": {"name": LOGIN}, "maxOpenConnections": open,
    })
}

fn mounts(prefix: &str) -> Vec<Contest> {
    let engine = |ttl: &str| json!({"type": "totp", "tune": {"maxLeaseTTL": ttl}});
    let auth = |ttl: &str| json!({"type": "approle", "tune": {"defaultLeaseTTL": ttl}});
    let space = |team: &str| json!({"customMetadata": {"team": team}});
    vec![
        Contest::new(
            prefix,
            ("SecretEngine", "sys/mounts"),
            (["2h", "3h"].map(engine), "\"max_lease_ttl\":7200"),
            ("/tune", json!({"max_lease_ttl": "5h"})),
        ),
        Contest::new(
            prefix,
            ("AuthMethod", "sys/auth"),
            (["1h", "2h"].map(auth), "\"default_lease_ttl\":3600"),
            ("/tune", json!({"default_lease_ttl": "5h"})),
        ),
        Contest::new(
            prefix,
            ("BaoNamespace", "sys/namespaces"),
            (["first", "second"].map(space), "\"team\":\"first\""),
            ("", json!({"custom_metadata": {"team": "person"}})),
        ),
    ]
}

fn access(prefix: &str) -> Vec<Contest> {
    let policy = |path: &str| json!({"rules": [{"path": path, "capabilities": ["read"]}]});
    let role = |ttl: &str| json!({"mount": "approle", "appRole": {"secretIDTTL": ttl}});
    let group = |policy: &str| json!({"policies": [policy]});
    vec![
        Contest::new(
            prefix,
            ("BaoPolicy", "sys/policies/acl"),
            (["kv/first/*", "kv/second/*"].map(policy), "kv/first/"),
            ("", json!({"policy": "path \"other\" { capabilities = [\"deny\"] }"})),
        ),
        Contest::new(
            prefix,
            ("BaoAuthRole", "auth/approle/role"),
            (["1h", "2h"].map(role), "\"secret_id_ttl\":3600"),
            ("", json!({"secret_id_ttl": "5h"})),
        ),
        Contest::new(
            prefix,
            ("IdentityGroup", "identity/group/name"),
            (["first", "second"].map(group), "\"policies\":[\"first\"]"),
            ("", json!({"policies": ["person"]})),
        ),
    ]
}

fn others(prefix: &str) -> Vec<Contest> {
    let key = |period: &str| json!({"mount": "transit", "autoRotatePeriod": period});
    // OpenBao accepts one quota for each path.
    let limited = format!("transit/encrypt/{}", name(prefix, "BaoRateLimitQuota"));
    let quota = |rate: i64| json!({"rate": rate, "path": limited});
    vec![
        Contest::new(
            prefix,
            ("TransitKey", "transit/keys"),
            (["720h", "48h"].map(key), "\"auto_rotate_period\":2592000"),
            ("/config", json!({"auto_rotate_period": "96h"})),
        ),
        Contest::new(
            prefix,
            ("BaoRateLimitQuota", "sys/quotas/rate-limit"),
            ([5000, 6000].map(quota), "\"rate\":5000"),
            ("", quota(7000)),
        ),
    ]
}

fn certificates(prefix: &str) -> Vec<Contest> {
    let role = |domain: &str| json!({"mount": "pki", "allowedDomains": [domain]});
    let mount = issuer_mount(prefix);
    let issuer = |url: &str| {
        let root = json!({"commonName": "Contested Root", "ttl": "700h"});
        json!({"mount": mount, "root": root, "urls": {"issuingCertificates": [url]}})
    };
    let state = format!("{mount}/issuer/{mount}");
    let edit = json!({"issuing_certificates": ["http://person/ca"]});
    vec![
        Contest::new(
            prefix,
            ("PKIRole", "pki/roles"),
            (["first.example.com", "second.example.com"].map(role), "first.example.com"),
            ("", json!({"allowed_domains": "person.example.com"})),
        ),
        Contest {
            kind: "PKIIssuer",
            name: mount.clone(),
            path: format!("{mount}/"),
            // The operator reads the issuer at the path with its ID.
            read: format!("{mount}/issuers"),
            // A POST would reset what the request does not state.
            edit: (Method::PATCH, state.clone(), edit),
            state,
            specs: ["http://first/ca", "http://second/ca"].map(issuer),
            mark: "http://first/ca",
        },
    ]
}

fn databases(prefix: &str) -> Vec<Contest> {
    let statements = ["CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'"];
    let role = |ttl: &str| json!({"connectionRef": {"name": BASE}, "creationStatements": statements, "defaultTTL": ttl});
    let edit = json!({"db_name": BASE, "creation_statements": statements, "default_ttl": "5h"});
    vec![
        Contest::new(
            prefix,
            ("DatabaseConnection", "database/config"),
            ([4, 6].map(connection), "\"max_open_connections\":4"),
            ("", json!({"max_open_connections": 9, "verify_connection": false})),
        ),
        Contest::new(
            prefix,
            ("DatabaseRole", "database/roles"),
            (["1h", "2h"].map(role), "\"default_ttl\":3600"),
            ("", edit),
        ),
    ]
}

/// An application: the contested resource is the role of its workload.
fn app(prefix: &str) -> Contest {
    let app = |ttl: &str| json!({"kv": {"mount": "kvv2"}, "runtime": {"tokenTTL": ttl}});
    Contest::new(
        prefix,
        ("SecretsApp", "auth/kubernetes/role"),
        (["1h", "2h"].map(app), "\"token_ttl\":3600"),
        ("", json!({"token_ttl": "30m"})),
    )
}
