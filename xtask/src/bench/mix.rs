//! Objects of all general kinds, and what they need.

use anyhow::{Result, bail};
use http::Method;
use serde_json::{Value, json};
use steamer_api::{KindId, Property};
use steamer_testing::database;
use steamer_testing::openbao::mount_kv;

use super::recording::PREFIX;
use super::rig::{NAMESPACE, Rig, ready_object};

/// Kinds of which an installation has few objects: one of [`TURN`] objects each. An issuer needs a mount of its own, because
/// OpenBao writes the CRLs of all issuers of a mount with each issuer. Each connection keeps a connection to PostgreSQL open.
const RARE: [&str; 2] = ["PKIIssuer", "DatabaseConnection"];
/// Number of objects with one object of each rare kind. The other kinds have equal shares.
const TURN: usize = 50;
/// Number of recorded objects of each kind.
const RECORDED: usize = 2;
/// DatabaseConnection of the DatabaseRoles and SecretsApps.
const CONNECTION: &str = "shared";
/// Role in PostgreSQL that owns what the users of the SecretsApps create.
const OWNER: &str = "bench_owner";
/// Key of an issuer of JWTs.
const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEITyqNTM+kciZ1df4W7Sx82DIftcl\n\
                   ILmEuIKwWpb74eczK1fu8ptYxP4+n9qWSbO8tjhRgX/rdmsdFee5OgnNrA==\n-----END PUBLIC KEY-----\n";

/// The general kinds: those whose objects record their resources in `status.owned`.
pub(super) fn kinds() -> Vec<&'static str> {
    let general = KindId::ALL.iter().copied().filter(|kind| kind.is(Property::Owning));
    general.map(KindId::as_str).collect()
}

/// Kinds of numbered objects.
pub(super) struct Mix {
    /// The kinds with equal shares.
    common: Vec<&'static str>,
    objects: usize,
}

impl Mix {
    pub(super) fn new(objects: usize) -> Self {
        let common = kinds().into_iter().filter(|kind| !RARE.contains(kind)).collect();
        Self { common, objects }
    }

    pub(super) fn kind(&self, number: usize) -> &'static str {
        RARE.get(number % TURN).copied().unwrap_or_else(|| self.common[number % self.common.len()])
    }

    /// Number of all objects of a kind, with those that are recorded and the connection of the others.
    pub(super) fn existing(&self, kind: &str) -> usize {
        self.numbers(kind).len() + RECORDED + usize::from(kind == "DatabaseConnection")
    }

    /// Numbers of the objects of a kind.
    pub(super) fn numbers(&self, kind: &str) -> Vec<usize> {
        (0..self.objects).filter(|number| self.kind(*number) == kind).collect()
    }
}

/// Names of the recorded objects of the kind at a position. No name is the start of another one.
pub(super) fn recorded(index: usize) -> [String; RECORDED] {
    std::array::from_fn(|number| format!("{PREFIX}{:02}", index * RECORDED + number))
}

/// Creates the mounts, and what else the objects refer to, except for objects.
pub(super) async fn prepare(rig: &Rig, mix: &Mix) -> Result<()> {
    let admin = rig.ground.openbao.admin()?;
    let mount = async |path: String, kind: &str| {
        admin.request_any(Method::POST, &path, Some(json!({"type": kind}))).await.map(drop)
    };
    for engine in ["transit", "pki", "kv", "database"] {
        mount(format!("sys/mounts/{engine}"), engine).await?;
    }
    mount("sys/auth/approle".to_owned(), "approle").await?;
    mount("sys/auth/gitea_jwt".to_owned(), "jwt").await?;
    mount_kv(&admin, "kvv2").await?;
    let issuers = mix.numbers("PKIIssuer").into_iter();
    let names = issuers.flat_map(|number| [format!("o{number}"), format!("bare{number}")]);
    for name in names.chain((0..kinds().len()).flat_map(recorded)) {
        mount(format!("sys/mounts/{}", issuer_mount(&name)), "pki").await?;
    }
    let postgres = &rig.ground.postgres;
    postgres.run("postgres", &format!("DROP ROLE IF EXISTS {OWNER}; CREATE ROLE {OWNER}"))?;
    rig.apply(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "postgres", "namespace": NAMESPACE},
        "stringData": {"username": "postgres", "password": "trusted"},
    }))
    .await
}

/// Creates the object that others refer to. The operator runs.
pub(super) async fn connect(rig: &Rig) -> Result<()> {
    rig.object("DatabaseConnection", CONNECTION, spec(rig, "DatabaseConnection", CONNECTION)?).await?;
    ready_object(rig, "DatabaseConnection", CONNECTION).await.map(drop)
}

fn issuer_mount(name: &str) -> String {
    format!("pki-{name}")
}

/// The spec of an object with that name. All names in OpenBao contain the name of the object.
pub(super) fn spec(rig: &Rig, kind: &str, name: &str) -> Result<Value> {
    let connection = json!({"name": CONNECTION});
    let mut spec = match kind {
        "BaoPolicy" => json!({"rules": [{"path": format!("kv/data/{name}/*"), "capabilities": ["read"]}]}),
        "SecretEngine" => json!({"type": "kv-v1", "deletionPolicy": "Delete"}),
        "AuthMethod" => {
            json!({"type": "jwt", "jwt": {"publicKeys": [KEY], "boundIssuer": "https://ci.example.com"}})
        }
        "BaoNamespace" => json!({"customMetadata": {"team": "web"}, "deletionPolicy": "Delete"}),
        "TransitKey" => json!({"mount": "transit", "deletionPolicy": "Delete"}),
        "BaoRateLimitQuota" => json!({"rate": 100_000, "path": format!("kv/data/{name}")}),
        "PKIIssuer" => json!({
            "mount": issuer_mount(name), "root": {"commonName": "Bench CA", "keyType": "ec", "ttl": "24h"},
        }),
        "PKIRole" => json!({"mount": "pki", "allowedDomains": ["example.com"], "keyType": "ec"}),
        "BaoAuthRole" => json!({"mount": "approle", "appRole": {}, "tokenPolicies": ["web"]}),
        "IdentityGroup" => json!({"policies": ["web"]}),
        "DatabaseConnection" => json!({
            "mount": "database", "plugin": "postgresql-database-plugin", "rootSecretRef": {"name": "postgres"},
            "connectionURL": database::url(&format!("127.0.0.1:{}", rig.ground.postgres.port), "disable"),
            // With a list, each further role would write the connection again.
            "allowedRoles": ["*"],
        }),
        "DatabaseRole" => json!({
            "connectionRef": connection, "creationStatements": [database::CREATION], "defaultTTL": "1h",
        }),
        "SecretsApp" => json!({
            "database": {"connectionRef": connection, "database": "postgres", "ownerRole": OWNER, "defaultTTL": "1h"},
            "ci": {"audiences": ["bao"], "boundClaims": {"repository": [format!("example/{name}")]}},
        }),
        _ => bail!("no object of kind {kind}: add a spec"),
    };
    // A role is in the cluster of its connection.
    if kind != "DatabaseRole" {
        spec["clusterRef"] = json!({"name": "main"});
    }
    Ok(spec)
}
