//! An operator that serves the objects of Vault Secrets Operator in its place.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use steamer_api::BaoStaticSecret;
use steamer_testing::cache::checkout;
use steamer_testing::ground::{apply, yaml};
use steamer_testing::proxy::Asked;
use steamer_testing::wait::eventually;

use crate::fixture::ready_of;
use crate::migration::{former, install};
use crate::rig::Rig;
use crate::static_secrets::{auth, engine};

const NAME: &str = "served";
const KINDS: [&str; 7] = [
    "VaultConnection",
    "VaultAuthGlobal",
    "VaultAuth",
    "VaultDynamicSecret",
    "VaultPKISecret",
    "SecretTransformation",
    "VaultStaticSecret",
];

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "secrets.hashicorp.com/v1beta1", "kind": kind,
        "metadata": {
            "name": name, "namespace": NAME,
            "finalizers": [format!("{}.secrets.hashicorp.com/finalizer", kind.to_lowercase())],
        },
        "spec": spec,
    })
}

fn static_secret(name: &str, transformation: Value) -> Value {
    let spec = json!({
        "vaultAuthRef": "auth", "mount": NAME, "path": "app", "type": "kv-v2", "refreshAfter": "1s",
        "rolloutRestartTargets": [{"kind": "Deployment", "name": "web"}], "syncConfig": {"instantUpdates": true},
        "destination": {"name": name, "create": true, "transformation": transformation},
    });
    object("VaultStaticSecret", name, spec)
}

/// The objects that VSO serves, without those of which it wrote a Secret.
fn objects(address: &str) -> [Value; 4] {
    let kubernetes = json!({"role": NAME, "serviceAccount": "default", "audiences": ["openbao"]});
    let auth = json!({
        "vaultConnectionRef": "bao", "method": "kubernetes", "mount": "kubernetes", "kubernetes": kubernetes,
    });
    let login = r#"{{ get .Secrets "user" }}:{{ get .Secrets "password" }}"#;
    [
        object("VaultConnection", "bao", json!({"address": address, "caCertSecretRef": "main-ca"})),
        object("VaultAuth", "auth", auth),
        object("SecretTransformation", "login", json!({"templates": {"login": {"text": login}}})),
        static_secret(
            "rendered",
            json!({"excludes": [".*"], "excludeRaw": true, "transformationRefs": [{"name": "login"}]}),
        ),
    ]
}

/// Creates a Deployment, and an object of which VSO wrote the Secret. Returns both.
async fn taken_over(rig: &Rig, secrets: &Api<DynamicObject>) -> Result<(Deployment, Secret)> {
    let case = &rig.case;
    let data = json!({"password": STANDARD.encode("first"), "user": STANDARD.encode("app")});
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "data": data,
        "metadata": {
            "name": "app", "namespace": NAME, "ownerReferences": [{}],
            "labels": {
                "app.kubernetes.io/name": "vault-secrets-operator", "app.kubernetes.io/managed-by": "hashicorp-vso",
                "app.kubernetes.io/component": "secret-sync", "secrets.hashicorp.com/vso-ownerRefUID": "u",
            },
        },
    });
    let secret = former(case, &static_secret("app", json!({"excludeRaw": true})), secret).await?;
    let status = Patch::Merge(json!({"status": {"secretMAC": "m", "lastGeneration": 1}}));
    secrets.patch_status("app", &PatchParams::default(), &status).await?;
    let labels = json!({"app": "web"});
    let web = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": NAME},
        "spec": {"selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]},
        }},
    });
    apply(&case.client, web).await?;
    Ok((case.api::<Deployment>().get("web").await?, secret))
}

/// Waits until the status of an object is that of a synced object of VSO.
async fn synced(secrets: &Api<DynamicObject>, name: &str) -> Result<DynamicObject> {
    eventually("the object is synced", || async {
        let found = secrets.get(name).await.map_err(|error| error.to_string())?;
        let conditions = found.data.pointer("/status/conditions").and_then(Value::as_array).cloned();
        let is_true = |type_: &str| {
            let mut all = conditions.iter().flatten();
            all.any(|condition| condition["type"] == type_ && condition["status"] == "True")
        };
        let is_current =
            found.data.pointer("/status/lastGeneration").and_then(Value::as_i64) == found.metadata.generation;
        if is_current && ["Ready", "Healthy", "SecretSynced"].into_iter().all(is_true) {
            return Ok(found);
        }
        Err(found.data.to_string())
    })
    .await
}

async fn has_value(rig: &Rig, name: &str, key: &str, value: &str) -> Result<Secret> {
    let secrets: Api<Secret> = rig.case.api();
    eventually("the Secret has the value", || async {
        let secret = secrets.get(name).await.map_err(|error| error.to_string())?;
        let found = secret.data.as_ref().and_then(|data| data.get(key));
        let is_expected = found.is_some_and(|found| found.0 == value.as_bytes());
        if is_expected {
            Ok(secret)
        } else {
            Err(format!("{name} has keys {:?}", secret.data.map(std::collections::BTreeMap::into_keys)))
        }
    })
    .await
}

