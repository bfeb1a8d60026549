//! A system in its desired state causes no writes, even after a restart of the operator.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use steamer_api::{BaoStaticSecret, PipelinePolicy, SecretsProject, SecretsTenant};
use steamer_testing::audit;
use steamer_testing::database::{self, Connection};
use steamer_testing::ground::{AUDIENCE, Ground, OPERATOR_NAMESPACE, apply, yaml};
use steamer_testing::installation::install_root_scope;
use steamer_testing::kstatus::kstatus;
use steamer_testing::kubectl::Kubectl;
use steamer_testing::openbao::OpenBao;
use steamer_testing::proxy::Asked;
use steamer_testing::wait::eventually;

use crate::fixture::{Case, all_ready, ready_of};
use crate::rig::Rig;
use crate::static_secrets::{auth, engine};

/// Returns the operator's writes to objects of a namespace, from the API server's audit log. Token requests are left
/// out, because they store nothing.
fn writes(case: &Case) -> Result<Vec<String>> {
    let entries = audit::entries(&case.ground.plane.audit, &case.namespace)?;
    let written = entries.iter().filter(|line| {
        let verb = line["verb"].as_str().unwrap_or_default();
        let resource = line["objectRef"]["resource"].as_str().unwrap_or_default();
        let subresource = line["objectRef"]["subresource"].as_str().unwrap_or_default();
        line["user"]["username"] == "system:serviceaccount:steamer-system:steamer"
            && line["objectRef"]["namespace"] == case.namespace.as_str()
            && ["create", "update", "patch", "delete"].contains(&verb)
            && (resource, subresource) != ("serviceaccounts", "token")
    });
    Ok(written.map(|line| format!("{} {}", line["verb"], line["requestURI"])).collect())
}

#[tokio::test]
async fn a_settled_system_writes_nothing_even_after_a_restart() -> Result<()> {
    let ground = Ground::shared().apart("settled").await?;
    let case = Case::on(ground.clone(), "settled").await?;
    let mut operator = ground.operator.clone();
    operator.arguments[0] = "--lease-duration=120s".to_owned();
    let mut running = ground.run(&operator).await?;
    let own = &ground.openbao;
    let url = ground.issuer.url.clone();
    case.object(
        "JWTIssuer",
        "gitlab",
        json!({"oidcDiscoveryUrl": url, "allowPlaintext": true, "refreshAfter": "1s"}),
    )
    .await?;
    let spec = json!({"clusterRef": {"name": "main"}, "organizationId": 801, "groupId": 7, "issuerRef": {"name": "gitlab"}});
    case.object("SecretsTenant", "acme", spec).await?;
    let workloads =
        json!([{"name": "app", "serviceAccount": "default", "namespace": case.namespace, "secrets": ["A"]}]);
    case.object(
        "SecretsProject",
        "web",
        json!({"tenantRef": {"name": "acme"}, "id": 42, "workloads": workloads}),
    )
    .await?;
    case.ready::<SecretsProject>("web", "True/Applied").await?;
    case.policy("all", json!({"branches": ["main"], "secrets": [{"name": "A"}]})).await?;
    let inside = own.admin()?.within("org_801/group_7/project_42");
    inside.write_kv2("secrets/kv", "explicit/A", &json!({"value": "x"})).await?;
    case.object("BaoAuth", "default", json!({"projectRef": {"name": "web"}, "workload": "app"})).await?;
    case.object(
        "BaoStaticSecret",
        "app",
        json!({
            "mount": "secrets/kv", "path": "explicit/A", "type": "kv-v2", "refreshAfter": "1s",
            "destination": {"name": "app", "create": true, "labels": {"a": "b"}},
            "rolloutRestartTargets": [{"kind": "Deployment", "name": "app"}], "rolloutRestart": {"mode": "Consumers"},
        }),
    )
    .await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
    let reads = || reads(own);
    let rows = || ground.postgres.run("settled", CHANGED);
    several_passes(&reads).await?;
    let (before, rows_before) = (writes(&case)?, rows()?);
    several_passes(&reads).await?;
    assert_eq!(writes(&case)?, before, "a settled system wrote to Kubernetes");
    assert_eq!(rows()?, rows_before, "a settled system wrote to OpenBao");

    // The new process reconciles everything and finds no drift. The operator logs in once. The read of a value carries its login.
    let (read, logged_in) = (reads()?, logins(own)?);
    ensure!(running.process.terminate()?, "the operator did not exit cleanly");
    let leases: Api<Lease> = Api::namespaced(case.client.clone(), OPERATOR_NAMESPACE);
    let lease = leases.get("steamer").await?.spec.unwrap_or_default();
    ensure!(lease.holder_identity.as_deref() == Some(""), "the lease was not released: {lease:?}");
    let _running = ground.run(&operator).await?;
    several_passes(&reads).await?;
    case.ready::<SecretsTenant>("acme", "True/Applied").await?;
    case.ready::<PipelinePolicy>("all", "True/Applied").await?;
    assert_eq!(writes(&case)?, before, "a restart wrote to Kubernetes");
    assert_eq!(rows()?, rows_before, "a restart wrote to OpenBao");
    let mut again = logins(own)?;
    for (identity, count) in &mut again {
        *count -= logged_in.get(identity).copied().unwrap_or_default();
    }
    let read = reads()? - read;
    let most = |identity: &str| if identity.contains("workload_jwt") { read } else { 1 };
    assert!(
        again.iter().all(|(identity, count)| *count <= most(identity)),
        "an identity logged in again, with {read} reads: {again:?}"
    );
    assert!(again.values().sum::<usize>() >= 1, "the value was read without a login: {again:?}");
    Ok(())
}

