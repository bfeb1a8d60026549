//! A value is stored in OpenBao and in its destination Secret, and nowhere else.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use steamer_api::{BaoDynamicSecret, BaoPKISecret, BaoPushSecret, BaoStaticSecret};
use steamer_openbao::Kv;
use steamer_testing::database::{self, Connection};
use steamer_testing::operator;
use steamer_testing::search::contains_any;
use steamer_testing::wait::eventually;

use crate::fixture::Case;
use crate::pki_secrets::authorities;
use crate::rig::Rig;
use crate::static_secrets::{auth, engine};

/// Two successive values of one secret, which occur in no other data.
const CANARIES: [&str; 2] = ["canary-Zq7xW3vNf0-first-kRt5Lm", "canary-Zq7xW3vNf0-second-Hy2Pb"];

/// Returns every encoding of values: plain, hex, and Base64 at any offset.
fn needles(canaries: &[String]) -> Vec<Vec<u8>> {
    let mut needles = Vec::new();
    for canary in canaries {
        needles.push(canary.as_bytes().to_vec());
        needles.push(canary.bytes().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes());
        for offset in 0..3 {
            let shifted = [vec![b'?'; offset], canary.as_bytes().to_vec()].concat();
            let encoded = STANDARD.encode(shifted);
            // The first and the last characters depend on the adjacent bytes.
            needles.push(encoded.as_bytes()[4..encoded.len() - 4].to_vec());
        }
    }
    needles
}

/// Searches for values.
pub struct Search(Vec<Vec<u8>>);

impl Search {
    /// Searches for the canaries and for values that OpenBao generated.
    pub fn of(generated: &[String]) -> Self {
        let canaries = CANARIES.map(str::to_owned);
        Self(needles(&[&canaries, generated].concat()))
    }

    fn finds(&self, haystack: &[u8]) -> bool {
        contains_any(haystack, &self.0)
    }
}

/// Returns the files below a folder that contain a value.
pub fn leaking_files(folder: &Path, search: &Search) -> Result<Vec<String>> {
    let mut leaking = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())?.flatten() {
        match entry.path() {
            path if path.is_dir() => leaking.extend(leaking_files(&path, search)?),
            path if search.finds(&std::fs::read(&path)?) => leaking.push(path.display().to_string()),
            _ => {}
        }
    }
    Ok(leaking)
}

/// Returns the etcd keys with a value that contains a canary.
pub async fn leaking_keys(rig: &Rig, search: &Search) -> Result<BTreeSet<String>> {
    let everything = json!({"key": "AA==", "range_end": "AA=="});
    let answer = rig.case.ground.plane.ask_etcd("kv/range", &everything).await?;
    let entries = answer["kvs"].as_array().context("etcd returned no keys")?;
    ensure!(entries.len() > 100, "etcd has only {} keys", entries.len());
    let decode = |entry: &Value, part: &str| STANDARD.decode(entry[part].as_str().unwrap_or_default());
    let mut leaking = BTreeSet::new();
    for entry in entries {
        if search.finds(&decode(entry, "value")?) {
            leaking.insert(String::from_utf8_lossy(&decode(entry, "key")?).into_owned());
        }
    }
    Ok(leaking)
}

async fn holds(rig: &Rig, name: &str, canary: &str) -> Result<()> {
    let secrets: Api<Secret> = rig.case.api();
    eventually(&format!("{name} holds the value"), || async {
        let data = secrets.get(name).await.map_err(|error| error.to_string())?.data.unwrap_or_default();
        match data.get("password") {
            Some(value) if value.0 == canary.as_bytes() => Ok(()),
            _ => Err(format!("{:?}", data.keys())),
        }
    })
    .await
}

/// Writes a Secret to OpenBao: to a new path, to one of another owner, and to one that the policy does not allow.
async fn push(case: &Case) -> Result<()> {
    let source = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "source", "namespace": case.namespace, "labels": {"push": "yes"}},
        "stringData": {"password": CANARIES[0]},
    });
    steamer_testing::ground::apply(&case.client, source).await?;
    let rules = json!({"capabilities": ["create", "read", "update"]});
    let paths = json!({"leaks/+/pushed": rules, "leaks/*": {"capabilities": ["read"]}});
    let policy = json!({"policy": json!({"path": paths}).to_string()});
    case.admin()?.request_any(reqwest::Method::POST, "sys/policies/acl/leaks", Some(policy)).await?;
    for (path, ready) in
        [("pushed", "True/Applied"), ("app", "False/Conflict"), ("forbidden", "False/PermissionDenied")]
    {
        let data = json!([{"mount": "leaks", "path": path, "type": "kv-v2"}]);
        let spec = json!({"secretRef": {"name": "source"}, "data": data, "refreshAfter": "1s"});
        case.object("BaoPushSecret", path, spec).await?;
        case.ready::<BaoPushSecret>(path, ready).await?;
    }
    // The status states why a selected Secret is not pushed.
    let data = json!([{"mount": "leaks", "path": "selected", "type": "kv-v2"}]);
    let spec = json!({"selector": {"matchLabels": {"push": "yes"}}, "data": data, "refreshAfter": "1s"});
    case.object("BaoPushSecret", "selected", spec).await?;
    case.ready::<BaoPushSecret>("selected", "False/PermissionDenied").await.map(drop)
}

