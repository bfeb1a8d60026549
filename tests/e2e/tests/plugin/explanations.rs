//! `explain`, with OpenBao as the oracle: random tokens, and the secrets that they can read.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use steamer_api::{JWTIssuer, OpenBaoCluster, PipelinePolicy, SecretsProject, SecretsTenant};
use steamer_openbao::Error;
use steamer_testing::issuer::{JwtIssuer, symmetric, unsigned};

use crate::fixture::Case;
use crate::random_policies::{Spec, draw, spec};
use crate::tenancy::{AUDIENCE, ID_AUDIENCE, readable_with};

/// Every n-th token is explained with the objects of the cluster, too.
const LIVE: usize = 20;

/// A change of the claims of a token. `null` removes a claim, and `"null"` sets it to null.
fn change(now: i64) -> impl Strategy<Value = Value> {
    let one = |name: &'static str, values: Vec<Value>| {
        prop::sample::select(values).prop_map(move |value| json!({name: value})).boxed()
    };
    let odd =
        || vec![json!(["prod"]), json!({"a": 1}), json!("null"), json!(1.5), json!(true), json!(1_234_567)];
    let with = |mut values: Vec<Value>, more: Vec<Value>| {
        values.extend(more);
        values
    };
    prop_oneof![
        one("iss", vec![json!("https://other"), json!(null), json!(1), json!("")]),
        one(
            "aud",
            vec![
                json!("x"),
                json!(null),
                json!("null"),
                json!(["x", AUDIENCE]),
                json!([AUDIENCE, 1]),
                json!([]),
                json!(ID_AUDIENCE)
            ]
        ),
        one(
            "exp",
            vec![
                json!(now - 30),
                json!(now - 90),
                json!(now - 7_200),
                json!(null),
                json!("1"),
                json!(0),
                json!(now + 900),
                json!("null")
            ]
        ),
        one("nbf", vec![json!(now + 30), json!(now + 120), json!(null), json!(0), json!(true)]),
        one("iat", vec![json!(now + 30), json!(now + 120), json!(now - 300), json!(null), json!([1])]),
        one("sub", vec![json!("user:dev"), json!(null), json!("project_path:x"), json!(1), json!("null")]),
        one("jti", vec![json!(1), json!(null)]),
        one(
            "project_id",
            with(odd(), vec![json!("43"), json!(42), json!(42.0), json!(null), json!("42 "), json!("")])
        ),
        one("secrets_manager_scope", with(odd(), vec![json!(null), json!("user"), json!("pipeline")])),
        one("environment", with(odd(), vec![json!("production"), json!("a*"), json!("")])),
        one(
            "ref",
            with(odd(), vec![json!("dev"), json!("*"), json!(null), json!("1234567"), json!("1.234567e+06")])
        ),
        one("ref_type", with(odd(), vec![json!("tag"), json!(null)])),
        one("ref_path", with(odd(), vec![json!("refs/tags/main"), json!(null), json!("")])),
        further(),
        further(),
        further(),
        one("ref_protected", with(odd(), vec![json!("false"), json!("true"), json!(false), json!(null)])),
    ]
}

/// A change of a claim of the conditions in `when`, or of the scopes.
fn further() -> BoxedStrategy<Value> {
    let one = |name: &'static str, values: Vec<Value>| {
        prop::sample::select(values).prop_map(move |value| json!({name: value})).boxed()
    };
    let odd = || vec![json!(null), json!("null"), json!([7]), json!({"a": 1}), json!("")];
    let with = |more: Vec<Value>| odd().into_iter().chain(more).collect();
    prop_oneof![
        one("environment_protected", with(vec![json!("true"), json!(true), json!("false"), json!("maybe")])),
        one(
            "deployment_tier",
            with(vec![json!("production"), json!("staging"), json!("other"), json!("prod")])
        ),
        one("pipeline_source", with(vec![json!("push"), json!("schedule"), json!("a|b"), json!("push\n")])),
        one("user_id", with(vec![json!("7"), json!(7), json!("1234567"), json!(1_234_567), json!("77")])),
        one("pipeline_id", with(vec![json!("7"), json!(7.0), json!(7.5), json!("1234567"), json!("07")])),
        one("job_scopes", with(vec![json!(["a"]), json!(["b", 1]), json!([["a"]]), json!("a"), json!([])])),
    ]
    .boxed()
}

