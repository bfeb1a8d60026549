//! References to objects of another namespace give access only while the owner of the objects allows the namespace.

use anyhow::{Context, Result, ensure};
use kube::api::{Api, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{DatabaseRole, PKIIssuer};
use steamer_testing::database::{CREATION, url};
use steamer_testing::ground::apply;
use steamer_testing::openbao::mount_kv;
use steamer_testing::wait::eventually;

use super::{enforced, modes};
use crate::fixture::ready_in;
use crate::general::Scene;

/// Namespace of the objects that others refer to.
const OWNER: &str = "reference-grants";
/// Namespace of the objects that refer to them.
const GUEST: &str = "reference-grants-guest";
const DENIED: &str = "False/ReferenceDenied";
const APPLIED: &str = "True/Applied";
/// The role of the database that the guests create.
const ROLE: &str = "report";

/// `allowedNamespaces` of an object that lets the guests refer to it.
pub fn selected() -> Value {
    json!({"from": "Selector", "selector": {"matchLabels": {"team": "web"}}})
}

/// The same of an object to which only its own namespace may refer.
pub fn unselected() -> Value {
    json!({"from": "Same", "selector": null})
}

/// Objects in two namespaces.
struct Guests {
    scene: Scene,
    roles: Api<DatabaseRole>,
    issuers: Api<PKIIssuer>,
}

#[tokio::test]
async fn objects_of_another_namespace_have_access_only_while_they_are_allowed() -> Result<()> {
    let guests = Guests::new().await?;
    guests.database().await?;
    credentials(&guests).await?;
    certificates(&guests).await
}

/// A connection that does not allow the namespace issues no credential, in every mode of the objects that refer to it.
async fn credentials(guests: &Guests) -> Result<()> {
    guests.have_no_credentials().await?;
    for mode in modes() {
        guests.allow("DatabaseConnection", "db", selected()).await?;
        guests.have_credentials().await?;
        guests.set(&mode).await?;
        guests.allow("DatabaseConnection", "db", unselected()).await?;
        guests.have_no_credentials().await?;
        guests.set(&enforced()).await?;
    }
    // The label of the namespace decides, too.
    guests.allow("DatabaseConnection", "db", selected()).await?;
    guests.have_credentials().await?;
    guests.scene.case.make_namespace(GUEST, json!({"team": "other"})).await?;
    guests.have_no_credentials().await?;
    guests.scene.case.make_namespace(GUEST, json!({"team": "web"})).await?;
    guests.have_credentials().await
}

/// An authority signs only what the namespaces that it allows ask for. A revoked one keeps its issuer and gets no other.
async fn certificates(guests: &Guests) -> Result<()> {
    let root = json!({"mount": "pki", "root": {"commonName": "Owner", "ttl": "17520h"}});
    guests.scene.apply("PKIIssuer", "root", root).await?;
    guests.scene.ready("PKIIssuer", "root", APPLIED).await?;
    // Most of the lifetime is in the past, so that `renewBefore` makes the certificate due.
    let intermediate = json!({
        "commonName": "Guest", "parentRef": {"name": "root", "namespace": OWNER}, "ttl": "10m",
        "parameters": {"not_before_duration": "2h"},
    });
    let cluster = json!({"name": "own", "namespace": OWNER});
    let spec = json!({"clusterRef": cluster, "mount": "pki-int", "adopt": "IfUnowned", "intermediate": intermediate});
    guests.scene.case.object_in(GUEST, "PKIIssuer", "int", spec).await?;
    ready_in(&guests.issuers, "int", DENIED).await?;
    ensure!(guests.keys().await? == 0, "a certificate was signed without the permission of the parent");

    guests.allow("PKIIssuer", "root", selected()).await?;
    let first = serial(ready_in(&guests.issuers, "int", APPLIED).await?)?;
    guests.allow("PKIIssuer", "root", unselected()).await?;
    ready_in(&guests.issuers, "int", DENIED).await?;
    let next = json!({"renewBefore": "1h", "intermediate": {"ttl": "240h", "parameters": null}});
    let patch = Patch::Merge(json!({"spec": next}));
    guests.issuers.patch("int", &PatchParams::default(), &patch).await?;
    // Of the current generation: the pass in which the certificate is due is complete.
    ready_in(&guests.issuers, "int", DENIED).await?;
    ensure!(guests.keys().await? == 1, "a revoked authority was signed again");

    guests.allow("PKIIssuer", "root", selected()).await?;
    let second = serial(ready_in(&guests.issuers, "int", APPLIED).await?)?;
    ensure!(first != second, "the certificate was not renewed");
    ensure!(guests.keys().await? == 2, "the former issuer does not exist any more");
    Ok(())
}

fn serial(issuer: PKIIssuer) -> Result<String> {
    let certificate = issuer.status.and_then(|status| status.certificate).context("no certificate")?;
    Ok(certificate.serial)
}

impl Guests {
    async fn new() -> Result<Self> {
        let scene = Scene::new(OWNER).await?;
        scene.case.make_namespace(GUEST, json!({"team": "web"})).await?;
        let everyone = json!({"spec": {"provisioningNamespaces": {"from": "All"}}});
        scene.change("OpenBaoCluster", "own", everyone).await?;
        mount_kv(&scene.admin, "kvv2").await?;
        scene.post("sys/mounts/database", json!({"type": "database"})).await?;
        for mount in ["pki", "pki-int"] {
            let engine = json!({"type": "pki", "config": {"max_lease_ttl": "87600h"}});
            scene.post(&format!("sys/mounts/{mount}"), engine).await?;
        }
        let client = &scene.case.client;
        let (roles, issuers) =
            (Api::namespaced(client.clone(), GUEST), Api::namespaced(client.clone(), GUEST));
        Ok(Self { scene, roles, issuers })
    }

    /// A connection of the owner, and a role of the guests that refers to it.
    async fn database(&self) -> Result<()> {
        let case = &self.scene.case;
        let postgres = &case.ground.postgres;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pg", "namespace": OWNER},
            "stringData": {"username": "postgres", "password": "trusted"},
        });
        apply(&case.client, secret).await?;
        let connection = json!({
            "mount": "database", "plugin": "postgresql-database-plugin", "rootSecretRef": {"name": "pg"},
            "connectionURL": url(&format!("127.0.0.1:{}", postgres.port), "disable"),
        });
        self.scene.apply("DatabaseConnection", "db", connection).await?;
        self.scene.ready("DatabaseConnection", "db", APPLIED).await?;
        let reference = json!({"name": "db", "namespace": OWNER});
        let role = json!({"connectionRef": reference, "creationStatements": [CREATION]});
        case.object_in(GUEST, "DatabaseRole", ROLE, role).await.map(drop)
    }

    async fn allow(&self, kind: &str, name: &str, namespaces: Value) -> Result<()> {
        self.scene.change(kind, name, json!({"spec": {"allowedNamespaces": namespaces}})).await
    }

    /// Changes the spec of the role.
    async fn set(&self, spec: &Value) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.roles.patch(ROLE, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    async fn have_credentials(&self) -> Result<()> {
        ready_in(&self.roles, ROLE, APPLIED).await?;
        self.issues(true).await
    }

    async fn have_no_credentials(&self) -> Result<()> {
        ready_in(&self.roles, ROLE, DENIED).await?;
        self.issues(false).await
    }

    /// Waits until the role issues credentials, or none any more.
    async fn issues(&self, expected: bool) -> Result<()> {
        let path = format!("database/creds/{ROLE}");
        eventually(&format!("credentials of {ROLE}: {expected}"), || async {
            let found = self.scene.admin.request_any(Method::GET, &path, None).await.is_ok();
            if found == expected { Ok(()) } else { Err(format!("{found}")) }
        })
        .await
    }

    /// Number of keys of the authorities of the guests: each certificate has a key of its own.
    async fn keys(&self) -> Result<usize> {
        Ok(self.scene.admin.listing("pki-int/keys").await?.len())
    }
}
