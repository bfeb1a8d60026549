//! A tenant with a project, the fixture of most pipeline tests; and the namespaces that may use them.

use anyhow::{Context, Result};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use steamer_api::{JWTIssuer, PipelinePolicy, SecretsProject, SecretsTenant};
use steamer_openbao::{Error, Identity, Session};
use steamer_testing::issuer::{JwtIssuer, pipeline_claims};
use steamer_testing::wait::eventually;

use crate::fixture::{Case, ready_in};

/// The audience of pipeline tokens.
pub const AUDIENCE: &str = "https://bao.example.com";
/// The audience of ID tokens.
pub const ID_AUDIENCE: &str = "https://bao.example.com/id-tokens";

impl Case {
    /// Creates JWTIssuer `gitlab`, SecretsTenant `acme` (organization `organization`, group 7) and SecretsProject `web`
    /// (42). Returns the OpenBao namespace of the project.
    pub async fn project(&self, organization: i64) -> Result<String> {
        self.tenant(organization).await?;
        self.object("SecretsProject", "web", json!({"tenantRef": {"name": "acme"}, "id": 42})).await?;
        self.ready::<SecretsProject>("web", "True/Applied").await?;
        Ok(format!("org_{organization}/group_7/project_42"))
    }

    pub async fn tenant(&self, organization: i64) -> Result<()> {
        let url = self.ground.issuer.url.clone();
        self.object(
            "JWTIssuer",
            "gitlab",
            json!({"oidcDiscoveryUrl": url, "allowPlaintext": true, "refreshAfter": "5s"}),
        )
        .await?;
        let spec = json!({
            "clusterRef": {"name": "main"}, "organizationId": organization, "groupId": 7,
            "issuerRef": {"name": "gitlab"}, "deletionPolicy": "Delete",
        });
        self.object("SecretsTenant", "acme", spec).await?;
        self.ready::<JWTIssuer>("gitlab", "True/Applied").await?;
        self.ready::<SecretsTenant>("acme", "True/Applied").await.map(drop)
    }

    /// Creates JWTIssuer `gitlab` for an issuer of the test, whose keys are fetched every second.
    pub async fn follow(&self, issuer: &JwtIssuer) -> Result<()> {
        let spec = json!({"oidcDiscoveryUrl": issuer.url, "allowPlaintext": true, "refreshAfter": "1s"});
        self.object("JWTIssuer", "gitlab", spec).await.map(drop)
    }

    /// Creates SecretsTenant `acme` and SecretsProject `web` (42) of the existing JWTIssuer `gitlab`, which are kept when they
    /// are deleted. Returns the OpenBao namespace of the project.
    pub async fn project_of_issuer(&self, organization: i64) -> Result<String> {
        let spec = json!({
            "clusterRef": {"name": "main"}, "organizationId": organization, "groupId": 7,
            "issuerRef": {"name": "gitlab"},
        });
        self.object("SecretsTenant", "acme", spec).await?;
        self.object("SecretsProject", "web", json!({"tenantRef": {"name": "acme"}, "id": 42})).await?;
        self.ready::<SecretsProject>("web", "True/Applied").await?;
        Ok(format!("org_{organization}/group_7/project_42"))
    }

    /// Applies a PipelinePolicy of project `web` and waits until it is Ready.
    pub async fn policy(&self, name: &str, spec: Value) -> Result<()> {
        let mut spec = spec;
        spec["projectRef"] = json!({"name": "web"});
        self.object("PipelinePolicy", name, spec).await?;
        self.ready::<PipelinePolicy>(name, "True/").await.map(drop)
    }

    /// Writes values into the project.
    pub async fn values(&self, namespace: &str, names: &[&str]) -> Result<()> {
        let session = self.admin()?.within(namespace);
        for name in names {
            session
                .write_kv2("secrets/kv", &format!("explicit/{name}"), &json!({"value": format!("of {name}")}))
                .await?;
        }
        Ok(())
    }

    /// Logs in with a token and a role, as a GitLab runner does.
    pub async fn login(&self, namespace: &str, role: &str, jwt: &str) -> Result<Session, Error> {
        let body = json!({"role": role, "jwt": jwt});
        let anonymous =
            self.ground.openbao.client().map_err(|_| Error::NoLeader)?.session(Identity::Anonymous);
        let path = "auth/pipeline_jwt/cel/login";
        let answer = anonymous.within(namespace).request_any(reqwest::Method::POST, path, Some(body)).await?;
        let token =
            answer.pointer("/auth/client_token").and_then(Value::as_str).unwrap_or_default().to_owned();
        let client = self.ground.openbao.client().map_err(|_| Error::NoLeader)?;
        Ok(client.session(Identity::Token(token.into())).within(namespace))
    }

