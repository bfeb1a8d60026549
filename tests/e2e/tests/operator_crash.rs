//! The operator is killed before each of its writes, restarted, and reaches the same state; at no moment can an
//! identity read a secret that was not granted to it.
//!
//! Reads change nothing, so a kill between two reads equals a kill before the first: every state that a killed operator
//! can leave behind is the state before one of its writes, to OpenBao or to Kubernetes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{BaoStaticSecret, JWTIssuer, PipelinePolicy, SecretsProject, SecretsTenant};
use steamer_openbao::{Client, Identity, Kv, Session};
use steamer_testing::Ground;
use steamer_testing::ground::account_token;
use steamer_testing::issuer::pipeline_claims;
use tokio::sync::RwLock;

use crate::fixture::Case;
use crate::openbao_outage::gone;
use crate::rig::Rig;
use crate::tenancy::AUDIENCE;

const NAMES: [&str; 3] = ["A", "B", "C"];
const NAMESPACE: &str = "org_1001/group_7/project_42";

/// Readers of secrets: jobs of these branches, and a workload.
const IDENTITIES: [&str; 4] = ["main", "release", "dev", "workload"];
/// Phases between provisioning and deletion.
const MIDDLE: [&str; 3] = ["policy change", "sync", "sync change"];

/// Pause after each probe. One probe makes about thirty requests; without pauses they take the processor from the operator.
const PAUSE: Duration = Duration::from_millis(200);

/// Secrets that each identity may currently read.
type Allowed = BTreeMap<&'static str, BTreeSet<&'static str>>;
/// Number of kills in each phase.
type Kills = BTreeMap<&'static str, usize>;

fn allowed(allowed: &[(&'static str, &[&'static str])]) -> Allowed {
    allowed.iter().map(|(who, names)| (*who, names.iter().copied().collect())).collect()
}

/// Probes, throughout the test, for access that was not granted.
struct Reader {
    ground: Arc<Ground>,
    account: String,
    allowed: RwLock<Allowed>,
    kept: std::sync::Mutex<BTreeMap<&'static str, Session>>,
}