/// Delivers a credential and a certificate, and fails to render others. Returns the values that OpenBao generated.
async fn issue(case: &Case) -> Result<Vec<String>> {
    let admin = case.admin()?;
    let url = database::url(&format!("127.0.0.1:{}", case.ground.postgres.port), "disable");
    let connection = Connection { url: &url, user: "postgres", password: "trusted" };
    database::engine(&admin, "leaks-db", connection).await?;
    database::role(&admin, "leaks-db/roles/leaks", ("1h", "24h")).await?;
    authorities(case, "leaks-pki").await?;
    case.object("BaoAuth", "default", auth("leaks")).await?;
    let all = json!({"capabilities": ["create", "read", "update"]});
    let revoke = json!({"capabilities": ["update"]});
    let paths = json!({"leaks-db/*": all, "leaks-pki/*": all, "sys/leases/revoke": revoke});
    case.role("leaks-issue", paths, "1h").await?;
    case.object("BaoAuth", "issue", auth("leaks-issue")).await?;
    let spec = |name: &str, source: Value, changes: Value| {
        let mut spec = source;
        spec["authRef"] = json!({"name": "issue"});
        spec["destination"] = json!({"name": name, "create": true});
        if !changes.is_null() {
            spec["destination"]["transformation"] = json!({"templates": {"a": {"text": changes}}});
        }
        spec
    };
    let credential = || json!({"mount": "leaks-db", "path": "creds/leaks", "revoke": true});
    let certificate = || json!({"mount": "leaks-pki", "role": "web", "commonName": "web.example.com"});
    case.object("BaoDynamicSecret", "dynamic", spec("dynamic", credential(), Value::Null)).await?;
    case.object("BaoPKISecret", "certificate", spec("certificate", certificate(), Value::Null)).await?;
    case.ground
        .postgres
        .run("postgres", "DROP ROLE IF EXISTS leaks_static; CREATE ROLE leaks_static LOGIN")?;
    let role = json!({"db_name": "postgres", "username": "leaks_static", "rotation_period": "24h"});
    admin.request_any(reqwest::Method::POST, "leaks-db/static-roles/leaks-static", Some(role)).await?;
    let rotated = json!({"mount": "leaks-db", "path": "static-creds/leaks-static", "allowStaticCreds": true});
    case.object("BaoDynamicSecret", "rotated", spec("rotated", rotated, Value::Null)).await?;
    case.ready::<BaoDynamicSecret>("dynamic", "True/Applied").await?;
    case.ready::<BaoDynamicSecret>("rotated", "True/Applied").await?;
    case.ready::<BaoPKISecret>("certificate", "True/Applied").await?;
    // The template would state the value in its error.
    let fails = json!("{{ fail (printf \"%s\" .Secrets.password) }}");
    case.object("BaoDynamicSecret", "fails", spec("fails", credential(), fails)).await?;
    case.ready::<BaoDynamicSecret>("fails", "False/Invalid").await?;
    let value = async |name: &str, key: &str| crate::dynamic_secrets::key(case, name, key).await;
    let (password, private) =
        (value("dynamic", "password").await?, value("certificate", "private_key").await?);
    let line = private.lines().nth(1).context("the key has no lines")?;
    Ok(vec![password, line.to_owned(), value("rotated", "password").await?])
}

/// Finds values, rewrites their keys and decodes them, and fails to decode one.
async fn find(case: &Case) -> Result<()> {
    let admin = case.admin()?;
    admin.write_kv2("leaks", "encoded/one", &json!({"v": STANDARD.encode(CANARIES[0])})).await?;
    admin.write_kv2("leaks", "plain/one", &json!({"v": CANARIES[0]})).await?;
    for (name, path, ready) in [("found", "encoded", "True/Applied"), ("undecoded", "plain", "False/Invalid")]
    {
        let source = json!({
            "mount": "leaks", "type": "kv-v2", "find": {"path": path, "key": "v"}, "decode": "Base64",
            "rewrite": [{"source": "^(.*)$", "target": "DB_$1"}],
        });
        let spec = json!({
            "authRef": {"name": "more"}, "sources": [source], "refreshAfter": "1s",
            "destination": {"name": name, "create": true},
        });
        case.object("BaoStaticSecret", name, spec).await?;
        case.ready::<BaoStaticSecret>(name, ready).await?;
    }
    Ok(())
}

