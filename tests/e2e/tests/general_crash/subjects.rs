//! One object of each general kind.

use serde_json::{Value, json};

use crate::fields::KEY;

/// All objects, and what they create in OpenBao, have names that begin with this text: the fail point recognizes them by it.
pub const START: &str = "crashed-";

/// A path in OpenBao, a JSON pointer in its data, and the value there in each [`State`].
type Row = (&'static str, &'static str, [Value; 2]);

/// State of the objects.
#[derive(Clone, Copy)]
pub enum State {
    Created,
    Changed,
}

/// An object and a change of its spec.
pub struct Subject {
    pub kind: &'static str,
    pub name: &'static str,
    pub spec: Value,
    /// Merge patch of the spec.
    pub change: Value,
    /// End of the path that each pass reads once.
    pub read: &'static str,
    pub values: Vec<Row>,
}

impl Subject {
    fn new(kind: &'static str, name: &'static str, (spec, change): (Value, Value), values: Vec<Row>) -> Self {
        let path = values.first().map(|(path, ..)| *path).unwrap_or_default();
        // The namespace is in a header.
        let read = path.strip_prefix("crashed-group/").unwrap_or(path);
        Self { kind, name, spec: complete(kind, spec), change, read, values }
    }

    /// Returns true if the fail point counts the writes of the resource: its path contains the name of an object.
    pub fn is_counted(&self) -> bool {
        self.values.iter().any(|(path, ..)| path.contains(START))
    }
}

/// A spec with the cluster and `deletionPolicy: Delete`.
pub fn complete(kind: &str, mut spec: Value) -> Value {
    if kind != "DatabaseRole" {
        spec["clusterRef"] = json!({"name": "main"});
    }
    spec["deletionPolicy"] = json!("Delete");
    spec
}

/// The text of a policy.
pub fn policy(secret: &str) -> String {
    format!("path \"kvv2/data/{secret}\" {{ capabilities = [\"read\"] }}")
}

/// The same value in each state.
fn kept(value: Value) -> [Value; 2] {
    [value.clone(), value]
}

/// The objects, for a PostgreSQL server at that port.
pub fn subjects(port: u16) -> Vec<Subject> {
    [mounts(), access(), engines(), databases(port)].into_iter().flatten().collect()
}

fn mounts() -> Vec<Subject> {
    let auth = |issuer: &str| json!({"jwt": {"publicKeys": [KEY], "boundIssuer": issuer}});
    let mut jwt = auth("https://one.example.com");
    jwt["type"] = json!("jwt");
    vec![
        Subject::new(
            "SecretEngine",
            "crashed-engine",
            (
                json!({"type": "kv-v2", "description": "one", "config": {"maxVersions": 5}}),
                json!({"description": "two", "config": {"maxVersions": 6}}),
            ),
            vec![
                ("sys/mounts/crashed-engine", "/description", [json!("one"), json!("two")]),
                ("crashed-engine/config", "/max_versions", [json!(5), json!(6)]),
            ],
        ),
        // A secret parameter. The fail point does not count the writes at the path of the mount, as with a password.
        Subject::new(
            "SecretEngine",
            "crashed-secrets",
            (
                json!({"path": "secret-engine", "type": "rabbitmq", "description": "one", "configs": [broker("one")]}),
                json!({"description": "two", "configs": [broker("two")]}),
            ),
            vec![
                ("sys/mounts/secret-engine", "/description", [json!("one"), json!("two")]),
                ("sys/mounts/secret-engine", "/type", kept(json!("rabbitmq"))),
            ],
        ),
        Subject::new(
            "AuthMethod",
            "crashed-auth",
            (jwt, auth("https://two.example.com")),
            vec![
                ("sys/auth/crashed-auth", "/type", kept(json!("jwt"))),
                (
                    "auth/crashed-auth/config",
                    "/bound_issuer",
                    [json!("https://one.example.com"), json!("https://two.example.com")],
                ),
            ],
        ),
        Subject::new(
            "BaoNamespace",
            "crashed-space",
            (json!({"customMetadata": {"team": "one"}}), json!({"customMetadata": {"team": "two"}})),
            vec![("sys/namespaces/crashed-space", "/custom_metadata/team", [json!("one"), json!("two")])],
        ),
    ]
}