/// Logins of each identity, which is namespace, path and metadata of the token, from OpenBao's audit log.
fn logins(own: &OpenBao) -> Result<BTreeMap<String, usize>> {
    let mut logins = BTreeMap::new();
    for entry in audit::entries(&own.audit, "/login\"")?.iter().filter(|entry| entry["type"] == "response") {
        let (request, metadata) = (&entry["request"], &entry["auth"]["metadata"]);
        let identity = format!("{} {} {metadata}", request["namespace"]["path"], request["path"]);
        *logins.entry(identity).or_default() += 1;
    }
    Ok(logins)
}

/// Rows that Steamer provisions. Rows that OpenBao itself writes over time (leases, tokens, counters) are left out, and
/// with them the operator's logins.
const CHANGED: &str = "SELECT count(*), md5(string_agg(md5(value), '' ORDER BY path, key)) FROM openbao_kv_store \
    WHERE path LIKE '/namespaces/%' AND path NOT LIKE '%/sys/%expire/%' AND path NOT LIKE '%/sys/token/%' \
    AND path NOT LIKE '%counters%'";

/// Returns the number of reads of the value, from OpenBao's audit log.
fn reads(own: &OpenBao) -> Result<usize> {
    let entries = audit::entries(&own.audit, "secrets/kv/data/explicit/A")?;
    Ok(entries.iter().filter(|entry| entry["type"] == "response").count())
}

/// Waits until the value was read three more times, and so the object was reconciled as often.
async fn several_passes(reads: &impl Fn() -> Result<usize>) -> Result<()> {
    let start = reads()?;
    eventually("the value is read three more times", || async {
        let now = reads().map_err(|error| error.to_string())?;
        if now >= start + 3 { Ok(()) } else { Err(format!("{start} -> {now}")) }
    })
    .await
}