/// Pushes a generated value, and returns it.
async fn generate(case: &Case) -> Result<String> {
    let data = json!([{
        "mount": "leaks", "path": "made", "type": "kv-v2", "property": "pin", "generate": {"password": {}},
    }]);
    let spec = json!({"authRef": {"name": "more"}, "data": data, "refreshAfter": "1s"});
    case.object("BaoPushSecret", "generated", spec).await?;
    case.ready::<BaoPushSecret>("generated", "True/Applied").await?;
    match case.admin()?.read_kv2("leaks", "made", None).await? {
        Kv::Value { values, .. } => {
            Ok(values.0.get("pin").context("no pin")?.text().expose_secret().to_owned())
        }
        other => bail!("{other:?}"),
    }
}

/// Delivers a value to all namespaces with a label.
async fn spread(rig: &Rig) -> Result<()> {
    let spec = json!({
        "authRef": {"name": "more"}, "mount": "leaks", "path": "app", "type": "kv-v2", "refreshAfter": "1s",
        "destination": {"name": "spread", "create": true},
    });
    let labels = json!({"kubernetes.io/metadata.name": rig.case.namespace});
    let object = json!({
        "apiVersion": "steamer.dev/v1alpha1", "kind": "ClusterBaoStaticSecret", "metadata": {"name": "spread"},
        "spec": {"namespaceSelectors": [{"matchLabels": labels}], "template": {"spec": spec}},
    });
    steamer_testing::ground::apply(&rig.case.client, object).await?;
    holds(rig, "spread", CANARIES[1]).await
}

/// Delivers values in further ways. Returns the generated ones.
async fn more(rig: &Rig) -> Result<Vec<String>> {
    let case = &rig.case;
    let rules = json!({"leaks/*": {"capabilities": ["create", "read", "update", "list"]}});
    case.role("leaks-more", rules, "1h").await?;
    case.object("BaoAuth", "more", auth("leaks-more")).await?;
    find(case).await?;
    spread(rig).await?;
    Ok(vec![generate(case).await?])
}

