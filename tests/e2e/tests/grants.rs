//! Every grant that a project needs, times every mode: a withdrawn grant removes access, and a restored one returns it.

use anyhow::Result;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use steamer_api::{BaoStaticSecret, JWTIssuer, SecretsProject, SecretsTenant};
use steamer_testing::wait::eventually;

use crate::fixture::{Case, ready_in};
use crate::tenancy::readable_with;

const NAMESPACE: &str = "grants";
const GUEST: &str = "grants-guest";
const PROJECT: &str = "org_107/group_7/project_42";

/// A grant, and how it is withdrawn and restored.
enum Grant {
    /// A change of the spec of an object: kind, name, spec without and with the grant.
    Spec(&'static str, &'static str, Value, Value),
    /// The label of the namespace of the project, which the tenant selects.
    Label,
    /// The existence of the issuer.
    Issuer,
}

fn selected() -> Value {
    json!({"from": "Selector", "selector": {"matchLabels": {"team": "web"}}})
}

fn listed(id: i64) -> Value {
    json!({"projects": [{"name": "web", "namespaces": [GUEST], "ids": [id]}]})
}

fn issuer(case: &Case) -> Value {
    json!({"oidcDiscoveryUrl": case.ground.issuer.url, "allowPlaintext": true, "refreshAfter": "1s", "allowedNamespaces": {"from": "All"}})
}

fn grants() -> Vec<Grant> {
    let allowed = |from: Value| json!({"allowedNamespaces": from});
    let (same, all) = (json!({"from": "Same", "selector": null}), json!({"from": "All"}));
    vec![
        Grant::Spec("SecretsTenant", "acme", allowed(same.clone()), allowed(selected())),
        Grant::Spec("SecretsTenant", "acme", listed(1), listed(42)),
        Grant::Spec("SecretsTenant", "acme", json!({"enabled": false}), json!({"enabled": true})),
        Grant::Spec("JWTIssuer", "gitlab", allowed(same), allowed(all)),
        Grant::Label,
        Grant::Issuer,
    ]
}

impl Grant {
    async fn withdraw(&self, case: &Case) -> Result<()> {
        match self {
            Self::Spec(kind, name, without, _) => change(case, kind, name, without).await,
            Self::Label => case.make_namespace(GUEST, json!({"team": "other"})).await,
            Self::Issuer => {
                case.api::<JWTIssuer>().delete("gitlab", &DeleteParams::default()).await?;
                Ok(())
            }
        }
    }

    async fn restore(&self, case: &Case) -> Result<()> {
        match self {
            Self::Spec(kind, name, _, with) => change(case, kind, name, with).await,
            Self::Label => case.make_namespace(GUEST, json!({"team": "web"})).await,
            Self::Issuer => case.object("JWTIssuer", "gitlab", issuer(case)).await.map(drop),
        }
    }

    fn described(&self) -> String {
        match self {
            Self::Spec(kind, _, without, _) => format!("{kind} {without}"),
            Self::Label => "label".to_owned(),
            Self::Issuer => "issuer".to_owned(),
        }
    }
}

async fn change(case: &Case, kind: &str, name: &str, spec: &Value) -> Result<()> {
    let gvk = GroupVersionKind::gvk("steamer.dev", "v1alpha1", kind);
    let (resource, _) = kube::discovery::pinned_kind(&case.client, &gvk).await?;
    let api: Api<DynamicObject> = Api::namespaced_with(case.client.clone(), NAMESPACE, &resource);
    api.patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await?;
    Ok(())
}

/// Creates a project in a namespace that needs every grant.
async fn project(case: &Case) -> Result<Api<SecretsProject>> {
    case.make_namespace(GUEST, json!({"team": "web"})).await?;
    case.tenant(107).await?;
    case.object("JWTIssuer", "gitlab", issuer(case)).await?;
    change(case, "SecretsTenant", "acme", &json!({"allowedNamespaces": selected()})).await?;
    change(case, "SecretsTenant", "acme", &listed(42)).await?;
    case.ready::<SecretsTenant>("acme", "True/Applied").await?;
    case.ready::<JWTIssuer>("gitlab", "True/Applied").await?;
    let reference = |name: &str| json!({"name": name, "namespace": NAMESPACE});
    let spec = json!({"tenantRef": reference("acme"), "issuerRef": reference("gitlab"), "id": 42});
    case.object_in(GUEST, "SecretsProject", "web", spec).await?;
    let projects: Api<SecretsProject> = Api::namespaced(case.client.clone(), GUEST);
    ready_in(&projects, "web", "True/Applied").await?;
    let policy = json!({"projectRef": {"name": "web"}, "secrets": [{"name": "A"}]});
    case.object_in(GUEST, "PipelinePolicy", "all", policy).await?;
    case.values(PROJECT, &["A"]).await?;
    Ok(projects)
}

#[tokio::test]
async fn every_withdrawn_grant_removes_access_in_every_mode() -> Result<()> {
    let case = Case::new(NAMESPACE).await?;
    let projects = project(&case).await?;
    let sign = || case.ground.issuer.sign("key-1", &case.claims());
    let set = async |mode: &Value| {
        projects.patch("web", &PatchParams::default(), &Patch::Merge(json!({"spec": mode}))).await
    };
    let enforce = json!({"suspend": false, "mode": "Enforce"});
    for grant in grants() {
        for mode in [enforce.clone(), json!({"suspend": true}), json!({"mode": "Observe"})] {
            let jwt = sign()?;
            let row = format!("{} under {mode}", grant.described());
            let session = eventually(&format!("access before: {row}"), || async {
                let session = case.login(PROJECT, "all_pipelines", &jwt).await;
                let session = session.map_err(|error| error.to_string())?;
                match readable_with(&session, &["A"]).await {
                    Ok(readable) if readable == ["A"] => Ok(session),
                    other => Err(format!("{other:?}")),
                }
            })
            .await?;
            set(&mode).await?;
            grant.withdraw(&case).await?;
            eventually(&format!("no access: {row}"), || async {
                let login = case.login(PROJECT, "all_pipelines", &jwt).await.is_ok();
                let project = projects.get("web").await.map_err(|error| error.to_string())?;
                let runner = project.status.unwrap_or_default().runner;
                match readable_with(&session, &["A"]).await {
                    Ok(readable) if readable.is_empty() && !login && runner.is_none() => Ok(()),
                    other => Err(format!("{login} {other:?} {runner:?}")),
                }
            })
            .await?;
            grant.restore(&case).await?;
            set(&enforce).await?;
            ready_in(&projects, "web", "True/Applied").await?;
        }
    }
    // A name that never existed withdraws nothing.
    let jwt = sign()?;
    set(&json!({"issuerRef": {"name": "wrong", "namespace": NAMESPACE}})).await?;
    let waits =
        "False/ReferenceNotFound: JWTIssuer grants/wrong does not exist: create it, or correct issuerRef";
    ready_in(&projects, "web", waits).await?;
    case.login(PROJECT, "all_pipelines", &jwt).await?;
    // The issuer that was used before still counts.
    Grant::Issuer.withdraw(&case).await?;
    eventually("a deleted issuer lets no job in", || async {
        match case.login(PROJECT, "all_pipelines", &jwt).await {
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