/// Conditions of a policy besides its environments, branches and the protection of the ref.
fn conditions() -> impl Strategy<Value = Value> {
    let one = |name: &'static str, values: Vec<Value>| {
        prop::sample::select(values).prop_map(move |value| json!({name: value})).boxed()
    };
    let two = prop_oneof![
        one("environmentProtected", vec![json!(true), json!(false)]),
        one(
            "deploymentTiers",
            vec![json!(["production"]), json!(["staging", "production"]), json!(["other"])]
        ),
        one("pipelineSources", vec![json!(["push"]), json!(["schedule", "push"]), json!(["schedule"])]),
        one("userIds", vec![json!([7]), json!([7, 1_234_567]), json!([8])]),
        one("pipelineIds", vec![json!([7]), json!([7, 1_234_567]), json!([8])]),
    ];
    prop::collection::vec(two, 0..3).prop_map(|parts| {
        let parts = parts.into_iter().filter_map(|part| part.as_object().cloned());
        Value::Object(parts.flatten().collect())
    })
}

/// The policies: those of the random specs with further conditions, and those of scopes.
fn policies(specs: &[Spec], runner: &mut TestRunner) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for (number, spec) in specs.iter().enumerate() {
        let mut object = spec.object();
        // Some policies keep only the conditions that every token of the fixture can meet.
        if number % 3 != 0 {
            for (name, value) in draw(runner, conditions())?.as_object().into_iter().flatten() {
                object["when"][name] = value.clone();
            }
        }
        objects.push(object);
    }
    let of_scopes = |scopes: Value, secret: &str| json!({"projectRef": {"name": "web"}, "scopes": scopes, "secrets": [{"name": secret}]});
    objects.extend([of_scopes(json!(["a"]), "S8"), of_scopes(json!(["b", "c"]), "S9")]);
    objects.push(json!({"projectRef": {"name": "web"}, "ttl": "1h", "secrets": [{"name": "S8"}], "branches": ["main"]}));
    Ok(objects)
}

/// Claims that the conditions of most policies accept.
fn add_further(claims: &mut Value) {
    for (name, value) in [
        ("environment_protected", "true"),
        ("deployment_tier", "production"),
        ("pipeline_source", "push"),
        ("user_id", "7"),
        ("pipeline_id", "7"),
    ] {
        claims[name] = json!(value);
    }
    claims["job_scopes"] = json!(["a", "c"]);
}

/// A token and the role that it is presented to.
struct Attempt {
    role: &'static str,
    jwt: String,
    claims: Value,
}

/// Draws tokens: most of them fit a policy, and differ from a good token in a few claims.
struct Draws<'a> {
    case: &'a Case,
    other: JwtIssuer,
    specs: Vec<Spec>,
    runner: TestRunner,
}

