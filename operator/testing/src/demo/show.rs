//! Demonstration: a CI job reads its secrets, and a Secret follows a value.

use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_openbao::{Error, Session};

use super::servers::{Bao, Secrets};
use super::{APPLICATION, SERVERS};
use crate::database::{self, Connection};
use crate::issuer::{JwtIssuer, pipeline_claims};
use crate::kubectl::Kubectl;
use crate::wait::eventually;

/// Values that the samples refer to.
const VALUES: &[(&str, &[&str])] = &[
    ("org_1/group_7/project_42", &["DB_PASSWORD", "API_KEY", "DEPLOY_TOKEN"]),
    ("org_1/group_7/project_43", &["NEIGHBOUR"]),
];

/// Audience of the cluster of the samples.
const AUDIENCE: &str = "openbao:openbao/main";

/// Writes values into the projects of the samples once their engines exist.
pub(super) async fn values(kubectl: &Kubectl, bao: &Bao) -> Result<()> {
    let first = bao.admin();
    super::push_policy(&first).await?;
    role(&first, "push", (AUDIENCE, "push", "10m")).await?;
    for (namespace, names) in VALUES {
        let session = first.within(namespace);
        eventually("the projects have their engines", || async {
            match session.mount("secrets/kv").await {
                Ok(Some(_)) => Ok(()),
                other => Err(format!("{other:?}; {}", projects(kubectl))),
            }
        })
        .await?;
        for name in *names {
            let value = json!({"value": format!("first-{}", name.to_lowercase())});
            eventually("the engine accepts a value", || async {
                let written = session.write_kv2("secrets/kv", &format!("explicit/{name}"), &value).await;
                written.map_err(|error| error.to_string())
            })
            .await?;
        }
    }
    super::pki(&first).await?;
    role(&first, "web", ("openbao", "certificates", "10m")).await?;
    // Objects that wait for a value are reconciled before their next refresh.
    let now = jiff::Timestamp::now().to_string();
    let nudge = format!("steamer.dev/reconcile={now}");
    for kind in ["baostaticsecret", "baodynamicsecret"] {
        kubectl.run(&["--namespace", APPLICATION, "annotate", "--overwrite", kind, "--all", &nudge])?;
    }
    Ok(())
}

/// Creates the database engine of the samples. The PostgreSQL server is that of the storage.
pub(super) async fn database(bao: &Bao, secrets: &Secrets) -> Result<()> {
    let url = database::url(&format!("postgres.{SERVERS}.svc:5432"), "require");
    let connection = Connection { url: &url, user: "admin", password: &secrets.password };
    database::sample(&bao.admin(), connection).await?;
    role(&bao.admin(), "database", (AUDIENCE, "database", "24h")).await
}

/// Creates a role with which ServiceAccount `web` of the samples logs in.
async fn role(admin: &Session, name: &str, (audience, policy, ttl): (&str, &str, &str)) -> Result<()> {
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_subject": format!("system:serviceaccount:{APPLICATION}:web"),
        "bound_audiences": [audience], "token_policies": [policy], "token_ttl": ttl,
    });
    admin.request_any(Method::POST, &format!("auth/kubernetes/role/{name}"), Some(role)).await?;
    Ok(())
}

fn projects(kubectl: &Kubectl) -> String {
    kubectl
        .run(&["get", "openbaoclusters,secretstenants,secretsprojects", "--all-namespaces"])
        .unwrap_or_default()
}

/// Shows that a CI job reads only its own secrets, and that a Secret follows a value.
pub(super) async fn show(kubectl: &Kubectl, bao: &Bao, issuer: &JwtIssuer) -> Result<()> {
    println!(
        "\nA CI job of project 42 on branch main that deploys to production logs in to OpenBao with its JWT:"
    );
    let path = r"jsonpath={.status.runner}";
    let runner = kubectl.run(&["--namespace", APPLICATION, "get", "secretsproject", "web", "-o", path])?;
    let runner: Value = serde_json::from_str(&runner).context("status.runner of project web")?;
    println!("  login at {} as {}", runner["inlineAuthPath"], runner["role"]);
    let mut claims = pipeline_claims(&issuer.url, "https://bao.example.com");
    // What the PipelinePolicy `deploy` of the samples requires of a job.
    for (claim, value) in
        [("environment", "production"), ("environment_protected", "true"), ("deployment_tier", "production")]
    {
        claims[claim] = json!(value);
    }
    let jwt = issuer.sign("key-1", &claims)?;
    let (own, neighbour) = ("org_1/group_7/project_42", "org_1/group_7/project_43");
    let login = |namespace: &'static str| {
        let body = json!({"role": "all_pipelines", "jwt": jwt});
        let session = bao.anonymous().within(namespace);
        async move { session.request_any(Method::POST, "auth/pipeline_jwt/cel/login", Some(body)).await }
    };
    let answer = login(own).await?;
    let token = answer.pointer("/auth/client_token").and_then(Value::as_str).context("no token")?;
    bao.with_token(token).within(own).read_kv2("secrets/kv", "explicit/DEPLOY_TOKEN", None).await?;
    println!("  {own}: the job reads explicit/DEPLOY_TOKEN");
    match bao.with_token(token).within(neighbour).read_kv2("secrets/kv", "explicit/NEIGHBOUR", None).await {
        Err(Error::Denied { .. }) => {
            println!("  {neighbour}: the same token cannot read explicit/NEIGHBOUR (permission denied)")
        }
        other => bail!("the job can read a value of another project: {other:?}"),
    }
    match login(neighbour).await {
        Err(Error::Invalid { message, .. }) => {
            println!("  {neighbour}: the login with the same JWT fails: {message}")
        }
        other => bail!("the job can log in to another project: {other:?}"),
    }
    follows(kubectl, bao).await
}

async fn follows(kubectl: &Kubectl, bao: &Bao) -> Result<()> {
    println!("\nThe Secret `api` of the application follows the value in OpenBao:");
    let value = || {
        kubectl.run(&[
            "--namespace",
            APPLICATION,
            "get",
            "secret",
            "api",
            "-o",
            "go-template={{.data.value | base64decode}}",
        ])
    };
    println!("  the value is {:?}", value()?);
    let changed = format!("changed-at-{}", jiff::Timestamp::now().as_second());
    let project = bao.admin().within("org_1/group_7/project_42");
    let version = project.write_kv2("secrets/kv", "explicit/API_KEY", &json!({"value": changed})).await?;
    let started = std::time::Instant::now();
    eventually("the Secret has the new value", || async {
        match value() {
            Ok(seen) if seen == changed => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    println!(
        "  version {version} was written to OpenBao; the Secret contained {changed:?} after {:.1}s",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}
