//! `steamer import` on an OpenBao that was configured by hand.

mod adoption;
mod authorities;
mod configured;
mod requests;
mod state;

use std::collections::BTreeMap;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::KindId;
use steamer_openbao::Session;
use steamer_testing::audit;
use steamer_testing::cache::checkout;
use steamer_testing::ground::{apply, yaml};
use steamer_testing::openbao::OpenBao;
use steamer_testing::operator;

use crate::fixture::Case;
use crate::rig::Rig;
use adoption::without_writes;
use configured::{CANARY, COUNTS, ENGINES, configure};
use state::state;

/// The rights of the docs page, in all namespaces and for all engines of the test.
fn documented_policy() -> Result<String> {
    let page = std::fs::read_to_string(checkout().join("docs/how-to/import.md"))?;
    let rules: Vec<&str> = page.lines().filter(|line| line.starts_with("path \"")).collect();
    ensure!(rules.len() > 10, "the page has no rules");
    let mounts = |rule: &str| {
        let of = |path: &str| match path {
            "kv" => vec!["hand-kv2", "hand/nested", "kv"],
            "database" => vec!["hand-db"],
            "pki" => vec!["hand-pki", "hand-intermediate"],
            "ssh" => vec!["hand-ssh"],
            "transit" => vec!["hand-transit", "transit"],
            _ => vec![],
        };
        let (first, _) = rule["path \"".len()..].split_once('/').unwrap_or_default();
        let replaced: Vec<String> =
            of(first).into_iter().map(|mount| rule.replacen(first, mount, 1)).collect();
        if replaced.is_empty() { vec![rule.to_owned()] } else { replaced }
    };
    let rules: Vec<String> = rules.into_iter().flat_map(mounts).collect();
    let within = |namespace: &str| {
        rules
            .iter()
            .map(move |rule| rule.replacen("path \"", &format!("path \"{namespace}"), 1))
            .collect::<Vec<_>>()
    };
    Ok(["", "team/", "team/sub/"].into_iter().flat_map(within).collect::<Vec<_>>().join("\n"))
}

/// A token with exactly the documented rights.
async fn token(admin: &Session) -> Result<String> {
    let policy = json!({"policy": documented_policy()?});
    admin.request_any(Method::POST, "sys/policies/acl/steamer-import", Some(policy)).await?;
    let token =
        json!({"policies": ["steamer-import"], "no_default_policy": true, "display_name": "importer"});
    let answer = admin.request_any(Method::POST, "auth/token/create", Some(token)).await?;
    Ok(answer["auth"]["client_token"].as_str().context("no token")?.to_owned())
}

/// Runs `steamer import`.
fn import(openbao: &OpenBao, token: &str, arguments: &[&str]) -> Result<Output> {
    let ca = std::env::temp_dir().join(format!("import-{}.crt", std::process::id()));
    std::fs::write(&ca, &openbao.ca)?;
    let mut command = Command::new(operator::binary()?);
    command.args(["import", "--cluster-ref", "main", "--report", "json"]).args(arguments);
    command.env("BAO_ADDR", &openbao.url).env("BAO_CACERT", &ca).env("BAO_TOKEN", token);
    Ok(command.output()?)
}

/// Requests of the token, from the audit log: operation and path.
fn requests(openbao: &OpenBao) -> Result<Vec<(String, String)>> {
    let entries = audit::entries(&openbao.audit, "token-importer")?;
    let own = entries
        .iter()
        .filter(|entry| entry["type"] == "request" && entry["auth"]["display_name"] == "token-importer");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(own.map(|entry| (text(&entry["request"]["operation"]), text(&entry["request"]["path"]))).collect())
}

/// The only finding to review is the one about the token of the reviewer, which OpenBao does not return.
fn check_findings(output: &Output) -> Result<()> {
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{text}");
    let report: Value = serde_json::from_str(&text).with_context(|| text.to_string())?;
    let findings = report["findings"].as_array().context("no findings")?;
    let review = findings.iter().filter(|finding| finding["severity"] == "review");
    let review: Vec<Value> = review.map(|finding| json!([finding["object"], finding["field"]])).collect();
    ensure!(review == [json!(["sys/auth/hand-kubernetes", "token_reviewer_jwt"])], "{text}");
    Ok(())
}