/// The configuration of an engine with a secret parameter.
fn broker(user: &str) -> Value {
    json!({
        "path": "connection",
        "parameters": {"connection_uri": "http://127.0.0.1:9", "username": user, "verify_connection": false},
        "secretParameters": {"password": {"name": "postgres", "key": "password"}},
    })
}

fn access() -> Vec<Subject> {
    vec![
        Subject::new(
            "BaoPolicy",
            "crashed-policy",
            (json!({"policy": policy("one")}), json!({"policy": policy("two")})),
            vec![(
                "sys/policies/acl/crashed-policy",
                "/policy",
                [json!(policy("one")), json!(policy("two"))],
            )],
        ),
        Subject::new(
            "BaoAuthRole",
            "crashed-login",
            (
                json!({"mount": "approle", "appRole": {"roleID": "crashed", "secretIDTTL": "1h"}}),
                json!({"appRole": {"secretIDTTL": "2h"}}),
            ),
            vec![
                ("auth/approle/role/crashed-login", "/secret_id_ttl", [json!(3600), json!(7200)]),
                ("auth/approle/role/crashed-login/role-id", "/role_id", kept(json!("crashed"))),
            ],
        ),
        // A password. The fail point does not count the write of the user: OpenBao does not return passwords, so that each further
        // process writes the user again until one writes the status, as with the rotation of a password.
        Subject::new(
            "BaoAuthRole",
            "crashed-user",
            (
                json!({
                    "mount": "userpass", "name": "secret-user", "tokenPolicies": ["one"],
                    "userPass": {"passwordSecretRef": {"name": "postgres"}},
                }),
                json!({"tokenPolicies": ["one", "two"]}),
            ),
            vec![(
                "auth/userpass/users/secret-user",
                "/token_policies",
                [json!(["one"]), json!(["one", "two"])],
            )],
        ),
        // In a namespace, whose name identifies the request that creates the alias.
        Subject::new(
            "IdentityGroup",
            "crashed-group",
            (
                json!({
                    "namespace": "crashed-group", "type": "External", "policies": ["one"],
                    "alias": {"name": "devs", "mount": "jwt"},
                }),
                json!({"policies": ["one", "two"]}),
            ),
            vec![
                (
                    "crashed-group/identity/group/name/crashed-group",
                    "/policies",
                    [json!(["one"]), json!(["one", "two"])],
                ),
                ("crashed-group/identity/group/name/crashed-group", "/alias/name", kept(json!("devs"))),
            ],
        ),
        Subject::new(
            "BaoRateLimitQuota",
            "crashed-quota",
            (json!({"rate": 5000, "path": "transit"}), json!({"rate": 6000})),
            vec![("sys/quotas/rate-limit/crashed-quota", "/rate", [json!(5000), json!(6000)])],
        ),
    ]
}

fn engines() -> Vec<Subject> {
    // Most of the lifetime is in the past: the change, which sets `renewBefore`, also rotates the issuer.
    let root = json!({"commonName": "Crashed CA", "ttl": "30m", "parameters": {"not_before_duration": "2h"}});
    let issuer = json!({
        "mount": "crashed-issuer", "default": true, "root": root, "urls": {"issuingCertificates": ["http://one/ca"]}, "crl": {"expiry": "48h"},
    });
    let other = json!({
        "renewBefore": "1h", "root": {"ttl": "24h", "parameters": null},
        "urls": {"issuingCertificates": ["http://two/ca"]}, "crl": {"expiry": "72h"},
    });
    vec![
        Subject::new(
            "TransitKey",
            "crashed-key",
            (
                json!({"mount": "transit", "type": "aes256-gcm96", "deletionAllowed": true}),
                json!({"deletionAllowed": false}),
            ),
            vec![("transit/keys/crashed-key", "/deletion_allowed", [json!(true), json!(false)])],
        ),
        Subject {
            read: "/crashed-issuer/issuers",
            ..Subject::new(
                "PKIIssuer",
                "crashed-issuer",
                (issuer, other),
                vec![
                    (
                        "crashed-issuer/issuer/crashed-issuer",
                        "/issuing_certificates",
                        [json!(["http://one/ca"]), json!(["http://two/ca"])],
                    ),
                    ("crashed-issuer/config/crl", "/expiry", [json!("172800s"), json!("259200s")]),
                ],
            )
        },
        Subject::new(
            "PKIRole",
            "crashed-pkirole",
            (
                json!({"mount": "pki", "allowedDomains": ["one.example.com"]}),
                json!({"allowedDomains": ["two.example.com"]}),
            ),
            vec![(
                "pki/roles/crashed-pkirole",
                "/allowed_domains",
                [json!(["one.example.com"]), json!(["two.example.com"])],
            )],
        ),
    ]
}