impl Draws<'_> {
    fn attempt(&mut self, number: usize) -> Result<Attempt> {
        let now = Timestamp::now().as_second();
        let like = |texts: &[String], fill: &str| texts.first().map(|text| text.replace('*', fill));
        let spec = &self.specs[number % self.specs.len()];
        let branch = like(&spec.branches, "x").unwrap_or_else(|| "main".to_owned());
        let mut claims = self.case.claims();
        claims["ref"] = json!(branch);
        claims["ref_path"] = json!(format!("refs/heads/{branch}"));
        if let Some(environment) = like(&spec.environments, "a/b") {
            claims["environment"] = json!(environment);
        }
        add_further(&mut claims);
        let protected = draw(&mut self.runner, any::<bool>())?;
        claims["ref_protected"] = json!(protected.to_string());
        let is_id_token = draw(&mut self.runner, prop::bool::weighted(0.2))?;
        if is_id_token {
            claims["aud"] = json!(ID_AUDIENCE);
            claims.as_object_mut().map(|claims| claims.remove("secrets_manager_scope"));
        }
        let changes = prop_oneof![2 => Just(0_usize), 5 => Just(1), 3 => Just(2), 1 => Just(3)];
        for _ in 0..draw(&mut self.runner, changes)? {
            for (name, value) in draw(&mut self.runner, change(now))?.as_object().into_iter().flatten() {
                match value {
                    Value::Null => drop(claims.as_object_mut().map(|claims| claims.remove(name))),
                    Value::String(text) if text == "null" => claims[name] = Value::Null,
                    value => claims[name] = value.clone(),
                }
            }
        }
        let role = if is_id_token != draw(&mut self.runner, prop::bool::weighted(0.05))? {
            "id_tokens"
        } else {
            "all_pipelines"
        };
        Ok(Attempt { role, jwt: self.signed(&claims)?, claims })
    }

    fn signed(&mut self, claims: &Value) -> Result<String> {
        let issuer = &self.case.ground.issuer;
        match draw(&mut self.runner, 0..40_u8)? {
            0 => self.other.sign("key-1", claims),
            1 => issuer.sign_as("key-1", "key-9", claims),
            2 => Ok(unsigned(claims)),
            3 => Ok(symmetric("key-1", issuer.public_pem("key-1")?.as_bytes(), claims)),
            4 => issuer.sign_as("key-1", "", claims),
            _ => issuer.sign("key-1", claims),
        }
    }
}

/// Writes the objects of the project into a file.
async fn objects(case: &Case) -> Result<String> {
    let mut items = vec![
        serde_json::to_value(case.api::<SecretsProject>().get("web").await?)?,
        serde_json::to_value(case.api::<SecretsTenant>().get("acme").await?)?,
        serde_json::to_value(case.api::<OpenBaoCluster>().get("main").await?)?,
        serde_json::to_value(case.api::<JWTIssuer>().get("gitlab").await?)?,
    ];
    for policy in case.api::<PipelinePolicy>().list(&kube::api::ListParams::default()).await? {
        items.push(serde_json::to_value(&policy)?);
    }
    let path = case.ground.folder.join(format!("{}-objects.json", case.namespace));
    std::fs::write(&path, json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())?;
    Ok(path.display().to_string())
}

/// Whether OpenBao accepts the login, and what the job can read.
async fn answer(
    case: &Case,
    namespace: &str,
    attempt: &Attempt,
    names: &[&str],
) -> Result<(bool, BTreeSet<String>)> {
    match case.login(namespace, attempt.role, &attempt.jwt).await {
        Ok(session) => Ok((true, readable_with(&session, names).await?.into_iter().collect())),
        Err(Error::Denied { .. } | Error::Invalid { .. }) => Ok((false, BTreeSet::new())),
        // OpenBao answers 500 to some malformed claims.
        Err(Error::Server { .. }) => Ok((false, BTreeSet::new())),
        Err(error) => Err(error.into()),
    }
}

fn explained(text: &str) -> Result<(bool, BTreeSet<String>, Value)> {
    let found: Value = serde_json::from_str(text).with_context(|| text.to_owned())?;
    let reads = found["reads"].as_array().into_iter().flatten();
    let names = reads.filter_map(|read| Some(read["secret"].as_str()?.to_owned())).collect();
    Ok((found["canLogIn"] == json!(true), names, found))
}