    /// Returns the names of the values that a pipeline with these claims can read. A denied login is an error.
    pub async fn readable(
        &self,
        namespace: &str,
        claims: &Value,
        names: &[&str],
    ) -> Result<Vec<String>, Error> {
        let jwt = self.ground.issuer.sign("key-1", claims).map_err(|_| Error::NoLeader)?;
        let session = self.login(namespace, "all_pipelines", &jwt).await?;
        readable_with(&session, names).await
    }

    pub fn claims(&self) -> Value {
        pipeline_claims(&self.ground.issuer.url, AUDIENCE)
    }
}

/// Returns the names of the values that a session can read.
pub async fn readable_with(session: &Session, names: &[&str]) -> Result<Vec<String>, Error> {
    let mut readable = Vec::new();
    for name in names {
        match session.read_kv2("secrets/kv", &format!("explicit/{name}"), None).await {
            Ok(_) => readable.push((*name).to_owned()),
            Err(Error::Denied { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(readable)
}

#[tokio::test]
async fn a_namespace_that_the_tenant_does_not_list_is_denied() -> Result<()> {
    let case = Case::new("tenancy-listed").await?;
    case.tenant(101).await?;
    case.make_namespace("tenancy-other", json!({})).await?;
    let projects = json!([{"name": "other", "namespaces": ["tenancy-other"], "ids": [42]}]);
    let patch = json!({"spec": {"projects": projects, "allowedNamespaces": {"from": "All"}}});
    let tenants: Api<SecretsTenant> = case.api();
    tenants.patch("acme", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    // Wait for the tenant, so that the projects are checked against the list and not against the previous spec.
    case.ready::<SecretsTenant>("acme", "True/Applied").await?;
    let spec = |id: i64| json!({"tenantRef": {"name": "acme", "namespace": "tenancy-listed"}, "id": id});
    case.object_in("tenancy-other", "SecretsProject", "listed", spec(42)).await?;
    case.object_in("tenancy-other", "SecretsProject", "unlisted", spec(43)).await?;
    case.object("SecretsProject", "own", spec(44)).await?;
    let others: Api<SecretsProject> = Api::namespaced(case.client.clone(), "tenancy-other");
    ready_in(&others, "listed", "True/Applied").await?;
    ready_in(&others, "unlisted", "False/ReferenceDenied").await?;
    case.ready::<SecretsProject>("own", "False/ReferenceDenied").await?;
    let tenant = case.admin()?.within("org_101/group_7");
    assert!(tenant.child_namespace("project_42").await?.is_some());
    assert!(tenant.child_namespace("project_43").await?.is_none());
    assert!(tenant.child_namespace("project_44").await?.is_none());

    // Removed from the list, the project loses its auth mount and keeps its values.
    case.values("org_101/group_7/project_42", &["A"]).await?;
    let patch =
        json!({"spec": {"projects": [{"name": "other", "namespaces": ["tenancy-other"], "ids": [1]}]}});
    tenants.patch("acme", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    ready_in(&others, "listed", "False/ReferenceDenied").await?;
    let project = case.admin()?.within("org_101/group_7/project_42");
    eventually("the auth mount is deleted", || async {
        match project.auth_mount("pipeline_jwt").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    assert!(project.mount("secrets/kv").await?.is_some());
    Ok(())
}

#[tokio::test]
async fn the_oldest_of_two_objects_for_one_project_wins() -> Result<()> {
    let case = Case::new("tenancy-claims").await?;
    case.project(102).await?;
    case.object("SecretsProject", "second", json!({"tenantRef": {"name": "acme"}, "id": 42})).await?;
    let second = case.ready::<SecretsProject>("second", "False/Conflict").await?;
    let conditions = second.status.context("the object has no status")?.common.conditions;
    assert!(conditions.iter().any(|condition| condition.type_ == "Stalled" && condition.status == "True"));
    case.ready::<SecretsProject>("web", "True/Applied").await?;
    // It takes over when the first one is deleted, because nothing that remains in OpenBao is marked as owned by an
    // existing object.
    let projects: Api<SecretsProject> = case.api();
    let patch = json!({"spec": {"deletionPolicy": "Delete"}});
    projects.patch("web", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    projects.delete("web", &DeleteParams::default()).await?;
    case.ready::<SecretsProject>("second", "True/Applied").await.map(drop)
}

#[tokio::test]
async fn a_project_has_one_owner_across_the_tenants_of_a_cluster() -> Result<()> {
    let case = Case::new("tenancy-owners").await?;
    case.project(105).await?;
    let tenant = json!({
        "clusterRef": {"name": "main"}, "organizationId": 105, "groupId": 8, "issuerRef": {"name": "gitlab"},
    });
    case.object("SecretsTenant", "beta", tenant).await?;
    case.ready::<SecretsTenant>("beta", "True/Applied").await?;
    let spec = |id: i64| json!({"tenantRef": {"name": "beta"}, "id": id});
    case.object("SecretsProject", "rival", spec(42)).await?;
    case.object("SecretsProject", "other", spec(43)).await?;
    let owner = "False/Conflict: SecretsProject tenancy-owners/web already claims project 42";
    case.ready::<SecretsProject>("rival", owner).await?;
    case.ready::<SecretsProject>("other", "True/Applied").await?;
    assert!(case.admin()?.within("org_105/group_8").child_namespace("project_42").await?.is_none());
    case.ready::<SecretsProject>("web", "True/Applied").await?;
    case.api::<SecretsProject>().delete("web", &DeleteParams::default()).await?;
    case.ready::<SecretsProject>("rival", "True/Applied").await.map(drop)
}

#[tokio::test]
async fn an_organization_is_a_tenant_beside_its_groups() -> Result<()> {
    let case = Case::new("tenancy-organization").await?;
    // The tenant of group 7 comes first.
    case.project(106).await?;
    let tenant = |group: Option<i64>| {
        let mut spec = json!({
            "clusterRef": {"name": "main"}, "organizationId": 106, "issuerRef": {"name": "gitlab"},
            "deletionPolicy": "Delete",
        });
        group.into_iter().for_each(|group| spec["groupId"] = json!(group));
        spec
    };
    let ready = async |name: &str| case.ready::<SecretsTenant>(name, "True/Applied").await.map(drop);
    case.object("SecretsTenant", "whole", tenant(None)).await?;
    ready("whole").await?;
    let spec = json!({"tenantRef": {"name": "whole"}, "id": 50, "deletionPolicy": "Delete"});
    case.object("SecretsProject", "plain", spec).await?;
    case.ready::<SecretsProject>("plain", "True/Applied").await?;
    // The tenant of group 9 comes after that of the organization.
    case.object("SecretsTenant", "late", tenant(Some(9))).await?;
    ready("late").await?;
    let nudge = json!({"metadata": {"annotations": {"steamer.dev/reconcile": "now"}}});
    let tenants: Api<SecretsTenant> = case.api();
    tenants.patch("acme", &PatchParams::default(), &Patch::Merge(&nudge)).await?;
    ready("acme").await?;
    let organization = case.admin()?.within("org_106");
    let children =
        async || anyhow::Ok(organization.child_namespaces().await?.into_keys().collect::<Vec<_>>());
    assert_eq!(children().await?, ["group_7", "group_9", "project_50"]);

    // Its deletion leaves the tenants of the groups, and another tenant can follow it.
    let projects: Api<SecretsProject> = case.api();
    projects.delete("plain", &DeleteParams::default()).await?;
    crate::openbao_outage::gone(&projects, "plain").await?;
    for name in ["late", "whole"] {
        tenants.delete(name, &DeleteParams::default()).await?;
        crate::openbao_outage::gone(&tenants, name).await?;
    }
    assert_eq!(children().await?, ["group_7"]);
    case.object("SecretsTenant", "next", tenant(None)).await?;
    ready("next").await?;
    ready("acme").await?;
    case.ready::<SecretsProject>("web", "True/Applied").await.map(drop)
}

#[tokio::test]
async fn revoking_allowed_namespaces_removes_a_policy_and_granting_them_restores_it() -> Result<()> {
    let case = Case::new("tenancy-withdraw").await?;
    let namespace = case.project(103).await?;
    case.values(&namespace, &["A", "B"]).await?;
    case.policy("own", json!({"secrets": [{"name": "A"}]})).await?;
    case.make_namespace("tenancy-guest", json!({"team": "web"})).await?;
    let projects: Api<SecretsProject> = case.api();
    let allow = |from: Value| json!({"spec": {"allowedNamespaces": from}});
    let selector = json!({"from": "Selector", "selector": {"matchLabels": {"team": "web"}}});
    projects.patch("web", &PatchParams::default(), &Patch::Merge(&allow(selector.clone()))).await?;
    let spec =
        json!({"projectRef": {"name": "web", "namespace": "tenancy-withdraw"}, "secrets": [{"name": "B"}]});
    case.object_in("tenancy-guest", "PipelinePolicy", "guest", spec).await?;
    let guests: Api<PipelinePolicy> = Api::namespaced(case.client.clone(), "tenancy-guest");
    ready_in(&guests, "guest", "True/Applied").await?;
    let jwt = case.ground.issuer.sign("key-1", &case.claims())?;
    let session = case.login(&namespace, "all_pipelines", &jwt).await?;
    assert_eq!(readable_with(&session, &["A", "B"]).await?, ["A", "B"]);

    projects.patch("web", &PatchParams::default(), &Patch::Merge(&allow(json!({"from": "Same"})))).await?;
    ready_in(&guests, "guest", "False/ReferenceDenied").await?;
    eventually("the live token loses the access that the guest policy granted", || async {
        match readable_with(&session, &["A", "B"]).await {
            Ok(readable) if readable == ["A"] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    projects.patch("web", &PatchParams::default(), &Patch::Merge(&allow(selector))).await?;
    ready_in(&guests, "guest", "True/Applied").await?;
    assert_eq!(readable_with(&session, &["A", "B"]).await?, ["A", "B"]);

    // Removing the label of the namespace revokes the grant, too.
    case.make_namespace("tenancy-guest", json!({"team": "other"})).await?;
    ready_in(&guests, "guest", "False/ReferenceDenied").await.map(drop)
}

/// Waits until an object is suspended.
pub async fn suspended(projects: &Api<SecretsProject>, name: &str) -> Result<()> {
    eventually("the project is suspended", || async {
        let project = projects.get(name).await.map_err(|error| error.to_string())?;
        let conditions = project.status.map(|status| status.common.conditions).unwrap_or_default();
        let found = conditions.iter().any(|it| it.type_ == "Suspended" && it.status == "True");
        if found { Ok(()) } else { Err(format!("{conditions:?}")) }
    })
    .await
}

#[tokio::test]
async fn withdrawn_grants_take_effect_under_suspend_and_observe() -> Result<()> {
    let case = Case::new("tenancy-modes").await?;
    let namespace = case.project(104).await?;
    case.values(&namespace, &["A", "B"]).await?;
    case.policy("kept", json!({"secrets": [{"name": "A"}]})).await?;
    let jwt = case.ground.issuer.sign("key-1", &case.claims())?;
    let projects: Api<SecretsProject> = case.api();
    let policies: Api<PipelinePolicy> = case.api();
    let tenants: Api<SecretsTenant> = case.api();
    let patch = |spec: Value| Patch::Merge(json!({"spec": spec}));
    let parameters = PatchParams::default();
    for held in [json!({"suspend": true}), json!({"mode": "Observe"})] {
        projects.patch("web", &parameters, &patch(json!({"suspend": false, "mode": "Enforce"}))).await?;
        case.policy("cancelled", json!({"secrets": [{"name": "B"}], "cancelled": false})).await?;
        let session = case.login(&namespace, "all_pipelines", &jwt).await?;
        assert_eq!(readable_with(&session, &["A", "B"]).await?, ["A", "B"]);
        projects.patch("web", &parameters, &patch(held.clone())).await?;
        policies.patch("cancelled", &parameters, &patch(json!({"cancelled": true}))).await?;
        eventually("the cancelled policy grants nothing", || async {
            match readable_with(&session, &["A", "B"]).await {
                Ok(readable) if readable == ["A"] => Ok(()),
                other => Err(format!("{held}: {other:?}")),
            }
        })
        .await?;

        tenants.patch("acme", &parameters, &patch(json!({"enabled": false}))).await?;
        eventually("the disabled tenant gives no access", || async {
            let login = case.login(&namespace, "all_pipelines", &jwt).await.is_ok();
            let project = projects.get("web").await.map_err(|error| error.to_string())?;
            let status = project.status.unwrap_or_default();
            match readable_with(&session, &["A", "B"]).await {
                Ok(readable) if readable.is_empty() && !login && status.runner.is_none() => Ok(()),
                other => Err(format!("{held}: {login} {other:?} {:?}", status.runner)),
            }
        })
        .await?;
        tenants.patch("acme", &parameters, &patch(json!({"enabled": true}))).await?;
        projects.patch("web", &parameters, &patch(json!({"suspend": false, "mode": "Enforce"}))).await?;
        case.ready::<SecretsProject>("web", "True/Applied").await?;
        case.ready::<PipelinePolicy>("kept", "True/Applied").await?;
    }

    // A deleted issuer lets no job in.
    projects.patch("web", &parameters, &patch(json!({"suspend": true}))).await?;
    case.api::<JWTIssuer>().delete("gitlab", &DeleteParams::default()).await?;
    case.ready::<SecretsProject>("web", "False/ReferenceNotFound").await?;
    assert!(case.login(&namespace, "all_pipelines", &jwt).await.is_err());
    Ok(())
}
