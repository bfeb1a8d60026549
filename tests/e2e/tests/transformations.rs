//! Templates and filters: the Secret follows the value, the object and its SecretTransformations.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use steamer_api::{BaoStaticSecret, SecretTransformation};
use steamer_testing::wait::eventually;

use crate::fixture::{Case, ready_in, ready_of};
use crate::static_secrets::{auth, engine};

/// Namespace of the shared SecretTransformation.
const SHARED: &str = "transformations-shared";

/// Waits until a Secret contains exactly these keys and texts.
async fn contains(case: &Case, name: &str, expected: Value) -> Result<()> {
    let secrets: Api<Secret> = case.api();
    eventually(&format!("{name} contains {expected}"), || async {
        let data = secrets.get(name).await.map_err(|error| error.to_string())?.data.unwrap_or_default();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let seen: Value = data.iter().map(|(key, value)| (key.clone(), json!(text(&value.0)))).collect();
        if seen == expected { Ok(()) } else { Err(seen.to_string()) }
    })
    .await
}

/// Creates or replaces the shared SecretTransformation.
async fn share(case: &Case, text: &str, from: &str) -> Result<()> {
    let spec = json!({
        "templates": {"url": {"text": text}}, "excludes": ["^password$"], "allowedNamespaces": {"from": from},
        "sourceTemplates": [{"name": "helpers", "text": r#"{{ define "login" }}{{ .Secrets.user }}:{{ .Secrets.password }}{{ end }}"#}],
    });
    case.object_in(SHARED, "SecretTransformation", "shared", spec).await.map(drop)
}

/// A transformation with computed keys, and a template of the label `login`.
fn computed(label: &str) -> Value {
    json!({
        "excludes": [".*"],
        "keysAndValues": [{"text": "{{ range $k, $v := .Secrets }}APP_{{ upper $k }}: {{ $v | toJson }}\n{{ end }}"}],
        "labels": {"login": label},
        "annotations": {"example.com/port": "{{ .Secrets.port }}"},
    })
}

/// Waits until the label and the annotation of Secret `computed` are those of the templates, or missing.
async fn labeled(case: &Case, login: Option<&str>) -> Result<()> {
    let secrets: Api<Secret> = case.api();
    let expected = (login.map(str::to_owned), login.map(|_| "5432".to_owned()));
    eventually(&format!("the label is {login:?}"), || async {
        let metadata = secrets.get("computed").await.map_err(|error| error.to_string())?.metadata;
        let label = metadata.labels.unwrap_or_default().remove("login");
        let seen = (label, metadata.annotations.unwrap_or_default().remove("example.com/port"));
        if seen == expected { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await
}

#[tokio::test]
async fn a_secret_follows_its_templates_and_keeps_the_last_result_of_a_broken_one() -> Result<()> {
    let case = Case::new("transformations").await?;
    engine(&case, "transformations").await?;
    case.make_namespace(SHARED, json!({})).await?;
    let value = |user: &str| json!({"user": user, "password": "p", "port": 5432});
    case.admin()?.write_kv2("transformations", "app", &value("app")).await?;
    case.object("BaoAuth", "default", auth("transformations")).await?;
    let spec = |name: &str, transformation: Value| {
        json!({
            "mount": "transformations", "path": "app", "type": "kv-v2", "refreshAfter": "24h",
            "destination": {"name": name, "create": true, "transformation": transformation},
        })
    };
    let shared = json!({
        "templates": {"key": {"text": "{{ template \"login\" . }} {{ .Labels.team }}"}},
        "transformationRefs": [{"name": "shared", "namespace": SHARED, "templateRefs": [{"name": "url", "keyOverride": "URL"}]}],
    });
    let alone = json!({"includes": ["^user$"], "excludeRaw": false, "templates": {"v": {"text": "{{ .Metadata.version }}"}}});
    share(&case, "{{ .Secrets.user }}@{{ .Secrets.port }}", "Same").await?;
    case.object("BaoStaticSecret", "computed", spec("computed", computed("{{ .Secrets.user }}"))).await?;
    case.object("BaoStaticSecret", "shared", spec("shared", shared)).await?;
    case.object("BaoStaticSecret", "alone", spec("alone", alone)).await?;
    case.ready::<BaoStaticSecret>("alone", "True/Applied").await?;
    let secrets: Api<Secret> = case.api();
    let data = secrets.get("alone").await?.data.unwrap_or_default();
    let raw: Value = serde_json::from_slice(&data["_raw"].0)?;
    assert_eq!(data.keys().collect::<Vec<_>>(), ["_raw", "user", "v"]);
    assert_eq!((&raw["data"], &raw["metadata"]["version"]), (&value("app"), &json!(1)));
    assert_eq!(data["v"].0, b"1");

    // Computed keys, labels and annotations: an edit is repaired, and a result that is no label is named without its value.
    case.ready::<BaoStaticSecret>("computed", "True/Applied").await?;
    contains(&case, "computed", json!({"APP_USER": "app", "APP_PASSWORD": "p", "APP_PORT": "5432"})).await?;
    labeled(&case, Some("app")).await?;
    let edit = Patch::Merge(json!({"metadata": {"labels": {"login": "edited"}}}));
    secrets.patch("computed", &PatchParams::default(), &edit).await?;
    labeled(&case, Some("app")).await?;
    let broken = spec("computed", computed("{{ .Secrets.user }} canary"));
    case.object("BaoStaticSecret", "computed", broken).await?;
    let failed = case.ready::<BaoStaticSecret>("computed", "False/Invalid").await?;
    let message = ready_of(&serde_json::to_value(&failed)?);
    ensure!(message.contains("the template of `login` is not the value of a label"), "{message}");
    ensure!(!message.contains("app canary"), "{message}");
    case.object("BaoStaticSecret", "computed", spec("computed", json!({"excludes": ["port"]}))).await?;
    case.ready::<BaoStaticSecret>("computed", "True/Applied").await?;
    labeled(&case, None).await?;

    // A reference to another namespace needs its consent.
    case.ready::<BaoStaticSecret>("shared", "False/ReferenceDenied").await?;
    share(&case, "{{ .Secrets.user }}@{{ .Secrets.port }}", "All").await?;
    contains(
        &case,
        "shared",
        json!({"user": "app", "port": "5432", "URL": "app@5432", "key": "app:p <no value>"}),
    )
    .await?;

    // A changed template is rendered before the value is due, with the current labels of the object.
    let alone = case.ready::<BaoStaticSecret>("alone", "True/Applied").await?;
    let label = Patch::Merge(json!({"metadata": {"labels": {"team": "web"}}}));
    case.api::<BaoStaticSecret>().patch("shared", &PatchParams::default(), &label).await?;
    share(&case, "https://{{ .Secrets.user }}", "All").await?;
    let last = json!({"user": "app", "port": "5432", "URL": "https://app", "key": "app:p web"});
    contains(&case, "shared", last.clone()).await?;
    let objects: Api<BaoStaticSecret> = case.api();
    eventually("the status states the reason", || async {
        let status = objects.get("shared").await.map_err(|error| error.to_string())?.status;
        let reason =
            status.and_then(|status| status.sync.last_sync).map(|sync| sync.reason).unwrap_or_default();
        if reason == "TransformationChanged" { Ok(()) } else { Err(reason) }
    })
    .await?;
    let after = case.ready::<BaoStaticSecret>("alone", "True/Applied").await?;
    assert_eq!(after.metadata.resource_version, alone.metadata.resource_version, "it refers to nothing");

    // A template that cannot be parsed, and one that fails for the value.
    let transformations: Api<SecretTransformation> = Api::namespaced(case.client.clone(), SHARED);
    for (text, ready, part) in [
        ("a\n{{ if }}", "False/Invalid", "template \"transformations-shared/shared/url\", line 2"),
        (
            "{{ upper .Secrets.port }}",
            "True/Applied",
            "template \"transformations-shared/shared/url\", line 1",
        ),
    ] {
        share(&case, text, "All").await?;
        ready_in(&transformations, "shared", ready).await?;
        let failed = case.ready::<BaoStaticSecret>("shared", "False/Invalid").await?;
        let message = ready_of(&serde_json::to_value(&failed)?);
        ensure!(message.contains("SecretTransformation transformations-shared/shared: "), "{message}");
        ensure!(message.contains(part), "{message}");
        contains(&case, "shared", last.clone()).await?;
        share(&case, "https://{{ .Secrets.user }}", "All").await?;
        case.ready::<BaoStaticSecret>("shared", "True/Applied").await?;
    }
    Ok(())
}
