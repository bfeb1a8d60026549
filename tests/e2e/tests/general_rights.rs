//! Rights of general kinds: which Kubernetes namespaces may create resources, and in which OpenBao namespaces.

mod lines;

use anyhow::{Context, Result};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;
use steamer_api::BaoPolicy;
use steamer_testing::openbao::mount_kv;

use crate::fixture::{ready_in, ready_of};
use crate::general::Scene;
use crate::openbao_outage::gone;

/// Namespace of the cluster.
const OWN: &str = "general-rights";
/// Namespace of another team.
const OTHER: &str = "general-rights-other";
const PATH: &str = "sys/policies/acl/shared";
const PROJECT: &str = "org_977/group_7/project_42";

fn text(path: &str) -> String {
    format!("path \"{path}\" {{ capabilities = [\"read\"] }}\n")
}

#[tokio::test]
async fn a_right_decides_where_an_object_creates_deletes_and_claims() -> Result<()> {
    let scene = Scene::new(OWN).await?;
    scene.case.make_namespace(OTHER, json!({})).await?;
    let others: Api<BaoPolicy> = Api::namespaced(scene.case.client.clone(), OTHER);
    a_namespace_needs_the_permission_of_the_cluster(&scene, &others).await?;
    a_revoked_object_owns_nothing(&scene, &others).await?;
    a_project_contains_the_policies_that_refer_to_it(&scene).await?;
    an_object_that_waits_keeps_its_claims(&scene).await?;
    a_resource_belongs_to_one_object_of_all_kinds(&scene).await?;
    a_scope_refuses_other_namespaces(&scene).await?;
    lines::the_reported_lines_are_enough(&scene).await
}

async fn allow(scene: &Scene, from: &str) -> Result<()> {
    let spec = json!({"provisioningNamespaces": {"from": from}});
    scene.change("OpenBaoCluster", "own", json!({"spec": spec})).await
}

async fn a_namespace_needs_the_permission_of_the_cluster(
    scene: &Scene,
    others: &Api<BaoPolicy>,
) -> Result<()> {
    let spec = json!({
        "clusterRef": {"name": "own", "namespace": OWN}, "policy": text("other/*"), "deletionPolicy": "Delete",
    });
    scene.case.object_in(OTHER, "BaoPolicy", "shared", spec).await?;
    let denied = format!(
        "False/ReferenceDenied: OpenBaoCluster {OWN}/own does not allow objects of namespace {OTHER} to create resources: add the \
         namespace to its provisioningNamespaces"
    );
    ready_in(others, "shared", &denied).await?;
    assert_eq!(scene.state(PATH).await?, None, "a denied object created a policy");
    allow(scene, "All").await?;
    ready_in(others, "shared", "True/Applied").await?;
    assert!(scene.state(PATH).await?.is_some());
    Ok(())
}

async fn a_revoked_object_owns_nothing(scene: &Scene, others: &Api<BaoPolicy>) -> Result<()> {
    allow(scene, "Same").await?;
    ready_in(others, "shared", "False/ReferenceDenied").await?;
    scene.becomes(PATH, None).await?;
    // Another namespace creates the same resource. It is not an adoption: the revoked object claims nothing.
    scene.apply("BaoPolicy", "shared", json!({"policy": text("own/*")})).await?;
    scene.ready("BaoPolicy", "shared", "True/Applied").await?;
    let right = scene.state(PATH).await?.context("the policy does not exist")?;
    // Each change of the spec is a pass of the revoked object.
    for change in [json!({"policy": text("changed/*")}), json!({"suspend": true}), json!({"suspend": false})]
    {
        let patch = Patch::Merge(json!({"spec": change}));
        others.patch("shared", &PatchParams::default(), &patch).await?;
        // Of the current generation: the pass is complete.
        ready_in(others, "shared", "False/ReferenceDenied").await?;
        assert_eq!(scene.state(PATH).await?.as_ref(), Some(&right), "a revoked object changed a policy");
    }
    others.delete("shared", &DeleteParams::default()).await?;
    gone(others, "shared").await?;
    assert_eq!(scene.state(PATH).await?, Some(right), "the deletion of a revoked object removed a policy");
    scene.delete("BaoPolicy", "shared").await
}

async fn a_project_contains_the_policies_that_refer_to_it(scene: &Scene) -> Result<()> {
    let case = &scene.case;
    let issuer = json!({"oidcDiscoveryUrl": case.ground.issuer.url, "allowPlaintext": true});
    case.object("JWTIssuer", "gitlab", issuer).await?;
    let tenant = json!({
        "clusterRef": {"name": "own"}, "organizationId": 977, "groupId": 7, "issuerRef": {"name": "gitlab"},
    });
    case.object("SecretsTenant", "acme", tenant).await?;
    case.object("SecretsProject", "web", json!({"tenantRef": {"name": "acme"}, "id": 42})).await?;
    let spec = json!({"projectRef": {"name": "web"}, "policy": text("secrets/*")});
    case.object("BaoPolicy", "inside", spec).await?;
    let applied = format!("True/Applied: policy inside exists in namespace {PROJECT}");
    scene.ready("BaoPolicy", "inside", &applied).await?;
    assert!(scene.state(&format!("{PROJECT}/sys/policies/acl/inside")).await?.is_some());
    // The same policy, with another form of the reference.
    let spec = json!({"namespace": PROJECT, "name": "inside", "policy": text("kv/*")});
    scene.apply("BaoPolicy", "rival", spec).await?;
    let claimed = format!(
        "False/Conflict: BaoPolicy {OWN}/inside already claims policy inside of namespace {PROJECT} in OpenBaoCluster {OWN}/own"
    );
    scene.ready("BaoPolicy", "rival", &claimed).await?;
    // The first object is gone: the second one is visited at once.
    scene.delete("BaoPolicy", "inside").await?;
    scene.ready("BaoPolicy", "rival", "True/Applied").await?;
    scene.delete("BaoPolicy", "rival").await
}

