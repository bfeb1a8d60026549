//! DatabaseConnection and DatabaseRole.

use serde_json::{Value, json};

use super::sources::Sources;
use super::{Part, Sample, fixed, place, row};

pub fn samples(sources: &Sources) -> Vec<Sample> {
    vec![
        connection(sources.postgres),
        encrypted(sources),
        role(),
        key_pair_role(),
        owned_role(),
        static_role(),
    ]
}

/// A connection with TLS, to a server that does not exist.
fn encrypted(Sources { ca, pair, .. }: &Sources) -> Sample {
    let details = "/connection_details/tls_ca";
    let rows = vec![
        row("tls.caSecretRef.name", details, json!(ca), json!({"tls_ca": ""})),
        fixed("tls.caSecretRef.key", details, json!(ca)),
        row(
            "tls.clientCertSecretRef.name",
            "/connection_details/tls_certificate_key",
            json!(pair),
            json!({"tls_certificate_key": ""}),
        ),
        row(
            "tls.serverName",
            "/connection_details/tls_server_name",
            json!("db.example.com"),
            json!({"tls_server_name": "other.example.com"}),
        ),
    ];
    let spec = json!({
        "mount": "database", "name": "f-my", "plugin": "mysql-database-plugin", "verify": false,
        "connectionURL": "{{username}}:{{password}}@tcp(127.0.0.1:9)/", "rootSecretRef": {"name": "values"},
        "allowedRoles": ["*"], "deletionPolicy": "Delete",
        "tls": {
            "caSecretRef": {"name": "values", "key": "authority.pem"}, "clientCertSecretRef": {"name": "pair"},
            "serverName": "db.example.com",
        },
    });
    let parts = vec![Part::at("database/config/f-my", json!({"verify_connection": false}), rows)];
    Sample { kind: "DatabaseConnection", name: "f-encrypted", spec, parts }
}

fn connection(port: u16) -> Sample {
    let url =
        format!("postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{port}/postgres?sslmode=disable");
    let needed = json!({"verify_connection": false});
    let statements = ["ALTER ROLE \"{{name}}\" PASSWORD '{{password}}';"];
    let rows = vec![
        place("mount"),
        place("name"),
        fixed("plugin", "/plugin_name", json!("postgresql-database-plugin")),
        fixed("rootSecretRef.name", "/connection_details/username", json!("postgres")),
        row(
            "connectionURL",
            "/connection_details/connection_url",
            json!(url),
            json!({"connection_url": "postgresql://other"}),
        ),
        row("allowedRoles", "/allowed_roles", json!(["*"]), json!({"allowed_roles": "other"})),
        row(
            "maxOpenConnections",
            "/connection_details/max_open_connections",
            json!(5),
            json!({"max_open_connections": 9}),
        ),
        row(
            "maxIdleConnections",
            "/connection_details/max_idle_connections",
            json!(2),
            json!({"max_idle_connections": 4}),
        ),
        row(
            "maxConnectionLifetime",
            "/connection_details/max_connection_lifetime",
            json!("5m"),
            json!({"max_connection_lifetime": "9m"}),
        ),
        row(
            "secretParameters",
            "/connection_details/custom_secret",
            json!("first.token.here"),
            json!({"custom_secret": "other"}),
        ),
        row("passwordPolicy", "/password_policy", json!("letters"), json!({"password_policy": ""})),
        row(
            "usernameTemplate",
            "/connection_details/username_template",
            json!("v-{{random 12}}"),
            json!({"username_template": "x"}),
        ),
        row(
            "rootRotationStatements",
            "/root_credentials_rotate_statements",
            json!(statements),
            json!({"root_rotation_statements": ["x"]}),
        ),
        row(
            "parameters",
            "/connection_details/password_authentication",
            json!("scram-sha-256"),
            json!({"password_authentication": "password"}),
        ),
    ];
    let spec = json!({
        "mount": "database", "name": "f-pg", "plugin": "postgresql-database-plugin", "connectionURL": url,
        "rootSecretRef": {"name": "values"}, "rootRotationStatements": statements, "allowedRoles": ["*"],
        "maxOpenConnections": 5, "maxIdleConnections": 2, "maxConnectionLifetime": "5m", "passwordPolicy": "letters",
        "usernameTemplate": "v-{{random 12}}", "parameters": {"password_authentication": "scram-sha-256"},
        "secretParameters": {"custom_secret": {"name": "values", "key": "token"}}, "deletionPolicy": "Delete",
    });
    let parts = vec![Part::at("database/config/f-pg", needed, rows)];
    Sample { kind: "DatabaseConnection", name: "f-connection", spec, parts }
}