/// Converts objects of other operators whose fields contain a value. The report names fields, not values.
fn convert(search: &Search) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": CANARIES[0]},
    });
    let static_secret = json!({
        "apiVersion": "secrets.hashicorp.com/v1beta1", "kind": "VaultStaticSecret", "metadata": {"name": "v"},
        "spec": {
            "mount": "kv", "path": "app", "type": "kv-v2", "unknown": CANARIES[0],
            "destination": {"name": "v", "create": true}, "hmacSecretData": CANARIES[1],
        },
    });
    let mut command = Command::new(operator::binary()?);
    command.args(["convert", "--report", "json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let input = format!("{secret}\n---\n{static_secret}\n");
    std::io::Write::write_all(&mut child.stdin.take().context("no standard input")?, input.as_bytes())?;
    let output = child.wait_with_output()?;
    let report = String::from_utf8_lossy(&output.stderr);
    ensure!(report.contains("unknown"), "the report does not name the field: {report}");
    ensure!(!search.finds(&output.stderr), "the report contains a value: {report}");
    Ok(())
}

#[tokio::test]
async fn a_value_is_stored_only_in_openbao_and_its_destination_secret() -> Result<()> {
    assert!(
        Search::of(&[]).finds(format!("x{}", STANDARD.encode(format!("ab{}c", CANARIES[0]))).as_bytes()),
        "the search does not find an encoded canary"
    );
    let mut rig = Rig::alone("leaks").await?;
    rig.operator.arguments.push("--log-level=trace".to_owned());
    rig.operator.arguments.retain(|argument| !argument.starts_with("--log-level=info"));
    rig.start().await?;
    let case = &rig.case;
    engine(case, "leaks").await?;
    let admin = case.admin()?;
    admin.write_kv2("leaks", "app", &json!({"password": CANARIES[0], "user": "app"})).await?;
    case.object("BaoAuth", "default", auth("leaks")).await?;
    let spec = |path: &str, name: &str| {
        json!({
            "mount": "leaks", "path": path, "type": "kv-v2", "refreshAfter": "1s",
            "destination": {"name": name, "create": true},
        })
    };
    case.object("BaoStaticSecret", "app", spec("app", "app")).await?;
    holds(&rig, "app", CANARIES[0]).await?;

    // The value changes, and the Secret is edited.
    admin.write_kv2("leaks", "app", &json!({"password": CANARIES[1]})).await?;
    holds(&rig, "app", CANARIES[1]).await?;
    let edit = json!({"stringData": {"password": "edited"}});
    case.api::<Secret>().patch("app", &PatchParams::default(), &Patch::Merge(&edit)).await?;
    holds(&rig, "app", CANARIES[1]).await?;

    // Every error that can occur while a value is processed: invalid key, size or type, a foreign Secret, and a template.
    let wrong = json!({"templates": {"a": {"text": "{{ mustToDate \"2006\" .Secrets.password }}"}}});
    case.object("SecretTransformation", "wrong", wrong).await?;
    let rendered = |text: &str| json!({"transformation": {"templates": {"a": {"text": text}}}});
    let theirs = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs", "namespace": case.namespace},
        "stringData": {"mine": "x"},
    });
    steamer_testing::ground::apply(&case.client, theirs).await?;
    let wrong = [
        ("key", json!({"a b": CANARIES[0]}), json!({}), "False/Invalid"),
        ("size", json!({"password": CANARIES[0].repeat(40_000)}), json!({}), "False/Invalid"),
        ("type", json!({"password": CANARIES[0]}), json!({"type": "kubernetes.io/tls"}), "False/"),
        ("conflict", json!({"password": CANARIES[0]}), json!({"name": "theirs"}), "False/Conflict"),
        (
            "template",
            json!({"password": CANARIES[0]}),
            rendered("{{ mustFromJson .Secrets.password }}"),
            "False/Invalid",
        ),
        (
            "fails",
            json!({"password": CANARIES[0]}),
            rendered("{{ fail .Secrets.password }}"),
            "False/Invalid",
        ),
        (
            "label",
            json!({"password": CANARIES[0]}),
            json!({"transformation": {"labels": {"a": "/{{ .Secrets.password }}"}}}),
            "False/Invalid",
        ),
        (
            "mapping",
            json!({"password": CANARIES[0]}),
            json!({"transformation": {"keysAndValues": [{"text": "{{ .Secrets.password }}"}]}}),
            "False/Invalid",
        ),
        (
            "shared",
            json!({"password": CANARIES[0]}),
            json!({"transformation": {"transformationRefs": [{"name": "wrong"}]}}),
            "False/Invalid",
        ),
    ];
    for (name, value, destination, ready) in wrong {
        admin.write_kv2("leaks", name, &value).await?;
        let mut spec = spec(name, name);
        for (field, value) in destination.as_object().into_iter().flatten() {
            spec["destination"][field] = value.clone();
        }
        case.object("BaoStaticSecret", name, spec).await?;
        case.ready::<BaoStaticSecret>(name, ready).await?;
    }

    push(case).await?;
    let generated = [issue(case).await?, more(&rig).await?].concat();
    let search = Search::of(&generated);
    convert(&search)?;

    let running = rig.running.as_mut().context("the operator is not running")?;
    let metrics = reqwest::get(format!("{}/metrics", running.admin)).await?.text().await?;
    ensure!(metrics.contains("steamer_value_reads_total"), "{metrics}");
    ensure!(!search.finds(metrics.as_bytes()), "the metrics contain a canary");
    let logs = std::fs::read_to_string(running.process.log())?;
    ensure!(logs.contains("TRACE"), "the log is not at trace level");
    ensure!(!running.process.crash()?, "a core dump was left behind");

    let secrets = ["app", "certificate", "dynamic", "found", "rotated", "source", "spread"];
    let expected = BTreeSet::from(secrets.map(|name| format!("/registry/secrets/leaks/{name}")));
    assert_eq!(leaking_keys(&rig, &search).await?, expected, "etcd: objects, statuses, Events");
    assert_eq!(
        leaking_files(&rig.case.ground.logs, &search)?,
        Vec::<String>::new(),
        "output of the operator and the servers"
    );
    for audit in [&rig.case.ground.plane.audit, &rig.case.ground.openbao.audit] {
        ensure!(!search.finds(&std::fs::read(audit)?), "{} contains a canary", audit.display());
    }
    let rows = rig
        .case
        .ground
        .postgres
        .run("leaks", "SELECT path, key, encode(value, 'hex') FROM openbao_kv_store")?;
    ensure!(rows.lines().count() > 50, "PostgreSQL has only {} rows", rows.lines().count());
    ensure!(!search.finds(rows.as_bytes()), "PostgreSQL contains a canary in plain text");
    Ok(())
}