/// Compares `explain` with OpenBao for a number of tokens.
async fn compared(case: &Case, namespace: &str, count: usize) -> Result<()> {
    let scopes = json!({"spec": {"scopesClaim": "job_scopes"}});
    case.api::<JWTIssuer>().patch("gitlab", &PatchParams::default(), &Patch::Merge(&scopes)).await?;
    let names: Vec<String> = (0..10).map(|number| format!("S{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    case.values(namespace, &names).await?;
    let mut runner = TestRunner::deterministic();
    let mut specs = (0..12).map(|_| draw(&mut runner, spec())).collect::<Result<Vec<_>>>()?;
    // The text of the number 1234567 in CEL is another one.
    for spec in specs.iter_mut().filter(|spec| spec.branches.len() == 1) {
        spec.branches.push("1234567".to_owned());
    }
    let policies = policies(&specs, &mut runner)?;
    for (number, spec) in policies.iter().enumerate() {
        case.object("PipelinePolicy", &format!("p{number}"), spec.clone()).await?;
    }
    for number in 0..policies.len() {
        case.ready::<PipelinePolicy>(&format!("p{number}"), "True/").await?;
    }
    let (file, keys) =
        (objects(case).await?, case.ground.folder.join(format!("{}-keys.json", case.namespace)));
    std::fs::write(&keys, case.ground.issuer.key_set().to_string())?;
    let keys = keys.display().to_string();
    let mut draws = Draws { case, other: JwtIssuer::start().await?, specs, runner };
    let (mut accepted, mut reading) = (0, 0);
    for number in 0..count {
        let attempt = draws.attempt(number)?;
        let (can_log_in, readable) = answer(case, namespace, &attempt, &names).await?;
        let offline = ["explain", "-f", &file, "--key-set", &keys, "--role", attempt.role, "-o", "json"];
        let ended = case.plugin_reads(&offline, &attempt.jwt)?.with(i32::from(!can_log_in));
        let ended = ended.with_context(|| format!("{}: {}", attempt.role, attempt.claims))?;
        let (_, explained_names, found) = explained(&ended.out)?;
        ensure!(explained_names == readable, "OpenBao: {readable:?}\n{found}\n{}", attempt.claims);
        if number % LIVE == 0 {
            let live = ["explain", "--project", "web", "--role", attempt.role, "-o", "json"];
            let (live_login, live_names, live) = explained(&case.plugin_reads(&live, &attempt.jwt)?.out)?;
            ensure!((live_login, &live_names) == (can_log_in, &readable), "live: {live}\n{}", attempt.claims);
        }
        accepted += usize::from(can_log_in);
        reading += usize::from(!readable.is_empty());
    }
    println!("{count} tokens: {accepted} accepted, {reading} can read a secret");
    ensure!(accepted * 5 > count && accepted * 10 < count * 9, "{accepted} of {count} logins are accepted");
    ensure!(reading * 10 > count, "{reading} of {count} jobs can read a secret: the test proves little");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_logins_are_explained_as_openbao_decides() -> Result<()> {
    let case = Case::new("plugin-explain").await?;
    let namespace = case.project(242).await?;
    compared(&case, &namespace, 200).await?;
    let jwt = case.ground.issuer.sign("key-1", &case.claims())?;
    case.plugin_reads(&["explain", "--project", "web"], &jwt)?
        .with(0)?
        .says("accepted; the signature is valid")?;
    let mut claims = case.claims();
    claims["aud"] = json!("https://vault.example.com");
    let jwt = case.ground.issuer.sign("key-1", &claims)?;
    let refused = case.plugin_reads(&["explain", "--project", "web"], &jwt)?.with(1)?;
    refused.says("aud: https://vault.example.com is not https://bao.example.com")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: `make test ONLY=two_thousand_random_logins`"]
async fn two_thousand_random_logins_are_explained_as_openbao_decides() -> Result<()> {
    let case = Case::new("plugin-explain-many").await?;
    let namespace = case.project(243).await?;
    compared(&case, &namespace, 2_000).await
}