fn reference() -> Value {
    json!({"name": "f-connection"})
}

fn role() -> Sample {
    let statements = |text: &str| json!([text]);
    let rows = vec![
        place("name"),
        fixed("connectionRef.name", "/db_name", json!("f-pg")),
        row(
            "creationStatements",
            "/creation_statements",
            statements("SELECT 1;"),
            json!({"creation_statements": ["x"]}),
        ),
        row(
            "revocationStatements",
            "/revocation_statements",
            statements("SELECT 2;"),
            json!({"revocation_statements": ["x"]}),
        ),
        row(
            "renewStatements",
            "/renew_statements",
            statements("SELECT 3;"),
            json!({"renew_statements": ["x"]}),
        ),
        row(
            "rollbackStatements",
            "/rollback_statements",
            statements("SELECT 4;"),
            json!({"rollback_statements": ["x"]}),
        ),
        row("defaultTTL", "/default_ttl", json!(3600), json!({"default_ttl": 60})).resets(json!(0)),
        row("maxTTL", "/max_ttl", json!(63_072_000), json!({"max_ttl": 90_000})).resets(json!(0)),
    ];
    let spec = json!({
        "connectionRef": reference(), "name": "f-role-named", "creationStatements": ["SELECT 1;"],
        "revocationStatements": ["SELECT 2;"], "renewStatements": ["SELECT 3;"], "rollbackStatements": ["SELECT 4;"],
        "defaultTTL": "1h", "maxTTL": "17520h",
    });
    let parts = vec![Part::at("database/roles/f-role-named", json!({"db_name": "f-pg"}), rows)];
    Sample { kind: "DatabaseRole", name: "f-role", spec, parts }
}

/// A role whose credentials are key pairs.
fn key_pair_role() -> Sample {
    let rows = vec![row(
        "credentialType",
        "/credential_type",
        json!("rsa_private_key"),
        json!({"credential_type": "password"}),
    )];
    let spec = json!({
        "connectionRef": reference(), "credentialType": "RSAPrivateKey", "creationStatements": ["SELECT 1;"],
    });
    let parts = vec![Part::at("database/roles/f-key-pair", json!({"db_name": "f-pg"}), rows)];
    Sample { kind: "DatabaseRole", name: "f-key-pair", spec, parts }
}

fn owned_role() -> Sample {
    let changed = json!({"creation_statements": ["x"]});
    let rows = vec![row("ownerRole", "/creation_statements?IN ROLE \"fields_owner\"", json!(true), changed)];
    let spec = json!({"connectionRef": reference(), "ownerRole": "fields_owner"});
    let parts = vec![Part::at("database/roles/f-owned", json!({"db_name": "f-pg"}), rows)];
    Sample { kind: "DatabaseRole", name: "f-owned", spec, parts }
}

fn static_role() -> Sample {
    let statements = json!(["ALTER ROLE \"{{name}}\" PASSWORD '{{password}}';"]);
    let other = "ALTER ROLE \"{{name}}\" PASSWORD '{{password}}'; SELECT 1;";
    let needed = json!({"db_name": "f-pg", "username": "fields_batch"});
    let rows = vec![
        fixed("static.username", "/username", json!("fields_batch")),
        // One request: OpenBao refuses a second one while it schedules the rotation.
        row(
            "static.rotationPeriod",
            "/rotation_period",
            json!(31_622_400),
            json!({"rotation_period": 3600, "rotation_statements": [other]}),
        ),
        fixed("static.rotationStatements", "/rotation_statements", statements.clone()),
    ];
    let fixed_user =
        json!({"username": "fields_batch", "rotationPeriod": "8784h", "rotationStatements": statements});
    let spec = json!({"connectionRef": reference(), "static": fixed_user});
    let parts = vec![Part::at("database/static-roles/f-static", needed, rows)];
    Sample { kind: "DatabaseRole", name: "f-static", spec, parts }
}
