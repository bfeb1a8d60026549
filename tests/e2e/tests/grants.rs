//! Every grant that a project needs, times every mode: a withdrawn grant removes access, and a restored one returns it.

mod references;

use anyhow::Result;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use rstest::rstest;
use serde_json::{Value, json};
use steamer_api::{BaoStaticSecret, JWTIssuer, SecretsProject};
use steamer_openbao::Session;
use steamer_testing::wait::eventually;

use crate::fixture::{Case, ready_in};
use crate::tenancy::readable_with;
use references::{selected, unselected};

/// A project in a namespace that needs every grant, for one test.
struct Scene {
    case: Case,
    /// Namespace of the project.
    guest: String,
    /// OpenBao namespace of the project.
    path: String,
    projects: Api<SecretsProject>,
}

/// A grant, and how it is withdrawn and restored.
enum Grant {
    /// A change of the spec of an object: kind, name, spec without and with the grant.
    Spec(&'static str, &'static str, fn(&Scene) -> [Value; 2]),
    /// The label of the namespace of the project, which the tenant selects.
    Label,
    /// The existence of the issuer.
    Issuer,
}
use Grant::{Issuer, Label, Spec};

fn enforced() -> Value {
    json!({"suspend": false, "mode": "Enforce"})
}

/// The modes of an object in which a withdrawn grant removes access.
fn modes() -> [Value; 3] {
    [enforced(), json!({"suspend": true}), json!({"mode": "Observe"})]
}

fn listed(scene: &Scene, id: i64) -> Value {
    json!({"projects": [{"name": "web", "namespaces": [scene.guest], "ids": [id]}]})
}

fn issuer(case: &Case) -> Value {
    json!({"oidcDiscoveryUrl": case.ground.issuer.url, "allowPlaintext": true, "refreshAfter": "1s", "allowedNamespaces": {"from": "All"}})
}

fn namespaces_of_the_tenant(_: &Scene) -> [Value; 2] {
    [unselected(), selected()].map(|from| json!({"allowedNamespaces": from}))
}

fn projects_of_the_tenant(scene: &Scene) -> [Value; 2] {
    [listed(scene, 1), listed(scene, 42)]
}

fn enabled_tenant(_: &Scene) -> [Value; 2] {
    [json!({"enabled": false}), json!({"enabled": true})]
}

fn namespaces_of_the_issuer(_: &Scene) -> [Value; 2] {
    [json!({"from": "Same"}), json!({"from": "All"})].map(|from| json!({"allowedNamespaces": from}))
}

impl Grant {
    async fn withdraw(&self, scene: &Scene) -> Result<()> {
        match self {
            Spec(kind, name, specs) => scene.change(kind, name, &specs(scene)[0]).await,
            Label => scene.case.make_namespace(&scene.guest, json!({"team": "other"})).await,
            Issuer => {
                scene.case.api::<JWTIssuer>().delete("gitlab", &DeleteParams::default()).await?;
                Ok(())
            }
        }
    }

    async fn restore(&self, scene: &Scene) -> Result<()> {
        match self {
            Spec(kind, name, specs) => scene.change(kind, name, &specs(scene)[1]).await,
            Label => scene.case.make_namespace(&scene.guest, json!({"team": "web"})).await,
            Issuer => scene.case.object("JWTIssuer", "gitlab", issuer(&scene.case)).await.map(drop),
        }
    }
}

impl Scene {
    async fn new(name: &str, organization: i64) -> Result<Self> {
        let case = Case::new(name).await?;
        let projects = Api::namespaced(case.client.clone(), &format!("{name}-guest"));
        let path = format!("org_{organization}/group_7/project_42");
        let scene = Self { case, guest: format!("{name}-guest"), path, projects };
        let (case, guest) = (&scene.case, &scene.guest);
        case.make_namespace(guest, json!({"team": "web"})).await?;
        case.object("JWTIssuer", "gitlab", issuer(case)).await?;
        let mut tenant = json!({
            "clusterRef": {"name": "main"}, "organizationId": organization, "groupId": 7,
            "issuerRef": {"name": "gitlab"}, "deletionPolicy": "Delete", "allowedNamespaces": selected(),
        });
        tenant["projects"] = listed(&scene, 42)["projects"].take();
        case.object("SecretsTenant", "acme", tenant).await?;
        let reference = |name: &str| json!({"name": name, "namespace": case.namespace});
        let spec = json!({"tenantRef": reference("acme"), "issuerRef": reference("gitlab"), "id": 42});
        case.object_in(guest, "SecretsProject", "web", spec).await?;
        let policy = json!({"projectRef": {"name": "web"}, "secrets": [{"name": "A"}]});
        case.object_in(guest, "PipelinePolicy", "all", policy).await?;
        ready_in(&scene.projects, "web", "True/Applied").await?;
        case.values(&scene.path, &["A"]).await?;
        Ok(scene)
    }

    async fn change(&self, kind: &str, name: &str, spec: &Value) -> Result<()> {
        let api = self.case.dynamic(kind)?;
        api.patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await?;
        Ok(())
    }