/// Applies the samples unchanged, except for the address and audience of OpenBao, the address of the issuer, and a short refresh
/// interval.
async fn samples(rig: &Rig) -> Result<()> {
    let case = &rig.case;
    let database = format!("127.0.0.1:{}/postgres?sslmode=disable", case.ground.postgres.port);
    let replaced = [
        ("postgres.openbao.svc:5432/postgres?sslmode=require", database.as_str()),
        ("https://main.openbao.svc:8200", rig.openbao_url()),
        ("http://gitlab.openbao.svc:8080", case.ground.issuer.url.as_str()),
        ("openbao:openbao/main", AUDIENCE),
    ];
    let admin = case.admin()?;
    steamer_testing::demo::pki(&admin).await?;
    steamer_testing::demo::push_policy(&admin).await?;
    let logins = [("web", "certificates", "10m"), ("push", "push", "10m"), ("database", "database", "24h")];
    for (role, policy, ttl) in logins {
        let settings = json!({
            "bound_service_account_names": ["web"], "bound_service_account_namespaces": ["web"],
            "audience": AUDIENCE, "token_policies": [policy], "token_ttl": ttl,
        });
        let path = format!("auth/kubernetes/role/{role}");
        admin.request_any(reqwest::Method::POST, &path, Some(settings)).await?;
    }
    let url = database::url(&format!("127.0.0.1:{}", case.ground.postgres.port), "disable");
    let connection = Connection { url: &url, user: "postgres", password: "trusted" };
    database::sample(&admin, connection).await?;
    // The owner role of the DatabaseRole sample.
    case.ground.postgres.run("postgres", "DROP ROLE IF EXISTS app; CREATE ROLE app")?;
    let cluster = json!({
        "apiVersion": "steamer.dev/v1alpha1", "kind": "OpenBaoCluster",
        "metadata": {"name": "main", "namespace": "openbao"},
        "spec": {
            "external": {
                "address": rig.openbao_url(), "allowPlaintext": true, "caSecretRef": {"name": "openbao-ca"},
                "managementAuth": {"kubernetes": {"role": "steamer", "audience": AUDIENCE}},
            },
            "externalUrl": "https://bao.example.com", "jwtAudience": "https://bao.example.com",
            "allowedNamespaces": {"from": "All"}, "operatorScope": "Root",
        },
    });
    install_root_scope(&case.ground.openbao).await?;
    let root = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pg-admin", "namespace": "openbao"},
        "stringData": {"username": "postgres", "password": "trusted"},
    });
    let others = |path: &std::path::Path| !path.ends_with("openbaocluster.yaml");
    for (path, mut text) in steamer_testing::demo::samples()?.into_iter().filter(|(path, _)| others(path)) {
        for (sample, here) in replaced {
            text = text.replace(sample, here);
        }
        for mut object in yaml(&text)? {
            if object["kind"] == "BaoStaticSecret" {
                object["spec"]["refreshAfter"] = json!("2s");
            }
            if object["spec"]["address"].is_string() {
                object["spec"]["allowPlaintext"] = json!(true);
            }
            apply(&case.client, object).await.with_context(|| path.display().to_string())?;
        }
    }
    apply(&case.client, root).await?;
    apply(&case.client, cluster).await?;
    let ca = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "openbao-ca", "namespace": "openbao"},
        "stringData": {"ca.crt": case.ground.openbao.ca},
    });
    apply(&case.client, ca.clone()).await?;
    let mut of_connection = ca;
    of_connection["metadata"]["name"] = json!("main-tls");
    apply(&case.client, of_connection).await.map(drop)
}

/// Fails with the objects, of all kinds, that are not Ready yet.
fn waiting(kubectl: &Kubectl) -> Result<(), String> {
    let text = kubectl.run(&["get", "steamer", "-A", "-o", "json"]).map_err(|error| error.to_string())?;
    let list: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let states =
        items.iter().map(|item| format!("{} {}: {}", item["kind"], item["metadata"]["name"], ready_of(item)));
    let mut waiting: Vec<String> = states.filter(|state| !state.contains(": True/")).collect();
    // Flux and Argo CD must reach the same conclusion.
    let words = kstatus(&items).map_err(|error| error.to_string())?;
    waiting.extend(words.into_iter().filter(|word| !word.starts_with("Current")));
    if waiting.is_empty() && items.len() >= 15 { Ok(()) } else { Err(waiting.join("; ")) }
}

