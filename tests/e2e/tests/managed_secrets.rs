//! Secrets of a project: their values come from a Secret, a generator or a person, in two phases that fail closed.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use steamer_api::{Compliance, ManagedSecret, ManagedSecretStatus, SecretState, SecretsProject};
use steamer_openbao::{Kv, KvMetadata, KvVersionChange, Session};
use steamer_testing::ground::apply;
use steamer_testing::proxy::Asked;
use steamer_testing::wait::eventually;

use crate::fixture::{Case, ready_in};
use crate::openbao_outage::gone;
use crate::rig::Rig;

const ENGINE: &str = "secrets/kv";

/// The spec of a secret of project `web`.
fn spec(name: &str, changes: Value) -> Value {
    let mut spec = json!({"projectRef": {"name": "web"}, "name": name});
    for (field, value) in changes.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    spec
}

/// The source of a value in Secret `app`.
fn from_secret() -> Value {
    json!({"secretKeyRef": {"name": "app", "key": "password"}})
}

impl Case {
    /// Applies Secret `app`.
    async fn source(&self, password: &str) -> Result<()> {
        let metadata = json!({"name": "app", "namespace": self.namespace});
        let data = json!({"password": password});
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data});
        apply(&self.client, object).await.map(drop)
    }

    async fn managed(&self, object: &str, spec: Value) -> Result<()> {
        self.object("ManagedSecret", object, spec).await.map(drop)
    }

    /// Waits until `Ready` starts with `expected`, and returns the status.
    async fn managed_is(&self, object: &str, expected: &str) -> Result<ManagedSecretStatus> {
        self.ready::<ManagedSecret>(object, expected).await?.status.context("no status")
    }

    async fn annotate(&self, object: &str, annotation: &str, text: &str) -> Result<()> {
        let patch = json!({"metadata": {"annotations": {format!("steamer.dev/{annotation}"): text}}});
        self.api::<ManagedSecret>().patch(object, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }

    async fn change(&self, object: &str, change: Value) -> Result<()> {
        let patch = json!({"spec": change});
        self.api::<ManagedSecret>().patch(object, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }

    async fn delete(&self, object: &str) -> Result<()> {
        let api: Api<ManagedSecret> = self.api();
        api.delete(object, &DeleteParams::default()).await?;
        gone(&api, object).await
    }
}

fn path(name: &str) -> String {
    format!("explicit/{name}")
}

/// The field `value` of a version, or of the current one. None for a version that cannot be read.
async fn value(project: &Session, name: &str, version: Option<i64>) -> Result<Option<String>> {
    match project.read_kv2(ENGINE, &path(name), version).await? {
        Kv::Value { values, .. } => Ok(values.0.get("value").map(|it| it.text().expose_secret().to_owned())),
        Kv::Deleted { .. } | Kv::Absent => Ok(None),
    }
}

async fn metadata(project: &Session, name: &str) -> Result<KvMetadata> {
    project.kv_metadata(ENGINE, &path(name)).await?.with_context(|| format!("{name} does not exist"))
}

async fn becomes(project: &Session, name: &str, expected: Option<&str>) -> Result<()> {
    eventually(&format!("{name} becomes {expected:?}"), || async {
        let seen = value(project, name, None).await.map_err(|error| error.to_string())?;
        if seen.as_deref() == expected { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await
}

/// Makes the value of a secret appear to be 100 days old.
async fn age(project: &Session, name: &str) -> Result<()> {
    let mut custom = metadata(project, name).await?.custom_metadata;
    let rotated = Timestamp::now().checked_sub(SignedDuration::from_hours(2400))?;
    custom.insert("steamer_rotated_at".to_owned(), rotated.to_string());
    let body = json!({"custom_metadata": custom});
    project.request_any(Method::POST, &format!("{ENGINE}/metadata/{}", path(name)), Some(body)).await?;
    Ok(())
}

/// Waits until the metadata of a complete secret fulfill a condition.
async fn described(
    project: &Session,
    name: &str,
    what: &str,
    holds: impl Fn(&KvMetadata) -> bool,
) -> Result<()> {
    eventually(&format!("{name}: {what}"), || async {
        let seen = metadata(project, name).await.map_err(|error| error.to_string())?;
        if holds(&seen) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await
}

#[tokio::test]
async fn a_secret_follows_its_source_and_a_job_reads_it() -> Result<()> {
    let case = Case::new("managed").await?;
    let namespace = case.project(2101).await?;
    let project = &case.admin()?.within(&namespace);
    case.source("one").await?;
    let changes = json!({
        "valueFrom": from_secret(), "description": "login of the database", "environment": "prod/*", "branch": "main",
        "maxVersions": 20,
    });
    case.managed("db", spec("DB", changes)).await?;
    let status = case.managed_is("db", "True/Applied").await?;
    assert_eq!((status.state, status.version), (Some(SecretState::Completed), Some(1)));
    assert_eq!((status.compliance, status.rotated_at.is_some()), (Some(Compliance::Compliant), true));
    assert_eq!(value(project, "DB", None).await?.as_deref(), Some("one"));
    let found = metadata(project, "DB").await?;
    let stated = |key: &str| found.custom_metadata.get(key).map(String::as_str).unwrap_or_default();
    assert_eq!(
        (stated("description"), stated("environment"), stated("branch"), found.max_versions),
        ("login of the database", "prod/*", "main", 20)
    );
    ensure!(
        !stated("create_completed_at").is_empty() && stated("owner").ends_with("/ManagedSecret/managed/db")
    );

    // A CI job reads the value as any other one of the project.
    case.policy("all", json!({"branches": ["main"], "secrets": [{"name": "DB"}]})).await?;
    let jwt = case.ground.issuer.sign("key-1", &case.claims())?;
    let job = case.login(&namespace, "all_pipelines", &jwt).await?;
    assert_eq!(value(&job, "DB", None).await?.as_deref(), Some("one"));

    // The Secret changes. Another client changes value and metadata; what it adds stays.
    case.source("two").await?;
    becomes(&job, "DB", Some("two")).await?;
    case.managed_is("db", "True/Applied").await?;
    project.write_kv2(ENGINE, &path("DB"), &json!({"value": "by hand"})).await?;
    case.annotate("db", "reconcile", "value").await?;
    becomes(project, "DB", Some("two")).await?;
    described(project, "DB", "the repair is complete", |it| it.custom_metadata["steamer_version"] == "4")
        .await?;
    let mut edited = metadata(project, "DB").await?.custom_metadata;
    edited
        .extend([("description", "x"), ("team", "web")].map(|(key, text)| (key.to_owned(), text.to_owned())));
    edited.remove("branch");
    let body = json!({"custom_metadata": edited, "max_versions": 2});
    project.request_any(Method::POST, &format!("{ENGINE}/metadata/{}", path("DB")), Some(body)).await?;
    case.annotate("db", "reconcile", "metadata").await?;
    described(project, "DB", "the metadata are repaired", |it| {
        let custom = &it.custom_metadata;
        let is_repaired = custom["description"] == "login of the database" && custom.contains_key("branch");
        is_repaired && custom["team"] == "web" && it.max_versions == 20
    })
    .await?;
    assert_eq!(metadata(project, "DB").await?.current_version, 4, "the value needs no repair");

    // A person of GitLab has begun an update and never completed it: the value is written again.
    let mut begun = metadata(project, "DB").await?.custom_metadata;
    begun.insert("update_started_at".to_owned(), "2099-01-01T00:00:00Z".to_owned());
    let body = json!({"custom_metadata": begun});
    project.request_any(Method::POST, &format!("{ENGINE}/metadata/{}", path("DB")), Some(body)).await?;
    case.annotate("db", "reconcile", "begun").await?;
    described(project, "DB", "the update is complete", |it| it.custom_metadata["steamer_version"] == "5")
        .await?;
    case.managed_is("db", "True/Applied").await?;

    // An old value is reported until another one is written.
    age(project, "DB").await?;
    case.change("db", json!({"rotation": {"interval": "2000h"}})).await?;
    let status = case.managed_is("db", "True/RotationDue").await?;
    assert_eq!(status.compliance, Some(Compliance::RotationDue));
    eventually("an Event reports the age", || async {
        let events: Api<Event> = case.api();
        let events = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let reasons: Vec<_> = events.items.into_iter().filter_map(|event| event.reason).collect();
        if reasons.iter().any(|reason| reason == "RotationDue") {
            Ok(())
        } else {
            Err(format!("{reasons:?}"))
        }
    })
    .await?;
    case.source("three").await?;
    becomes(&job, "DB", Some("three")).await?;
    case.managed_is("db", "True/Applied").await.map(drop)
}

#[tokio::test]
async fn secrets_of_others_stay_and_values_are_kept_unless_their_deletion_is_requested() -> Result<()> {
    let case = Case::new("managed-owners").await?;
    let namespace = case.project(2102).await?;
    let project = &case.admin()?.within(&namespace);
    case.source("one").await?;
    case.managed("db", spec("DB", json!({"valueFrom": from_secret()}))).await?;
    case.managed_is("db", "True/Applied").await?;
    project.write_kv2(ENGINE, &path("FOREIGN"), &json!({"value": "theirs"})).await?;

    let source = || json!({"valueFrom": from_secret()});
    let with = |changes: Value| {
        let mut all = source();
        for (field, value) in changes.as_object().into_iter().flatten() {
            all[field] = value.clone();
        }
        all
    };
    for (object, name, changes, ready) in [
        ("second", "DB", source(), "False/Conflict"),
        ("foreign", "FOREIGN", source(), "False/Conflict"),
        ("planned", "PLANNED", with(json!({"mode": "Observe"})), "True/Drifted"),
        (
            "missing",
            "MISSING",
            json!({"valueFrom": {"secretKeyRef": {"name": "none", "key": "a"}}}),
            "False/ReferenceNotFound",
        ),
        ("group", "GROUP", with(json!({"protected": true})), "False/Invalid"),
    ] {
        case.managed(object, spec(name, changes)).await?;
        case.managed_is(object, ready).await?;
    }
    case.says::<ManagedSecret>("second", "False/Conflict", "already claims secret DB of namespace org_2102")
        .await?;
    case.says::<ManagedSecret>("foreign", "False/Conflict", "belongs to another owner").await?;
    case.says::<ManagedSecret>("group", "False/Invalid", "use branch").await?;
    assert_eq!(value(project, "FOREIGN", None).await?.as_deref(), Some("theirs"));
    let plan = case.managed_is("planned", "True/Drifted").await?;
    assert_eq!((plan.version, plan.state), (None, None));
    let plan = plan.lifecycle.plan;
    assert_eq!(
        (plan.len(), plan[0].path.as_str()),
        (1, &*format!("{namespace}/{ENGINE}/data/explicit/PLANNED"))
    );
    for name in ["PLANNED", "MISSING", "GROUP"] {
        assert_eq!(project.kv_metadata(ENGINE, &path(name)).await?, None, "{name}");
    }
    case.change("foreign", json!({"adopt": "IfUnowned"})).await?;
    case.managed_is("foreign", "True/Applied").await?;
    assert_eq!(value(project, "FOREIGN", None).await?.as_deref(), Some("one"));

    // The values are kept, and belong to an object with the same name.
    case.delete("db").await?;
    assert_eq!(value(project, "DB", None).await?.as_deref(), Some("one"));
    case.says::<ManagedSecret>("second", "False/Conflict", "belongs to ManagedSecret managed-owners/db")
        .await?;
    case.delete("second").await?;
    case.managed("db", spec("DB", source())).await?;
    case.managed_is("db", "True/Applied").await?;
    assert_eq!(metadata(project, "DB").await?.current_version, 1);
    // On request, the secret is deleted with all versions, and only this one: an entry with a copy of its metadata stays.
    let custom = metadata(project, "DB").await?.custom_metadata;
    project.write_kv2(ENGINE, &path("COPY"), &json!({"value": "copy"})).await?;
    let body = json!({"custom_metadata": custom});
    project.request_any(Method::POST, &format!("{ENGINE}/metadata/{}", path("COPY")), Some(body)).await?;
    case.change("db", json!({"deletionPolicy": "Delete"})).await?;
    case.managed_is("db", "True/Applied").await?;
    case.delete("db").await?;
    assert_eq!(project.kv_metadata(ENGINE, &path("DB")).await?, None);
    assert_eq!(value(project, "COPY", None).await?.as_deref(), Some("copy"));
    assert_eq!(value(project, "FOREIGN", None).await?.as_deref(), Some("one"));
    Ok(())
}

#[tokio::test]
async fn a_tenant_without_the_right_to_a_project_deletes_no_value() -> Result<()> {
    let case = Case::new("managed-revoked").await?;
    let namespace = case.project(2108).await?;
    let project = &case.admin()?.within(&namespace);
    let guest = "managed-revoked-guest";
    case.make_namespace(guest, json!({})).await?;
    let allow = async |from: &str| -> Result<()> {
        let patch = Patch::Merge(json!({"spec": {"allowedNamespaces": {"from": from}}}));
        case.api::<SecretsProject>().patch("web", &PatchParams::default(), &patch).await?;
        Ok(())
    };
    allow("All").await?;
    let mut spec = spec("KEY", json!({"valueFrom": {"generate": {"uuid": {}}}, "deletionPolicy": "Delete"}));
    spec["projectRef"]["namespace"] = json!(case.namespace);
    case.object_in(guest, "ManagedSecret", "key", spec).await?;
    let secrets: Api<ManagedSecret> = Api::namespaced(case.client.clone(), guest);
    ready_in(&secrets, "key", "True/Applied").await?;
    let before = value(project, "KEY", None).await?.context("no value")?;
    allow("Same").await?;
    ready_in(&secrets, "key", "False/ReferenceDenied").await?;
    secrets.delete("key", &DeleteParams::default()).await?;
    gone(&secrets, "key").await?;
    assert_eq!(value(project, "KEY", None).await?, Some(before));
    Ok(())
}

#[tokio::test]
async fn a_generated_value_is_replaced_at_its_age_or_on_request_only() -> Result<()> {
    let case = Case::new("managed-generated").await?;
    let namespace = case.project(2103).await?;
    let project = &case.admin()?.within(&namespace);
    let rotation = json!({"interval": "720h", "mode": "Regenerate", "destroyPrevious": true});
    let changes = json!({"valueFrom": {"generate": {"password": {"length": 40}}}, "rotation": rotation});
    case.managed("key", spec("KEY", changes)).await?;
    let status = case.managed_is("key", "True/Applied").await?;
    let (rotated, due) = (status.rotated_at.context("rotated")?.0, status.rotation_due_at.context("due")?.0);
    assert_eq!(due.duration_since(rotated), SignedDuration::from_hours(720));
    let first = value(project, "KEY", None).await?.context("no value")?;
    assert_eq!(first.len(), 40);

    // Neither a pass nor another version of a person replaces it.
    project.write_kv2(ENGINE, &path("KEY"), &json!({"value": "by hand"})).await?;
    case.annotate("key", "reconcile", "1").await?;
    described(project, "KEY", "the version is accepted", |it| it.custom_metadata["steamer_version"] == "2")
        .await?;
    assert_eq!(value(project, "KEY", None).await?.as_deref(), Some("by hand"));

    // Its age and a request generate another value, and destroy the former ones.
    age(project, "KEY").await?;
    case.annotate("key", "reconcile", "aged").await?;
    described(project, "KEY", "another value is generated", |it| {
        it.current_version == 3 && it.versions["1"].destroyed && it.versions["2"].destroyed
    })
    .await?;
    let aged = value(project, "KEY", None).await?.context("no value")?;
    ensure!(aged != first && aged.len() == 40, "not generated");
    case.annotate("key", "rotate", "1").await?;
    described(project, "KEY", "another value is generated", |it| {
        it.current_version == 4 && it.versions["3"].destroyed
    })
    .await?;
    let second = value(project, "KEY", None).await?.context("no value")?;
    ensure!(second != aged && second.len() == 40, "not generated");
    case.managed_is("key", "True/Applied").await?;

    // A value that was deleted may be in use: it is lost until someone decides.
    project.change_kv_versions(ENGINE, &path("KEY"), KvVersionChange::Delete, &[4]).await?;
    case.annotate("key", "reconcile", "2").await?;
    case.managed_is("key", "False/SourceMissing").await?;
    case.annotate("key", "rotate", "2").await?;
    let status = case.managed_is("key", "True/Applied").await?;
    assert_eq!(status.version, Some(5));
    // A key pair has its public part beside it.
    let pair = json!({"valueFrom": {"generate": {"sshKey": {"comment": "deploy"}}}});
    case.managed("deploy", spec("DEPLOY", pair)).await?;
    case.managed_is("deploy", "True/Applied").await?;
    let Kv::Value { values, .. } = project.read_kv2(ENGINE, &path("DEPLOY"), None).await? else {
        anyhow::bail!("no key")
    };
    assert_eq!(values.0.keys().collect::<Vec<_>>(), ["value", "value.pub"]);
    Ok(())
}

#[tokio::test]
async fn a_value_of_a_person_is_never_replaced_and_its_age_is_reported() -> Result<()> {
    let case = Case::new("managed-person").await?;
    let namespace = case.project(2104).await?;
    let project = &case.admin()?.within(&namespace);
    let rotation = json!({"interval": "168h"});
    case.managed("token", spec("TOKEN", json!({"description": "by hand", "rotation": rotation}))).await?;
    eventually("the secret waits for its value", || async {
        let status = case.managed_is("token", "False/Waiting").await.map_err(|error| error.to_string())?;
        let seen = (status.state, status.version);
        if seen == (Some(SecretState::CreateInProgress), None) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await?;
    for (version, text) in [(1, "one"), (2, "two")] {
        project.write_kv2(ENGINE, &path("TOKEN"), &json!({"value": text})).await?;
        case.annotate("token", "reconcile", text).await?;
        eventually("the version is in the status", || async {
            let status = case.managed_is("token", "True/Applied").await.map_err(|error| error.to_string())?;
            let seen = (status.state, status.version);
            if seen == (Some(SecretState::Completed), Some(version)) {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        })
        .await?;
    }
    assert_eq!(value(project, "TOKEN", None).await?.as_deref(), Some("two"));
    assert_eq!(metadata(project, "TOKEN").await?.current_version, 2);
    // The person deletes it.
    project.change_kv_versions(ENGINE, &path("TOKEN"), KvVersionChange::Delete, &[2]).await?;
    case.annotate("token", "reconcile", "deleted").await?;
    case.managed_is("token", "False/Waiting").await.map(drop)
}

/// OpenBao ends the readability of the current version at the time, and the operator that of all versions.
#[tokio::test]
async fn an_expired_secret_cannot_be_read_and_a_later_time_restores_it() -> Result<()> {
    let case = Case::new("managed-expiry").await?;
    let namespace = case.project(2105).await?;
    let project = &case.admin()?.within(&namespace);
    case.policy("all", json!({"branches": ["main"], "secrets": [{"name": "DB"}, {"name": "KEY"}]})).await?;
    let jwt = case.ground.issuer.sign("key-1", &case.claims())?;
    let job = case.login(&namespace, "all_pipelines", &jwt).await?;
    case.source("one").await?;
    let (soon, later) = ("2099-01-01T00:00:00Z", "2099-06-01T00:00:00Z");
    let generated = json!({"generate": {"uuid": {}}});
    for (object, name, source) in [("db", "DB", from_secret()), ("key", "KEY", generated)] {
        case.managed(object, spec(name, json!({"valueFrom": source, "expiresAt": soon}))).await?;
        case.managed_is(object, "True/Applied").await?;
        let found = metadata(project, name).await?;
        let deletion: Timestamp = found.versions["1"].deletion_time.parse()?;
        let expected: Timestamp = soon.parse()?;
        let after = deletion.duration_since(expected).as_secs();
        ensure!((0..30).contains(&after), "{name}: {deletion}");
        assert_eq!(found.delete_version_after, "0s", "versions of others are not affected");
    }
    let key = value(&job, "KEY", None).await?.context("no value")?;
    // An earlier version of a Secret can be read, too.
    case.source("two").await?;
    becomes(&job, "DB", Some("two")).await?;
    case.managed_is("db", "True/Applied").await?;
    let passed = Timestamp::now().to_string();
    for (object, name) in [("db", "DB"), ("key", "KEY")] {
        case.change(object, json!({"expiresAt": passed})).await?;
        let status = case.managed_is(object, "True/Expired").await?;
        assert_eq!(status.compliance, Some(Compliance::Expired));
        for version in [None, Some(1)] {
            assert_eq!(value(&job, name, version).await?, None, "{name} {version:?}");
        }
    }
    assert_eq!(metadata(project, "DB").await?.current_version, 2, "nothing was destroyed");
    for (object, name, expected) in [("db", "DB", "two"), ("key", "KEY", key.as_str())] {
        case.change(object, json!({"expiresAt": later})).await?;
        let status = case.managed_is(object, "True/Applied").await?;
        assert_eq!(status.compliance, Some(Compliance::Compliant));
        assert_eq!(value(&job, name, None).await?.as_deref(), Some(expected));
    }
    let found = metadata(project, "KEY").await?;
    assert_eq!(found.current_version, 1, "the generated value is restored and not replaced");
    let deletion: Timestamp = found.versions["1"].deletion_time.parse()?;
    ensure!(deletion >= later.parse::<Timestamp>()?, "{deletion}");
    case.change("key", json!({"expiresAt": null})).await?;
    case.managed_is("key", "True/Applied").await?;
    assert_eq!(metadata(project, "KEY").await?.versions["1"].deletion_time, "");

    // OpenBao enforces the time while the object is suspended.
    let near = Timestamp::now().checked_add(SignedDuration::from_secs(15))?;
    case.change("key", json!({"expiresAt": near.to_string()})).await?;
    case.managed_is("key", "True/Applied").await?;
    case.change("key", json!({"suspend": true})).await?;
    becomes(&job, "KEY", None).await
}

/// Adds a rule to the policy of the operator.
async fn permit(rig: &Rig, path: &str, rule: Value) -> Result<()> {
    let admin = rig.case.admin()?;
    let policy = admin.policy("steamer").await?.context("no policy")?.policy;
    let mut policy: Value = serde_json::from_str(&policy)?;
    policy["path"][path] = rule;
    let body = json!({"policy": policy.to_string()});
    admin.request_any(Method::POST, "sys/policies/acl/steamer", Some(body)).await?;
    Ok(())
}

#[tokio::test]
async fn a_rollback_copies_an_earlier_version_if_the_operator_may_read_it() -> Result<()> {
    let mut rig = Rig::new("managed-rollback").await?;
    rig.start().await?;
    let namespace = rig.case.project(2106).await?;
    let (case, project) = (&rig.case, &rig.case.admin()?.within(&namespace));
    case.source("one").await?;
    case.managed("db", spec("DB", json!({"valueFrom": from_secret()}))).await?;
    case.managed_is("db", "True/Applied").await?;
    case.source("two").await?;
    becomes(project, "DB", Some("two")).await?;
    described(project, "DB", "the change is complete", |it| it.custom_metadata["steamer_version"] == "2")
        .await?;
    case.managed_is("db", "True/Applied").await?;

    // The operator cannot read values. The message names the line that lets it, and nothing is half-written.
    let before = metadata(project, "DB").await?;
    case.change("db", json!({"rollbackTo": 1})).await?;
    case.managed_is("db", "False/PermissionDenied").await?;
    let data = format!("{namespace}/{ENGINE}/data/explicit/DB");
    let line = format!("path \"{data}\" {{ capabilities = [\"create\", \"read\", \"update\"] }}");
    case.says::<ManagedSecret>("db", "False/PermissionDenied", &line).await?;
    assert_eq!(metadata(project, "DB").await?, before);
    permit(&rig, &data, json!({"capabilities": ["create", "read", "update"]})).await?;
    case.annotate("db", "reconcile", "permitted").await?;
    let status = case.managed_is("db", "True/Applied").await?;
    assert_eq!((status.version, value(project, "DB", None).await?.as_deref()), (Some(3), Some("one")));

    // The source is followed again after the rollback, and not before.
    case.source("three").await?;
    case.annotate("db", "reconcile", "source").await?;
    case.change("db", json!({"description": "rolled back"})).await?;
    case.managed_is("db", "True/Applied").await?;
    assert_eq!(value(project, "DB", None).await?.as_deref(), Some("one"));
    case.change("db", json!({"rollbackTo": 9})).await?;
    case.says::<ManagedSecret>("db", "False/Invalid", "version 9 has no value").await?;
    case.change("db", json!({"rollbackTo": null})).await?;
    case.managed_is("db", "True/Applied").await?;
    assert_eq!(value(project, "DB", None).await?.as_deref(), Some("three"));
    Ok(())
}

/// Fails if the metadata state that a value is complete that is another one. `texts` are the values of the versions 1 and 2.
async fn consistent(project: &Session, name: &str, texts: [&str; 2]) -> Result<()> {
    let Some(found) = project.kv_metadata(ENGINE, &path(name)).await? else { return Ok(()) };
    let custom = &found.custom_metadata;
    let time = |key: &str| custom.get(key).and_then(|text| text.parse::<Timestamp>().ok());
    let unfinished =
        custom.contains_key("update_started_at") && time("update_completed_at") < time("update_started_at");
    if !custom.contains_key("create_completed_at") || unfinished {
        return Ok(());
    }
    let seen = value(project, name, None).await?;
    let is_stated = custom["steamer_version"] == found.current_version.to_string();
    ensure!(is_stated && seen.is_some_and(|it| texts.contains(&it.as_str())), "{name}: {custom:?}");
    Ok(())
}

/// Starts one change, and returns the value that the secret then has, if it is known.
async fn begin(case: &Case, phase: &str, object: &str, name: &str) -> Result<Option<&'static str>> {
    match phase {
        "create" => {
            case.source("one").await?;
            case.managed(object, spec(name, json!({"valueFrom": from_secret()}))).await?;
            Ok(Some("one"))
        }
        "update" => {
            case.source("two").await?;
            case.change(object, json!({"description": "the second value"})).await?;
            Ok(Some("two"))
        }
        _ => {
            case.change(object, json!({"valueFrom": {"secretKeyRef": null, "generate": {"uuid": {}}}}))
                .await?;
            case.annotate(object, "rotate", "now").await?;
            Ok(None)
        }
    }
}

/// Waits until a change is complete.
async fn end(case: &Case, project: &Session, name: &str, expected: Option<&str>) -> Result<()> {
    let object = name.to_lowercase();
    eventually(&format!("{name} is complete"), || async {
        let status = case.managed_is(&object, "True/Applied").await.map_err(|error| error.to_string())?;
        let seen = value(project, name, None).await.map_err(|error| error.to_string())?;
        let found = metadata(project, name).await.map_err(|error| error.to_string())?;
        let is_expected = match expected {
            Some(expected) => seen.as_deref() == Some(expected),
            None => seen.as_ref().is_some_and(|text| text.len() == 36),
        };
        let is_stated = status.state == Some(SecretState::Completed)
            && status.version == Some(found.current_version)
            && found.custom_metadata["steamer_version"] == found.current_version.to_string();
        if is_expected && is_stated { Ok(()) } else { Err(format!("{seen:?} {status:?} {found:?}")) }
    })
    .await
}

/// Runs a change and kills the operator before the write that follows `writes` others. Returns whether such a write occurred.
async fn run(rig: &mut Rig, project: &Session, phase: &str, (name, writes): (&str, usize)) -> Result<bool> {
    let object = name.to_lowercase();
    rig.kubernetes.cut_after(writes);
    let expected = begin(&rig.case, phase, &object, name).await?;
    let gate = rig.kubernetes.clone();
    let killed = tokio::select! {
        biased;
        () = gate.reached() => true,
        ended = end(&rig.case, project, name, expected) => {
            ended?;
            false
        }
    };
    if killed {
        rig.kill().await?;
        if phase != "rotate" {
            consistent(project, name, ["one", "two"]).await?;
        }
        rig.kubernetes.open();
        rig.start().await?;
        end(&rig.case, project, name, expected).await?;
    }
    rig.kubernetes.open();
    Ok(killed)
}

/// Changes of one secret, in their order.
const PHASES: [&str; 3] = ["create", "update", "rotate"];

/// Returns true if a phase has no write that follows `writes` others: the previous round has shown it.
fn is_over(kills: &BTreeMap<&str, usize>, phase: &str, writes: usize) -> bool {
    kills.get(phase).is_some_and(|kills| *kills < writes)
}

/// Classifies the requests for secrets of the project, and the writes of their objects.
fn of_secrets(asked: &Asked) -> Option<String> {
    if asked.path.contains("/managedsecrets/") {
        return asked.writes().then(|| format!("{} {}", asked.method, asked.path));
    }
    let (folder, rest) = asked.path.split_once(&format!("/{ENGINE}/"))?.1.split_once('/')?;
    rest.starts_with("explicit").then(|| format!("{} {folder}", asked.method))
}

#[tokio::test]
async fn an_operator_killed_between_any_two_writes_completes_the_secret() -> Result<()> {
    let mut rig = Rig::with_one_gate("managed-crash").await?;
    rig.start().await?;
    let namespace = rig.case.project(2107).await?;
    let project = rig.case.admin()?.within(&namespace);
    let mut kills: BTreeMap<&str, usize> = BTreeMap::new();
    for writes in 0.. {
        let (name, mut cut) = (format!("S{writes}"), false);
        // A phase that is over only prepares the phases after it.
        let needed = PHASES.iter().rposition(|phase| !is_over(&kills, phase, writes));
        for phase in PHASES.into_iter().take(needed.map_or(0, |last| last + 1)) {
            let most = if is_over(&kills, phase, writes) { usize::MAX } else { writes };
            let killed = run(&mut rig, &project, phase, (&name, most)).await;
            let killed = killed.with_context(|| format!("{phase} killed after {writes} writes"))?;
            *kills.entry(phase).or_default() += usize::from(killed);
            cut |= killed;
        }
        if !cut {
            break;
        }
    }
    println!("kills: {kills:?}");
    for (phase, least) in [("create", 6), ("update", 4), ("rotate", 4)] {
        ensure!(kills[phase] >= least, "{phase} was killed only {} times", kills[phase]);
    }

    // Settled: further passes read the metadata and write nothing.
    rig.kubernetes.forget();
    let objects = rig.case.api::<ManagedSecret>().list(&ListParams::default()).await?.items;
    let count = objects.len();
    for object in objects {
        rig.case.annotate(&object.name_any(), "reconcile", "settled").await?;
    }
    eventually("each secret is read again", || async {
        let seen = rig.kubernetes.count(of_secrets);
        if seen.get("GET metadata").is_some_and(|reads| *reads >= count) {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await?;
    let seen = rig.kubernetes.count(of_secrets);
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["GET metadata"], "{seen:?}");
    Ok(())
}