impl Reader {
    /// Logs in as each identity and reads everything, also with the token of an earlier login; fails at the first value
    /// that the identity may not read.
    async fn probe(&self) -> Result<()> {
        let client = self.ground.openbao.client()?;
        loop {
            self.write_values(&client).await;
            for who in IDENTITIES {
                // Held until the end of the turn: what is allowed does not change meanwhile.
                let all_allowed = self.allowed.read().await;
                let allowed = all_allowed.get(who).cloned().unwrap_or_default();
                let kept = self.kept().get(who).cloned();
                let fresh = self.login(&client, who).await;
                for session in kept.into_iter().chain(fresh.clone()) {
                    let readable = readable(&session).await;
                    ensure!(readable.is_subset(&allowed), "{who} reads {readable:?}, may read {allowed:?}");
                }
                if let Some(session) = fresh {
                    self.kept().entry(who).or_insert(session);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Session>> {
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Writes the values, so that they exist as soon as their engine does. The last one exists only if all of them do.
    async fn write_values(&self, client: &Client) {
        let session = client.session(Identity::Token(self.ground.openbao.root.clone())).within(NAMESPACE);
        let last = session.read_kv2("secrets/kv", "explicit/C", None).await;
        if matches!(last, Ok(Kv::Value { .. })) {
            return;
        }
        for name in NAMES {
            let path = format!("explicit/{name}");
            if session.write_kv2("secrets/kv", &path, &json!({"value": name})).await.is_err() {
                return;
            }
        }
    }

    async fn login(&self, client: &Client, who: &'static str) -> Option<Session> {
        let mut claims = pipeline_claims(&self.ground.issuer.url, AUDIENCE);
        if who != "workload" {
            claims["ref"] = json!(who);
            claims["ref_path"] = json!(format!("refs/heads/{who}"));
        }
        let (path, role, jwt) = match who {
            "workload" => ("auth/workload_jwt/login", "app", self.account.clone()),
            _ => (
                "auth/pipeline_jwt/cel/login",
                "all_pipelines",
                self.ground.issuer.sign("key-1", &claims).ok()?,
            ),
        };
        let anonymous = client.session(Identity::Anonymous).within(NAMESPACE);
        let body = json!({"role": role, "jwt": jwt});
        let answer = anonymous.request_any(Method::POST, path, Some(body)).await.ok()?;
        let token = answer.pointer("/auth/client_token")?.as_str()?.to_owned();
        Some(client.session(Identity::Token(token.into())).within(NAMESPACE))
    }

    /// Fails unless a new login can read exactly the secrets in `now`; from then on, [`Self::probe`] allows only those.
    async fn settled(&self, now: Allowed) -> Result<()> {
        let client = self.ground.openbao.client()?;
        self.write_values(&client).await;
        let seen = join_all(IDENTITIES.map(|who| self.readable_after_login(&client, who))).await;
        for (who, seen) in IDENTITIES.into_iter().zip(seen) {
            let expected = now.get(who).cloned().unwrap_or_default();
            ensure!(seen == expected, "{who} reads {seen:?} instead of {expected:?}");
        }
        *self.allowed.write().await = now;
        Ok(())
    }

    async fn readable_after_login(&self, client: &Client, who: &'static str) -> BTreeSet<&'static str> {
        match self.login(client, who).await {
            Some(session) => readable(&session).await,
            None => BTreeSet::new(),
        }
    }
}

async fn readable(session: &Session) -> BTreeSet<&'static str> {
    let mut readable = BTreeSet::new();
    for name in NAMES {
        let found = session.read_kv2("secrets/kv", &format!("explicit/{name}"), None).await;
        if matches!(found, Ok(Kv::Value { .. })) {
            readable.insert(name);
        }
    }
    readable
}

/// Changes and their outcome.
struct Phase {
    name: &'static str,
    /// The changes that start it.
    changes: &'static [&'static str],
    /// Secrets that each identity may read during the phase, and after it.
    meanwhile: Allowed,
    after: Allowed,
}

/// The phases of a round. Those of [`MIDDLE`] prepare the deletion as soon as all of them are over: their changes are then made at
/// once. They are left out when the deletion is over, too, and only the provisioning is left.
fn phases(is_over: impl Fn(&str) -> bool) -> Vec<Phase> {
    let one = allowed(&[("main", &["A"]), ("workload", &["A"])]);
    let both = allowed(&[("main", &["A"]), ("release", &["B"]), ("workload", &["A"])]);
    let two = allowed(&[("release", &["B"]), ("workload", &["A"])]);
    let none = Allowed::new();
    let phase =
        |name: &'static str, changes: &'static [&'static str], (meanwhile, after): (&Allowed, &Allowed)| {
            Phase { name, changes, meanwhile: meanwhile.clone(), after: after.clone() }
        };
    let provisioning = phase("provisioning", &["provisioning"], (&one, &one));
    let deletion = phase("deletion", &["deletion of the sync", "deletion"], (&two, &none));
    if !MIDDLE.into_iter().all(&is_over) {
        return vec![
            provisioning,
            phase("policy change", &["policy change"], (&both, &two)),
            phase("sync", &["sync"], (&two, &two)),
            phase("sync change", &["sync change"], (&two, &two)),
            deletion,
        ];
    }
    if is_over("deletion") {
        return vec![provisioning, phase("deletion", &["deletion"], (&one, &none))];
    }
    vec![provisioning, phase("sync change", &["policy change", "sync change"], (&both, &two)), deletion]
}

/// Returns true if a phase has no write that follows `writes` others: the previous round has shown it.
fn is_over(kills: &Kills, phase: &str, writes: usize) -> bool {
    kills.get(phase).is_some_and(|kills| *kills < writes)
}

async fn begin(case: &Case, change: &str) -> Result<()> {
    match change {
        "provisioning" => provision(case).await,
        "policy change" => policy(case, "release", "B").await,
        "sync" => sync(case, "first", "A").await,
        "sync change" => sync(case, "second", "A").await,
        "deletion of the sync" => {
            case.api::<BaoStaticSecret>().delete("app", &DeleteParams::default()).await?;
            Ok(())
        }
        _ => delete(case).await,
    }
}

async fn provision(case: &Case) -> Result<()> {
    let url = case.ground.issuer.url.clone();
    case.object("JWTIssuer", "gitlab", json!({"oidcDiscoveryUrl": url, "allowPlaintext": true})).await?;
    let spec = json!({
        "clusterRef": {"name": "main"}, "organizationId": 1001, "groupId": 7, "issuerRef": {"name": "gitlab"},
        "deletionPolicy": "Delete",
    });
    case.object("SecretsTenant", "acme", spec).await?;
    let workloads =
        json!([{"name": "app", "serviceAccount": "default", "namespace": case.namespace, "secrets": ["A"]}]);
    let spec =
        json!({"tenantRef": {"name": "acme"}, "id": 42, "workloads": workloads, "deletionPolicy": "Delete"});
    case.object("SecretsProject", "web", spec).await?;
    policy(case, "main", "A").await?;
    case.object("BaoAuth", "default", json!({"projectRef": {"name": "web"}, "workload": "app"}))
        .await
        .map(drop)
}

async fn policy(case: &Case, branch: &str, secret: &str) -> Result<()> {
    let spec = json!({"projectRef": {"name": "web"}, "branches": [branch], "secrets": [{"name": secret}]});
    case.object("PipelinePolicy", "one", spec).await.map(drop)
}

async fn sync(case: &Case, destination: &str, secret: &str) -> Result<()> {
    let spec = json!({
        "mount": "secrets/kv", "path": format!("explicit/{secret}"), "type": "kv-v2",
        "destination": {"name": destination, "create": true},
    });
    case.object("BaoStaticSecret", "app", spec).await.map(drop)
}

async fn delete(case: &Case) -> Result<()> {
    let parameters = DeleteParams::default();
    case.api::<PipelinePolicy>().delete("one", &parameters).await?;
    case.api::<SecretsTenant>().delete("acme", &parameters).await?;
    case.api::<SecretsProject>().delete("web", &parameters).await?;
    case.api::<JWTIssuer>().delete("gitlab", &parameters).await.map(drop)?;
    Ok(())
}

/// Waits until the phase is complete and returns the resulting state.
async fn end(case: &Case, phase: &str) -> Result<Value> {
    let secrets: Api<Secret> = case.api();
    if phase == "deletion" {
        gone(&case.api::<BaoStaticSecret>(), "app").await?;
        gone(&case.api::<SecretsProject>(), "web").await?;
        gone(&case.api::<SecretsTenant>(), "acme").await?;
        gone(&secrets, "second").await?;
        let left = case.admin()?.child_namespace("org_1001").await?;
        return Ok(json!(format!("{left:?}")));
    }
    case.ready::<JWTIssuer>("gitlab", "True/Applied").await?;
    case.ready::<SecretsTenant>("acme", "True/Applied").await?;
    case.ready::<SecretsProject>("web", "True/Applied").await?;
    case.ready::<PipelinePolicy>("one", "True/Applied").await?;
    let mut state = json!({"openbao": crate::drift::state(&case.admin()?.within(NAMESPACE)).await?});
    if phase.starts_with("sync") {
        case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
        for name in ["first", "second"] {
            let secret = secrets.get_opt(name).await?;
            state[name] = json!(secret.map(|secret| (secret.data, secret.metadata.labels)));
        }
    }
    Ok(state)
}

/// Runs a phase and kills the operator before the write that follows `writes` others. Returns whether such a write
/// occurred, and the resulting state.
async fn run(rig: &mut Rig, phase: &Phase, writes: usize) -> Result<(bool, Value)> {
    rig.kubernetes.cut_after(writes);
    for change in phase.changes {
        begin(&rig.case, change).await?;
    }
    let gate = rig.kubernetes.clone();
    let ended = tokio::select! {
        biased;
        () = gate.reached() => None,
        ended = end(&rig.case, phase.name) => Some(ended?),
    };
    let Some(ended) = ended else {
        rig.kill().await?;
        rig.kubernetes.open();
        rig.start().await?;
        return Ok((true, end(&rig.case, phase.name).await?));
    };
    rig.kubernetes.open();
    Ok((false, ended))
}

#[tokio::test]
async fn an_operator_killed_before_any_write_reaches_the_same_state() -> Result<()> {
    let mut rig = Rig::with_one_gate("crash").await?;
    rig.start().await?;
    let account = account_token(&rig.case.client, &rig.case.namespace, "default", &["openbao"]).await?;
    let reader = Arc::new(Reader {
        ground: rig.case.ground.clone(),
        account,
        allowed: RwLock::default(),
        kept: std::sync::Mutex::default(),
    });
    let probing = reader.clone();
    let mut probe = tokio::spawn(async move { probing.probe().await });
    let mut uninterrupted: BTreeMap<&str, Value> = BTreeMap::new();
    let mut kills = Kills::new();
    // The first round is not interrupted.
    for writes in std::iter::once(usize::MAX).chain(0..) {
        let mut cut = false;
        reader.kept().clear();
        for phase in phases(|name| is_over(&kills, name, writes)) {
            *reader.allowed.write().await = phase.meanwhile.clone();
            let writes = if is_over(&kills, phase.name, writes) { usize::MAX } else { writes };
            let (killed, state) = tokio::select! {
                ended = run(&mut rig, &phase, writes) => {
                    ended.with_context(|| format!("{} killed after {writes} writes", phase.name))?
                }
                found = &mut probe => return found?,
            };
            let expected = uninterrupted.entry(phase.name).or_insert_with(|| state.clone());
            assert_eq!(&state, expected, "{} killed after {writes} writes", phase.name);
            reader.settled(phase.after.clone()).await.with_context(|| phase.name)?;
            *kills.entry(phase.name).or_default() += usize::from(killed);
            cut |= killed;
        }
        if !cut && writes != usize::MAX {
            break;
        }
    }
    println!("kills: {kills:?}");
    for (phase, least) in
        [("provisioning", 20), ("policy change", 4), ("sync", 2), ("sync change", 3), ("deletion", 8)]
    {
        let kills = kills[phase];
        assert!(kills >= least, "{phase} was killed only {kills} times");
    }
    Ok(())
}