#[tokio::test]
async fn with_all_samples_ready_three_refreshes_and_a_restart_write_nothing() -> Result<()> {
    let mut rig = Rig::new("settled-samples").await?;
    samples(&rig).await?;
    rig.start().await?;
    let project = rig.case.admin()?.within("org_1/group_7/project_42");
    eventually("the project has its engine", || async {
        match project.mount("secrets/kv").await {
            Ok(Some(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    for name in ["DB_PASSWORD", "API_KEY"] {
        // A new engine rejects writes for a moment.
        eventually("the engine accepts a value", || async {
            let path = format!("explicit/{name}");
            let written = project.write_kv2("secrets/kv", &path, &json!({"value": name})).await;
            written.map_err(|error| error.to_string())
        })
        .await?;
    }
    let kubectl = Kubectl::new(&rig.case.ground.plane.kubeconfig)?;
    all_ready(&rig.case.client).await?;
    eventually("all samples are Ready", || std::future::ready(waiting(&kubectl))).await?;

    let (kubernetes, openbao, ground) =
        (rig.kubernetes.clone(), rig.openbao.clone(), rig.case.ground.clone());
    // Values that are pushed are read only before they are written.
    let is_read = |path: &str| {
        ["API_KEY", "DB_PASSWORD"].iter().any(|name| path.ends_with(&format!("/data/explicit/{name}")))
    };
    let reads = || openbao.count(|asked| is_read(&asked.path).then(|| asked.path.clone()));
    let refreshed = || async {
        eventually("every value is read three times", || async {
            let reads = reads();
            if reads.len() == 2 && reads.values().all(|count| *count >= 3) {
                Ok(())
            } else {
                Err(format!("{reads:?}"))
            }
        })
        .await
    };
    let rows = || anyhow::Ok(ground.postgres.run("settled-samples", ROWS_WRITTEN)?.trim().to_owned());
    // Logins store a token, and tokens are requested; the capabilities of a token are read with POST. No other writes.
    let written = |asked: &Asked| {
        let asks = asked.path.ends_with("/capabilities-self");
        let login = asked.path.ends_with("/login")
            || asked.path.contains("auth/token/")
            || asked.path.ends_with("/token");
        (asked.writes() && !login && !asks).then(|| format!("{} {}", asked.method, asked.path))
    };
    let logins = || openbao.count(|asked| asked.writes().then(|| asked.path.clone()));
    refreshed().await?;
    // PostgreSQL publishes its statistics with a delay, so rows of an earlier login can appear later. Rows that every
    // refresh writes appear in each window.
    let mut quiet = false;
    for _ in 0..WINDOWS {
        kubernetes.forget();
        openbao.forget();
        let before = rows()?;
        refreshed().await?;
        let after = rows()?;
        println!("three refreshes of all samples: rows written {before} -> {after}, logins {:?}", logins());
        assert_eq!(kubernetes.count(written), BTreeMap::new());
        assert_eq!(openbao.count(written), BTreeMap::new());
        // `api` and `both` read API_KEY with different logins.
        let is_once =
            |(path, count): (&String, &usize)| *count <= if path.ends_with("/API_KEY") { 8 } else { 4 };
        assert!(reads().iter().all(is_once), "more than one read per login and refresh: {:?}", reads());
        quiet = !logins().is_empty() || before == after;
        if quiet {
            break;
        }
    }
    assert!(quiet, "rows were written without a login");

    rig.kill().await?;
    kubernetes.forget();
    openbao.forget();
    rig.start().await?;
    refreshed().await?;
    all_ready(&rig.case.client).await?;
    eventually("all samples are Ready", || std::future::ready(waiting(&kubectl))).await?;
    assert_eq!(kubernetes.count(written), BTreeMap::new(), "a restart wrote to Kubernetes");
    assert_eq!(openbao.count(written), BTreeMap::new(), "a restart wrote to OpenBao");
    Ok(())
}

/// Number of observed windows of three refreshes.
const WINDOWS: usize = 5;

/// Number of rows of OpenBao's storage written since PostgreSQL started, by any client.
const ROWS_WRITTEN: &str = "SELECT pg_stat_force_next_flush(); \
    SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE relname = 'openbao_kv_store'";

#[tokio::test]
async fn a_restart_neither_reads_nor_writes_a_secret_that_is_not_due() -> Result<()> {
    let mut rig = Rig::new("not-due").await?;
    let case = &rig.case;
    engine(case, "not-due").await?;
    case.object("BaoAuth", "default", auth("not-due")).await?;
    let synced = async |name: &str, destination: Value| {
        case.admin()?.write_kv2("not-due", name, &json!({"a": "1"})).await?;
        let spec = json!({
            "mount": "not-due", "path": name, "type": "kv-v2", "refreshAfter": "24h", "destination": destination,
        });
        case.object("BaoStaticSecret", name, spec).await?;
        anyhow::Ok(())
    };
    let own = |name: &str| json!({"name": name, "create": true, "labels": {"app": "web"}});
    let foreign = json!({"metadata": {"name": "foreign", "namespace": case.namespace}, "apiVersion": "v1", "kind": "Secret"});
    apply(&case.client, foreign).await?;
    synced("owned", own("owned")).await?;
    synced("merged", json!({"name": "foreign"})).await?;
    let template = json!({"templates": {"b": {"text": "{{ .Secrets.a }} {{ .Metadata.version }}"}}});
    case.object("SecretTransformation", "shared", template).await?;
    let references = json!([{"name": "shared"}]);
    let transformed =
        json!({"name": "rendered", "create": true, "transformation": {"transformationRefs": references}});
    synced("rendered", transformed).await?;
    rig.start().await?;
    let case = &rig.case;
    case.ready::<BaoStaticSecret>("owned", "True/Applied").await?;
    case.ready::<BaoStaticSecret>("merged", "True/Applied").await?;
    case.ready::<BaoStaticSecret>("rendered", "True/Applied").await?;

    rig.kill().await?;
    rig.kubernetes.forget();
    rig.openbao.forget();
    rig.start().await?;
    let case = &rig.case;
    let reads = |name: &str| {
        let path = format!("not-due/data/{name}");
        rig.openbao.count(|asked| asked.path.ends_with(&path).then(String::new)).values().sum::<usize>()
    };
    let writes = |name: &str| {
        let named = |asked: &Asked| asked.writes() && asked.path.split('/').any(|part| part == name);
        rig.kubernetes.count(|asked| named(asked).then(|| asked.path.clone()))
    };
    // The label of the Secret is repaired without a read, and the new object is synced after the others were reconciled.
    let label = Patch::Merge(json!({"metadata": {"labels": {"app": "other"}}}));
    let secrets: Api<Secret> = case.api();
    secrets.patch("owned", &PatchParams::default(), &label).await?;
    eventually("the label is repaired", || async {
        let labels = secrets.get("owned").await.map_err(|error| error.to_string())?.metadata.labels;
        let repaired = labels.as_ref().is_some_and(|labels| labels["app"] == "web");
        if repaired { Ok(()) } else { Err(format!("{labels:?}")) }
    })
    .await?;
    case.admin()?.write_kv2("not-due", "later", &json!({"a": "1"})).await?;
    let spec = json!({"mount": "not-due", "path": "later", "type": "kv-v2", "destination": own("later")});
    case.object("BaoStaticSecret", "later", spec).await?;
    case.ready::<BaoStaticSecret>("later", "True/Applied").await?;
    assert_eq!(reads("later"), 1, "the new object is read");
    let read = ["owned", "merged", "rendered"].map(reads);
    assert_eq!(read, [0, 0, 0], "a restart read a value that was not due");
    assert_eq!(writes("rendered"), BTreeMap::new(), "a restart rendered a value again");
    assert_eq!(
        writes("foreign"),
        BTreeMap::new(),
        "a restart wrote into a Secret that was in its desired state"
    );
    assert_eq!(writes("merged"), BTreeMap::new(), "a restart wrote the status of a settled object");
    // All objects share one login.
    let logins = rig.openbao.count(|asked| {
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        asked.path.ends_with("/login").then(|| format!("{} {} {}", asked.namespace, asked.path, body["role"]))
    });
    assert!(logins.values().all(|count| *count == 1), "an identity logged in again: {logins:?}");
    assert!(logins.keys().any(|identity| identity.ends_with("\"not-due\"")), "{logins:?}");
    assert_eq!(
        writes("owned").get(&format!("/api/v1/namespaces/{}/secrets/owned", case.namespace)),
        Some(&1)
    );
    Ok(())
}