/// Creates a namespace with a seal of its own, which is never unsealed.
async fn sealed_namespace(admin: &Session) -> Result<()> {
    let seal = "seal \"shamir\" {\n  shares = 1\n  threshold = 1\n}\n";
    admin.request_any(Method::POST, "sys/namespaces/vault", Some(json!({"seal": seal}))).await?;
    let status = admin.request_any(Method::GET, "sys/namespaces/vault/seal-status", None).await?;
    ensure!(status["data"]["sealed"] == json!(true), "{status}");
    Ok(())
}

/// A token with this policy.
async fn limited_token(admin: &Session, policy: &str) -> Result<String> {
    admin.request_any(Method::POST, "sys/policies/acl/less", Some(json!({"policy": policy}))).await?;
    let body = json!({"policies": ["less"], "no_default_policy": true});
    let answer = admin.request_any(Method::POST, "auth/token/create", Some(body)).await?;
    Ok(answer["auth"]["client_token"].as_str().context("no token")?.to_owned())
}

fn by_kind(objects: &[Value]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for object in objects {
        *counts.entry(object["kind"].as_str().unwrap_or_default()).or_default() += 1;
    }
    counts
}

/// The issuers state what OpenBao has, and their engines the configurations below `config/`.
fn check_authorities(objects: &[Value]) -> Result<()> {
    let spec = |kind: &str, name: &str| {
        let found = objects.iter().find(|it| it["kind"] == kind && it["metadata"]["name"] == name);
        found.map(|object| object["spec"].clone()).with_context(|| format!("no {kind} {name}"))
    };
    let (root, web) = (spec("PKIIssuer", "hand-pki-root")?, spec("PKIIssuer", "hand-intermediate-web")?);
    let certificate = json!({
        "commonName": "Hand Root", "organization": ["Hand"], "country": ["DE"], "keyType": "ec", "keyBits": 384,
        "ttl": "2000h", "maxPathLength": 2,
    });
    assert_eq!(root["root"], certificate);
    assert_eq!(root["urls"], json!({"ocspServers": ["http://ocsp.example.com"]}));
    assert_eq!((&root["default"], &web["default"]), (&json!(true), &json!(true)));
    assert_eq!(web["intermediate"]["parentRef"]["name"], "hand-pki-root");
    assert_eq!(web["intermediate"]["maxPathLength"], 0);
    let configs = |name: &str| {
        let found = spec("SecretEngine", name)?["configs"].as_array().cloned().unwrap_or_default();
        let path = |config: &Value| config["path"].as_str().unwrap_or_default().to_owned();
        Ok::<_, anyhow::Error>(found.iter().map(path).collect::<Vec<String>>())
    };
    assert_eq!(configs("hand-pki")?, ["crl", "urls"]);
    assert_eq!(configs("hand-intermediate")?, ["auto-tidy"]);
    assert_eq!(configs("hand-transit")?, ["keys"]);
    assert_eq!(configs("hand-ssh")?, ["zeroaddress"]);
    Ok(())
}

#[tokio::test]
async fn the_import_reads_every_resource_with_the_documented_rights_and_no_value() -> Result<()> {
    let rig = Rig::new("import").await?;
    configure(&rig.case).await?;
    let openbao = &rig.case.ground.openbao;
    let token = token(&rig.case.admin()?).await?;
    let output = import(openbao, &token, &["--kubernetes-namespace", &rig.case.namespace])?;
    check_findings(&output)?;
    let report = String::from_utf8(output.stderr)?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(!text.contains(CANARY) && !report.contains(CANARY), "a secret value is written");

    let objects = yaml(&text)?;
    let mut expected = BTreeMap::from(COUNTS);
    // The policy of the token. The auth mount of the test ground is that of the operator, and is left out.
    *expected.entry("BaoPolicy").or_default() += 1;
    assert_eq!(by_kind(&objects), expected, "{report}");
    assert!(objects.len() >= 60);
    let mut names: Vec<String> =
        objects.iter().map(|it| format!("{} {}", it["kind"], it["metadata"]["name"])).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), objects.len(), "two objects have the same name");
    for (path, type_) in ENGINES {
        let engine = objects.iter().find(|it| it["kind"] == "SecretEngine" && it["spec"]["path"] == path);
        assert_eq!(engine.context(path)?["spec"]["type"], type_);
    }
    assert!(report.contains("sys/mounts/hand-ssh"), "the roles of the SSH engine are reported: {report}");
    assert!(report.contains("hand-intermediate/issuer/"), "the root without its key is reported: {report}");
    check_authorities(&objects)?;

    let requests = requests(openbao)?;
    ensure!(requests.len() > 60, "the audit log lacks requests");
    for (operation, path) in &requests {
        ensure!(operation == "read" || operation == "list", "{operation} {path}");
        let of_values = ["hand-kv1", "hand-kv2", "hand/nested", "kv"]
            .iter()
            .any(|mount| path.contains(&format!("{mount}/")));
        let is_mount = path.ends_with("/config") || path.starts_with("sys/");
        ensure!(!of_values || is_mount, "{operation} {path} reads values");
        ensure!(
            !path.contains("/creds/") && !path.contains("export/"),
            "{operation} {path} reads a credential"
        );
    }
    // The same OpenBao gives the same manifests.
    let again = import(openbao, &token, &["--kubernetes-namespace", &rig.case.namespace])?;
    assert_eq!(String::from_utf8(again.stdout)?, text);
    Ok(())
}

