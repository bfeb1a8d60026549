//! Takeover of Secrets that Vault Secrets Operator and External Secrets Operator wrote: no change of the data, no restart.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use steamer_api::BaoStaticSecret;
use steamer_testing::ground::{apply, yaml};
use steamer_testing::operator;
use steamer_testing::wait::eventually;

use crate::fixture::Case;
use crate::static_secrets::{auth, engine};

/// Installs the CRD of a former operator, without its schema.
pub async fn install(case: &Case, (group, version, kind): (&str, &str, &str)) -> Result<Api<DynamicObject>> {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version_of = json!({"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}});
    let plural = format!("{}s", kind.to_lowercase());
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}"), "annotations": {"api-approved.kubernetes.io": "unapproved"}},
        "spec": {"group": group, "names": {"kind": kind, "plural": plural}, "scope": "Namespaced", "versions": [version_of]},
    });
    apply(&case.client, definition).await?;
    let kind = GroupVersionKind::gvk(group, version, kind);
    let api = Api::namespaced_with(
        case.client.clone(),
        &case.namespace,
        &ApiResource::from_gvk_with_plural(&kind, &plural),
    );
    eventually("the CRD is served", || async {
        api.list(&Default::default()).await.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    Ok(api)
}

/// Runs `steamer convert` with a text as its input. Returns the converted objects.
fn converted(text: &str) -> Result<Vec<Value>> {
    let mut command = Command::new(operator::binary()?);
    command.args(["convert", "--report", "json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    std::io::Write::write_all(&mut child.stdin.take().context("no standard input")?, text.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.code() == Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    yaml(&String::from_utf8(output.stdout)?)
}

/// Runs `steamer convert` on the objects of the cluster, where only some kinds of the former operators are installed. Returns
/// the converted objects.
fn converted_from_cluster(kubeconfig: &Path) -> Result<Vec<Value>> {
    let mut command = Command::new(operator::binary()?);
    let output = command.args(["convert", "--from-cluster"]).env("KUBECONFIG", kubeconfig).output()?;
    // There is something to review: the store is not in the cluster.
    ensure!(output.status.code() == Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    yaml(&String::from_utf8(output.stdout)?)
}

/// Creates an object of a former operator, and its Secret as it wrote it.
pub async fn former(case: &Case, object: &Value, secret: Value) -> Result<Secret> {
    let owner = apply(&case.client, object.clone()).await?;
    let uid = owner.uid().context("no uid")?;
    let mut secret = secret;
    let reference = &mut secret["metadata"]["ownerReferences"][0];
    reference["apiVersion"] = object["apiVersion"].clone();
    reference["kind"] = object["kind"].clone();
    reference["name"] = object["metadata"]["name"].clone();
    reference["uid"] = json!(uid);
    apply(&case.client, secret.clone()).await?;
    Ok(case.api::<Secret>().get(secret["metadata"]["name"].as_str().context("no name")?).await?)
}

#[tokio::test]
async fn a_secret_of_a_former_operator_is_taken_over_without_a_change_of_its_data() -> Result<()> {
    let case = Case::new("migration").await?;
    engine(&case, "migration").await?;
    let value = json!({"password": "a<b>&c", "user": "app"});
    case.admin()?.write_kv2("migration", "app", &value).await?;
    let read = case.admin()?.request_any(reqwest::Method::GET, "migration/data/app", None).await?;
    let metadata = read.pointer("/data/metadata").or_else(|| read.pointer("/metadata"));
    let metadata = metadata.context("no metadata")?;
    case.object("BaoAuth", "default", auth("migration")).await?;
    case.object("BaoAuth", "store", auth("migration")).await?;
    let vso = install(&case, ("secrets.hashicorp.com", "v1beta1", "VaultStaticSecret")).await?;
    let eso = install(&case, ("external-secrets.io", "v1", "ExternalSecret")).await?;

    // As Go writes it.
    let raw =
        format!(r#"{{"data":{{"password":"a\u003cb\u003e\u0026c","user":"app"}},"metadata":{metadata}}}"#);
    let data = json!({"password": STANDARD.encode("a<b>&c"), "user": STANDARD.encode("app")});
    let mut with_raw = data.clone();
    with_raw["_raw"] = json!(STANDARD.encode(raw));
    let static_secret = json!({
        "apiVersion": "secrets.hashicorp.com/v1beta1", "kind": "VaultStaticSecret",
        "metadata": {"name": "vso", "namespace": "migration"},
        "spec": {
            "vaultAuthRef": "default", "mount": "migration", "path": "app", "type": "kv-v2",
            "rolloutRestartTargets": [{"kind": "Deployment", "name": "web"}],
            "destination": {"name": "vso", "create": true},
        },
    });
    let of_vso = json!({
        "apiVersion": "v1", "kind": "Secret", "data": with_raw,
        "metadata": {
            "name": "vso", "namespace": "migration", "ownerReferences": [{}],
            "labels": {
                "app.kubernetes.io/name": "vault-secrets-operator", "app.kubernetes.io/managed-by": "hashicorp-vso",
                "app.kubernetes.io/component": "secret-sync", "secrets.hashicorp.com/vso-ownerRefUID": "u",
            },
        },
    });
    let external = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
        "metadata": {"name": "eso", "namespace": "migration"},
        "spec": {"secretStoreRef": {"name": "store"}, "target": {"name": "eso"}, "dataFrom": [{"extract": {"key": "app"}}]},
    });
    let of_eso = json!({
        "apiVersion": "v1", "kind": "Secret", "data": data,
        "metadata": {
            "name": "eso", "namespace": "migration",
            "ownerReferences": [{"controller": true, "blockOwnerDeletion": true}],
            "labels": {"reconcile.external-secrets.io/managed": "true", "reconcile.external-secrets.io/created-by": "c"},
            "annotations": {"reconcile.external-secrets.io/data-hash": "h"},
        },
    });
    let labels = json!({"app": "web"});
    let web = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "migration"},
        "spec": {"selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]},
        }},
    });
    let web = apply(&case.client, web).await?;
    let store = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": "store", "namespace": "migration"},
        "spec": {"provider": {"vault": {"server": "https://bao:8200", "path": "migration", "auth": {
            "kubernetes": {"role": "r", "serviceAccountRef": {"name": "default", "audiences": ["openbao"]}},
        }}}},
    });
    let objects = json!({"kind": "List", "items": [static_secret, external, store]}).to_string();
    let objects = tokio::task::spawn_blocking(move || converted(&objects)).await??;
    let secrets: Api<Secret> = case.api();
    let before = [former(&case, &static_secret, of_vso).await?, former(&case, &external, of_eso).await?];
    let kubeconfig = case.ground.plane.kubeconfig_path("admin");
    let live = tokio::task::spawn_blocking(move || converted_from_cluster(&kubeconfig)).await??;
    let vso_of = |objects: &[Value]| {
        objects.iter().find(|object| object["metadata"]["name"] == "vso").map(|object| object["spec"].clone())
    };
    assert!(vso_of(&live).is_some());
    assert_eq!(vso_of(&live), vso_of(&objects));
    for object in objects.into_iter().filter(|object| object["kind"] == "BaoStaticSecret") {
        apply(&case.client, object).await?;
    }
    for (former, api) in before.iter().zip([&vso, &eso]) {
        let name = former.name_any();
        case.ready::<BaoStaticSecret>(&name, "True/Applied").await?;
        let taken = secrets.get(&name).await?;
        assert_eq!((&taken.data, taken.uid()), (&former.data, former.uid()), "{name}");
        let owners: Vec<&str> = taken.owner_references().iter().map(|owner| owner.kind.as_str()).collect();
        assert_eq!(owners, ["BaoStaticSecret"], "{name}");
        let keys = taken.labels().keys().chain(taken.annotations().keys());
        let left: Vec<&String> = keys
            .filter(|key| !key.contains("steamer.dev/") && *key != "app.kubernetes.io/managed-by")
            .collect();
        ensure!(left.is_empty(), "{name}: {left:?}");
        let values =
            taken.managed_fields().iter().filter(|entry| entry.manager.as_deref() == Some("steamer"));
        let writes_data = values
            .filter_map(|entry| entry.fields_v1.as_ref())
            .any(|fields| fields.0.get("f:data").is_some());
        ensure!(!writes_data, "the takeover of {name} contained data");
        // The garbage collector deletes the Secrets of a deleted owner.
        api.delete(&name, &DeleteParams::foreground()).await?;
        eventually("the former object is deleted", || async {
            match api.get_opt(&name).await {
                Ok(None) => Ok(()),
                other => Err(format!("{:?}", other.map(|object| object.map(|it| it.metadata)))),
            }
        })
        .await?;
        assert_eq!(secrets.get(&name).await?.uid(), former.uid(), "{name}");
    }
    let after = case.api::<Deployment>().get("web").await?;
    assert_eq!(after.metadata.generation, web.metadata.generation, "a takeover restarts nothing");
    Ok(())
}