    async fn set(&self, spec: &Value) -> Result<()> {
        self.projects.patch("web", &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await?;
        Ok(())
    }

    fn sign(&self) -> Result<String> {
        self.case.ground.issuer.sign("key-1", &self.case.claims())
    }

    /// Waits until a job can log in and read the value. Returns its session.
    async fn access(&self, jwt: &str, row: &str) -> Result<Session> {
        eventually(&format!("access before: {row}"), || async {
            let session = self.case.login(&self.path, "all_pipelines", jwt).await;
            let session = session.map_err(|error| error.to_string())?;
            match readable_with(&session, &["A"]).await {
                Ok(readable) if readable == ["A"] => Ok(session),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }

    /// Waits until neither a login nor a live session has access, and the status offers none.
    async fn no_access(&self, jwt: &str, session: &Session, row: &str) -> Result<()> {
        eventually(&format!("no access: {row}"), || async {
            let login = self.case.login(&self.path, "all_pipelines", jwt).await.is_ok();
            let project = self.projects.get("web").await.map_err(|error| error.to_string())?;
            let runner = project.status.unwrap_or_default().runner;
            match readable_with(session, &["A"]).await {
                Ok(readable) if readable.is_empty() && !login && runner.is_none() => Ok(()),
                other => Err(format!("{login} {other:?} {runner:?}")),
            }
        })
        .await
    }
}

#[rstest]
#[case::namespaces_of_the_tenant(171, Spec("SecretsTenant", "acme", namespaces_of_the_tenant))]
#[case::projects_of_the_tenant(172, Spec("SecretsTenant", "acme", projects_of_the_tenant))]
#[case::enabled_tenant(173, Spec("SecretsTenant", "acme", enabled_tenant))]
#[case::namespaces_of_the_issuer(174, Spec("JWTIssuer", "gitlab", namespaces_of_the_issuer))]
#[case::label(175, Label)]
#[case::issuer(176, Issuer)]
#[tokio::test]
async fn a_withdrawn_grant_removes_access_in_every_mode(
    #[case] organization: i64,
    #[case] grant: Grant,
) -> Result<()> {
    let scene = Scene::new(&format!("grants-{organization}"), organization).await?;
    for mode in modes() {
        let (jwt, row) = (scene.sign()?, format!("grant {organization} under {mode}"));
        let session = scene.access(&jwt, &row).await?;
        scene.set(&mode).await?;
        grant.withdraw(&scene).await?;
        scene.no_access(&jwt, &session, &row).await?;
        grant.restore(&scene).await?;
        scene.set(&enforced()).await?;
        ready_in(&scene.projects, "web", "True/Applied").await?;
    }
    Ok(())
}

#[tokio::test]
async fn only_the_issuer_that_was_used_grants_access() -> Result<()> {
    let scene = Scene::new("grants-177", 177).await?;
    let jwt = scene.sign()?;
    scene.access(&jwt, "an issuer that exists").await?;
    // A name that never existed withdraws nothing.
    scene.set(&json!({"issuerRef": {"name": "wrong", "namespace": "grants-177"}})).await?;
    let waits =
        "False/ReferenceNotFound: JWTIssuer grants-177/wrong does not exist: create it, or correct issuerRef";
    ready_in(&scene.projects, "web", waits).await?;
    scene.case.login(&scene.path, "all_pipelines", &jwt).await?;
    // The issuer that was used before still counts.
    Issuer.withdraw(&scene).await?;
    eventually("a deleted issuer lets no job in", || async {
        match scene.case.login(&scene.path, "all_pipelines", &jwt).await {
            Err(_) => Ok(()),
            Ok(_) => Err("login succeeded"),
        }
    })
    .await
}

#[tokio::test]
async fn a_workload_of_a_project_needs_consent_for_audiences_of_other_servers() -> Result<()> {
    let case = Case::new("grants-consent").await?;
    let namespace = case.project(108).await?;
    case.values(&namespace, &["A"]).await?;
    let workload = |name: &str, audience: &str| {
        json!({"name": name, "serviceAccount": "default", "namespace": case.namespace, "audience": audience,
               "secrets": ["A"]})
    };
    let workloads = [workload("own", "openbao"), workload("other", "sts.example.com")];
    let patch = json!({"spec": {"workloads": workloads}});
    case.api::<SecretsProject>().patch("web", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    case.ready::<SecretsProject>("web", "True/Applied").await?;
    let rows = [
        ("own", "True/Applied"),
        ("other", "False/ReferenceDenied: ServiceAccount grants-consent/default does not allow tokens"),
    ];
    for (name, expected) in rows {
        case.object("BaoAuth", name, json!({"projectRef": {"name": "web"}, "workload": name})).await?;
        let spec = json!({
            "authRef": {"name": name}, "mount": "secrets/kv", "path": "explicit/A", "type": "kv-v2",
            "destination": {"name": name, "create": true},
        });
        case.object("BaoStaticSecret", name, spec).await?;
        case.ready::<BaoStaticSecret>(name, expected).await?;
    }
    Ok(())
}