/// The engine of a SecretsApp is missing, so that the application has no resource. A younger policy does not take its name.
async fn an_object_that_waits_keeps_its_claims(scene: &Scene) -> Result<()> {
    let path = "sys/policies/acl/early";
    scene.apply("SecretsApp", "early", json!({"identityGroup": {"enabled": false}})).await?;
    scene.ready("SecretsApp", "early", "False/SourceMissing: kv.mount").await?;
    scene.apply("BaoPolicy", "later", json!({"name": "early", "policy": text("other/*")})).await?;
    let claimed = format!("False/Conflict: SecretsApp {OWN}/early already claims policy early ({path})");
    scene.ready("BaoPolicy", "later", &claimed).await?;
    assert_eq!(scene.state(path).await?, None, "a younger object took the name");
    // The application is gone: the policy is visited at once.
    scene.delete("SecretsApp", "early").await?;
    scene.ready("BaoPolicy", "later", "True/Applied").await?;
    scene.delete("BaoPolicy", "later").await
}

/// A SecretsApp, and objects that contain one of its resources each.
async fn a_resource_belongs_to_one_object_of_all_kinds(scene: &Scene) -> Result<()> {
    mount_kv(&scene.admin, "kvv2").await?;
    scene.apply("SecretsApp", "claimed", json!({"identityGroup": {"enabled": false}})).await?;
    scene.ready("SecretsApp", "claimed", "True/Applied").await?;
    let (policy, role) = ("sys/policies/acl/claimed", "auth/kubernetes/role/claimed");
    let right = [scene.state(policy).await?, scene.state(role).await?];
    assert!(right.iter().all(Option::is_some), "{right:?}");
    let before = scene.writes()?;
    others_claim(scene, [("BaoPolicy", policy), ("BaoAuthRole", role)]).await?;
    scene.pass("SecretsApp", "claimed", policy).await?;
    scene.ready("SecretsApp", "claimed", "True/Applied").await?;
    // Neither object removes what is not its own.
    scene.delete("BaoPolicy", "claimed").await?;
    let written = scene.written()?.split_off(before);
    assert!(written.is_empty(), "two objects wrote one resource: {written:?}");
    assert_eq!([scene.state(policy).await?, scene.state(role).await?], right);
    // The owner is gone: the other object is visited at once.
    scene.delete("SecretsApp", "claimed").await?;
    scene.ready("BaoAuthRole", "claimed", "True/Applied").await?;
    assert_eq!(scene.state(policy).await?, None);
    scene.delete("BaoAuthRole", "claimed").await
}

/// `adopt: IfUnowned` does not override the claim of another object.
async fn others_claim(scene: &Scene, others: [(&str, &str); 2]) -> Result<()> {
    let accounts = json!([{"name": "other", "namespace": "other"}]);
    let role = json!({"serviceAccounts": accounts, "audience": "vault"});
    let specs = [json!({"policy": text("other/*")}), json!({"mount": "kubernetes", "kubernetes": role})];
    for ((kind, path), mut spec) in others.into_iter().zip(specs) {
        for adopt in ["Never", "IfUnowned"] {
            spec["adopt"] = json!(adopt);
            scene.apply(kind, "claimed", spec.clone()).await?;
            let object = scene.ready(kind, "claimed", "False/Conflict: SecretsApp ").await?;
            let claimed = format!("SecretsApp {OWN}/claimed already claims ");
            let seen = ready_of(&object);
            assert!(seen.contains(&claimed) && seen.contains(&format!("({path})")), "{seen}");
        }
    }
    Ok(())
}

async fn a_scope_refuses_other_namespaces(scene: &Scene) -> Result<()> {
    scene.post("sys/namespaces/team-a", json!({})).await?;
    let scope = json!({"operatorScope": "Namespaces", "operatorNamespaces": ["team-a"]});
    scene.change("OpenBaoCluster", "own", json!({"spec": scope})).await?;
    scene.apply("BaoPolicy", "listed", json!({"namespace": "team-a", "policy": text("kv/*")})).await?;
    scene.ready("BaoPolicy", "listed", "True/Applied").await?;
    scene.apply("BaoPolicy", "unlisted", json!({"policy": text("kv/*")})).await?;
    let object = scene.ready("BaoPolicy", "unlisted", "False/Invalid").await?;
    let expected = format!("the operatorScope of OpenBaoCluster {OWN}/own does not contain namespace");
    assert!(ready_of(&object).contains(&expected), "{object}");
    assert_eq!(scene.state("sys/policies/acl/unlisted").await?, None);
    scene.delete("BaoPolicy", "unlisted").await?;
    scene.delete("BaoPolicy", "listed").await
}