#[tokio::test]
async fn what_the_token_may_not_read_is_reported_with_the_missing_rule() -> Result<()> {
    let rig = Rig::new("import-denied").await?;
    let (admin, openbao) = (rig.case.admin()?, &rig.case.ground.openbao);
    let policy = "path \"sys/policies/acl/*\" { capabilities = [\"read\", \"list\"] }";
    let token = limited_token(&admin, policy).await?;
    let output = import(openbao, &token, &[])?;
    let report = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(1), "{report}");
    let objects = yaml(&String::from_utf8(output.stdout)?)?;
    assert_eq!(by_kind(&objects), BTreeMap::from([("BaoPolicy", 1)]), "{report}");
    for rule in [
        r#"path \"sys/mounts\" { capabilities = [\"read\"] }"#,
        r#"path \"identity/group/name/\" { capabilities = [\"list\"] }"#,
    ] {
        ensure!(report.contains(rule) || report.contains(&rule.replace('\\', "\\\\")), "{rule}: {report}");
    }
    let output = import(openbao, "wrong", &[])?;
    ensure!(output.status.code() == Some(1), "a token without rights reads nothing, and reports it");
    sealed_namespace(&admin).await?;
    let token = limited_token(&admin, "path \"*\" { capabilities = [\"read\", \"list\", \"sudo\"] }").await?;
    let output = import(openbao, &token, &[])?;
    let report = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(1) && report.contains("the namespace is sealed"), "{report}");
    let objects = yaml(&String::from_utf8(output.stdout)?)?;
    ensure!(by_kind(&objects).contains_key("BaoPolicy"), "the other namespaces are imported: {report}");
    Ok(())
}

/// Applies the objects that an import wrote. Returns their number.
async fn applied(case: &Case, output: &Output) -> Result<usize> {
    let mut objects = yaml(&String::from_utf8(output.stdout.clone())?)?;
    objects.retain(|object| object["kind"].as_str().and_then(KindId::parse).is_some());
    for object in &objects {
        apply(&case.client, object.clone()).await.with_context(|| object.to_string())?;
    }
    Ok(objects.len())
}

#[tokio::test]
async fn the_imported_objects_adopt_the_resources_without_a_write() -> Result<()> {
    let mut rig = Rig::new("import-adopted").await?;
    configure(&rig.case).await?;
    rig.install_root_scope().await?;
    let (admin, namespace) = (rig.case.admin()?, rig.case.namespace.clone());
    let token = token(&admin).await?;
    let output = import(&rig.case.ground.openbao, &token, &["--kubernetes-namespace", &namespace])?;
    check_findings(&output)?;
    let count = applied(&rig.case, &output).await?;
    ensure!(count >= 60, "only {count} objects");
    rig.start().await?;
    without_writes(&rig, count).await?;

    // The objects for a Terraform state have the same names, and replace them.
    let file = rig.case.ground.folder.join("import-state.json");
    std::fs::write(&file, state(&admin).await?)?;
    let file = file.display().to_string();
    let arguments: [&str; 4] = ["--terraform-state", &file, "--kubernetes-namespace", &namespace];
    let output = import(&rig.case.ground.openbao, &token, &arguments)?;
    let written = applied(&rig.case, &output).await?;
    ensure!(written >= 60, "only {written} objects: {}", String::from_utf8_lossy(&output.stderr));
    without_writes(&rig, count).await
}
