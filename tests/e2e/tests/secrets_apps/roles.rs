//! Logins of pods and readers.

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::json;

use steamer_api::SecretsApp;

use super::scene::{Apps, account, denied, log_in, pod, value};
use crate::general::Scene;

/// Each ServiceAccount and namespace, and whether it may log in with a role.
async fn matrix(scene: &Scene, role: &str, cells: &[((&str, &str), bool)]) -> Result<()> {
    for ((namespace, name), admitted) in cells {
        account(scene, (namespace, name)).await?;
        let login = pod(scene, role, (namespace, name)).await;
        ensure!(login.is_ok() == *admitted, "{namespace}/{name} at role {role}: {:?}", login.err());
    }
    Ok(())
}

/// The four cells of the guide, and then further bindings without other combinations. The application `web` exists.
pub async fn admit_exactly_their_bindings(scene: &Scene) -> Result<()> {
    let four = [
        (("web", "web"), true),
        (("webapp", "web"), false),
        (("web", "webapp"), false),
        (("webapp", "webapp"), false),
    ];
    matrix(scene, "web", &four).await?;

    let pair = |namespace: &str, name: &str| json!({"namespace": namespace, "serviceAccount": name});
    let bindings = json!([pair("web", "web"), pair("webapp", "job")]);
    scene.change("SecretsApp", "web", json!({"spec": {"runtime": {"bindings": bindings}}})).await?;
    scene.ready("SecretsApp", "web", "True/Applied").await?;
    matrix(scene, "web", &[(("web", "web"), true), (("web", "job"), false), (("webapp", "job"), false)])
        .await?;
    let other = [
        (("webapp", "job"), true),
        (("webapp", "web"), false),
        (("web", "web"), false),
        (("web", "job"), false),
    ];
    matrix(scene, "web.webapp", &other).await?;
    ensure!(
        value(&pod(scene, "web.webapp", ("webapp", "job")).await?, "kvv2/data/web/config").await? == "web"
    );

    // Lists admit every combination, and the role of the pair is removed.
    let lists = json!({"bindings": null, "serviceAccounts": ["web", "job"], "namespaces": ["web"]});
    scene.change("SecretsApp", "web", json!({"spec": {"runtime": lists}})).await?;
    scene.ready("SecretsApp", "web", "True/Applied").await?;
    scene.becomes("auth/kubernetes/role/web.webapp", None).await?;
    matrix(scene, "web", &[(("web", "web"), true), (("web", "job"), true), (("webapp", "job"), false)])
        .await?;
    scene.change("SecretsApp", "web", json!({"spec": {"runtime": null}})).await?;
    scene.ready("SecretsApp", "web", "True/Applied").await?;
    matrix(scene, "web", &[(("web", "web"), true), (("web", "job"), false)]).await?;
    Ok(())
}

/// A reader of another namespace reads its folder only.
pub async fn readers_read_their_folder(scene: &Scene) -> Result<()> {
    let reader = json!({"name": "factory_conf", "serviceAccount": "plugin", "namespace": "webapp", "prefix": "factory"});
    scene.change("SecretsApp", "web", json!({"spec": {"readers": [reader]}})).await?;
    scene.ready("SecretsApp", "web", "True/Applied").await?;
    account(scene, ("webapp", "plugin")).await?;
    let plugin = pod(scene, "factory_conf", ("webapp", "plugin")).await?;
    ensure!(value(&plugin, "kvv2/data/web/factory/turnstile").await? == "turnstile");
    for path in ["kvv2/data/web/config", "kvv2/data/webapp/config", "postgres/creds/web"] {
        ensure!(denied(&plugin, Method::GET, path, None).await?, "the reader reads {path}");
    }
    ensure!(
        pod(scene, "factory_conf", ("web", "web")).await.is_err(),
        "another ServiceAccount is the reader"
    );
    scene.change("SecretsApp", "web", json!({"spec": {"readers": null}})).await?;
    scene.ready("SecretsApp", "web", "True/Applied").await?;
    scene.becomes("auth/kubernetes/role/factory_conf", None).await?;
    scene.becomes("sys/policies/acl/factory_conf", None).await
}

/// One role of type `jwt` admits any pairs, and no other combination.
pub async fn of_type_jwt_list_their_bindings(apps: &Apps) -> Result<()> {
    let scene = &apps.scene;
    let pair = |namespace: &str, name: &str| json!({"namespace": namespace, "serviceAccount": name});
    let runtime = json!({"mount": "gitea_jwt", "bindings": [pair("x", "a"), pair("y", "b")]});
    scene
        .apply("SecretsApp", "pairs", json!({"runtime": runtime, "identityGroup": {"enabled": false}}))
        .await?;
    scene.ready("SecretsApp", "pairs", "True/Applied").await?;
    for (namespace, name, admitted) in
        [("x", "a", true), ("y", "b", true), ("x", "b", false), ("y", "a", false)]
    {
        let subject = format!("system:serviceaccount:{namespace}:{name}");
        let login = log_in(scene, ("gitea_jwt", "pairs"), &apps.token(&subject, "vault")?).await;
        ensure!(login.is_ok() == admitted, "{namespace}/{name}: {:?}", login.err());
    }
    // A policy cannot limit the claims of such a role.
    let ci = json!({"audiences": ["gitea"], "boundClaims": {"repository": ["example/pairs"]}});
    scene.change("SecretsApp", "pairs", json!({"spec": {"rolesOwner": "Repository", "ci": ci}})).await?;
    scene.case.says::<SecretsApp>("pairs", "False/Invalid", "needs an auth mount of type kubernetes").await?;
    scene.delete("SecretsApp", "pairs").await
}