fn databases(port: u16) -> Vec<Subject> {
    let reference = json!({"name": "crashed-connection"});
    let url =
        format!("postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{port}/postgres?sslmode=disable");
    let connection = json!({
        "mount": "database", "plugin": "postgresql-database-plugin", "connectionURL": url, "rootSecretRef": {"name": "postgres"},
        "maxOpenConnections": 5,
    });
    let role = json!({"connectionRef": reference, "creationStatements": ["SELECT 1;"], "defaultTTL": "1h"});
    let batch =
        json!({"connectionRef": reference, "static": {"username": "crashed_batch", "rotationPeriod": "24h"}});
    let app = json!({
        "database": {"connectionRef": reference, "database": "postgres", "defaultTTL": "1h"},
        "ci": {"audiences": ["one"], "boundClaims": {"repository": ["example/crashed"]}},
    });
    let details = "/connection_details/max_open_connections";
    vec![
        Subject::new(
            "DatabaseConnection",
            "crashed-connection",
            (connection, json!({"maxOpenConnections": 6})),
            vec![
                ("database/config/crashed-connection", details, [json!(5), json!(6)]),
                (
                    "database/config/crashed-connection",
                    "/allowed_roles",
                    kept(json!(["crashed-app", "crashed-app.owner", "crashed-batch", "crashed-credentials"])),
                ),
            ],
        ),
        Subject::new(
            "DatabaseRole",
            "crashed-credentials",
            (role, json!({"defaultTTL": "2h"})),
            vec![("database/roles/crashed-credentials", "/default_ttl", [json!(3600), json!(7200)])],
        ),
        Subject::new(
            "DatabaseRole",
            "crashed-batch",
            (batch, json!({"static": {"rotationPeriod": "48h"}})),
            vec![
                ("database/static-roles/crashed-batch", "/rotation_period", [json!(86_400), json!(172_800)]),
                ("database/static-roles/crashed-batch", "/username", kept(json!("crashed_batch"))),
            ],
        ),
        Subject::new(
            "SecretsApp",
            "crashed-app",
            (app, json!({"database": {"defaultTTL": "2h"}, "ci": {"audiences": ["two"]}})),
            application(),
        ),
    ]
}

fn application() -> Vec<Row> {
    let jobs = "auth/gitea_jwt/role/gitea_cicd_crashed-app";
    vec![
        ("sys/policies/acl/crashed-app", "/name", kept(json!("crashed-app"))),
        ("sys/policies/acl/crashed-app-ops", "/name", kept(json!("crashed-app-ops"))),
        ("identity/group/name/crashed-app-ops", "/policies", kept(json!(["crashed-app-ops"]))),
        ("auth/kubernetes/role/crashed-app", "/token_policies", kept(json!(["default", "crashed-app"]))),
        (jobs, "/bound_audiences", [json!(["one"]), json!(["two"])]),
        ("database/static-roles/crashed-app.owner", "/username", kept(json!("crashed-app_role"))),
        ("database/roles/crashed-app", "/default_ttl", [json!(3600), json!(7200)]),
    ]
}