/// Checks that two refreshes of a settled object write nothing to Kubernetes.
async fn settled(rig: &Rig) -> Result<()> {
    let reads = || {
        let is_read = |asked: &Asked| asked.path.ends_with("/data/app").then(|| asked.path.clone());
        rig.openbao.count(is_read).values().sum::<usize>()
    };
    let refreshed = || async {
        rig.openbao.forget();
        eventually("the value is read twice", || async {
            let count = reads();
            if count >= 2 { Ok(()) } else { Err(count.to_string()) }
        })
        .await
    };
    refreshed().await?;
    rig.kubernetes.forget();
    refreshed().await?;
    let writes = rig.kubernetes.count(|asked| {
        let writes = asked.writes() && !asked.path.ends_with("/token") && !asked.path.contains("/leases/");
        writes.then(|| format!("{} {}", asked.method, asked.path))
    });
    ensure!(writes.is_empty(), "a settled object writes: {writes:?}");
    Ok(())
}

#[tokio::test]
async fn an_operator_in_the_place_of_vso_serves_its_objects_without_a_rewrite_or_a_restart() -> Result<()> {
    let mut rig = Rig::alone(NAME).await?;
    rig.operator.arguments.push("--serve-vso".to_owned());
    let client = rig.case.client.clone();
    for file in ["role.yaml", "role_binding.yaml"] {
        for object in yaml(&std::fs::read_to_string(checkout().join("config/vso").join(file))?)? {
            apply(&client, object).await?;
        }
    }
    engine(&rig.case, NAME).await?;
    let admin = rig.case.admin()?;
    admin.write_kv2(NAME, "app", &json!({"password": "first", "user": "app"})).await?;
    let mut api = None;
    for kind in KINDS {
        api = Some(install(&rig.case, ("secrets.hashicorp.com", "v1beta1", kind)).await?);
    }
    let secrets = api.context("no kinds")?;
    for object in objects(rig.openbao_url()) {
        apply(&client, object).await?;
    }
    let (web, before) = taken_over(&rig, &secrets).await?;
    rig.start().await?;

    let taken = synced(&secrets, "app").await?;
    assert_eq!(taken.data.pointer("/status/secretMAC"), Some(&json!("m")), "the state of VSO stays");
    let status = taken.data["status"].to_string();
    ensure!(status.contains("spec.syncConfig.instantUpdates: "), "{status}");
    let secret = rig.case.api::<Secret>().get("app").await?;
    assert_eq!((&secret.data, secret.uid()), (&before.data, before.uid()));
    let owners: Vec<_> =
        secret.owner_references().iter().map(|it| (it.kind.as_str(), it.uid.clone())).collect();
    assert_eq!(owners, [("VaultStaticSecret", taken.uid().unwrap_or_default())]);
    let own = secret.managed_fields().iter().filter(|entry| entry.manager.as_deref() == Some("steamer"));
    let mut fields = own.filter_map(|entry| entry.fields_v1.as_ref());
    ensure!(!fields.any(|fields| fields.0.get("f:data").is_some()), "the takeover contained data");
    synced(&secrets, "rendered").await?;
    has_value(&rig, "rendered", "login", "app:first").await?;
    settled(&rig).await?;
    let deployments: Api<Deployment> = rig.case.api();
    assert_eq!(deployments.get("web").await?.metadata.generation, web.metadata.generation, "no restart");

    // An object of Steamer does not share the Secret.
    rig.case.object("BaoAuth", "default", auth(NAME)).await?;
    let spec = json!({
        "mount": NAME, "path": "app", "type": "kv-v2",
        "destination": {"name": "app", "create": true, "overwrite": true},
    });
    rig.case.object("BaoStaticSecret", "rival", spec).await?;
    let rival = rig.case.ready::<BaoStaticSecret>("rival", "False/Conflict").await?;
    let text = ready_of(&serde_json::to_value(&rival)?);
    ensure!(text.contains("belongs to VaultStaticSecret served/app"), "{text}");
    rig.case.api::<BaoStaticSecret>().delete("rival", &DeleteParams::default()).await?;

    admin.write_kv2(NAME, "app", &json!({"password": "second", "user": "app"})).await?;
    has_value(&rig, "app", "password", "second").await?;
    has_value(&rig, "rendered", "login", "app:second").await?;
    eventually("the workload restarts", || async {
        let found = deployments.get("web").await.map_err(|error| error.to_string())?.metadata.generation;
        if found > web.metadata.generation { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await?;

    // The finalizers of VSO must not keep the objects.
    for object in [static_secret("app", json!({}))].into_iter().chain(objects("")) {
        deleted(&rig, &object).await?;
    }
    eventually("the Secrets are deleted", || async {
        let list =
            rig.case.api::<Secret>().list(&Default::default()).await.map_err(|error| error.to_string())?;
        let left: Vec<String> = list
            .iter()
            .map(ResourceExt::name_any)
            .filter(|name| ["app", "rendered"].contains(&name.as_str()))
            .collect();
        if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
    })
    .await
}

async fn deleted(rig: &Rig, object: &Value) -> Result<()> {
    let (kind, name) = (
        object["kind"].as_str().unwrap_or_default(),
        object["metadata"]["name"].as_str().unwrap_or_default(),
    );
    let kind = kube::core::GroupVersionKind::gvk("secrets.hashicorp.com", "v1beta1", kind);
    let plural = format!("{}s", kind.kind.to_lowercase());
    let resource = kube::api::ApiResource::from_gvk_with_plural(&kind, &plural);
    let api: Api<DynamicObject> = Api::namespaced_with(rig.case.client.clone(), NAME, &resource);
    api.delete(name, &DeleteParams::default()).await?;
    eventually("the object is deleted", || async {
        match api.get_opt(name).await {
            Ok(None) => Ok(()),
            other => Err(format!("{:?}", other.map(|object| object.map(|it| it.metadata)))),
        }
    })
    .await
}
