//! Command `ci`: the `.gitlab-ci.yml` of a project.

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args as Arguments, ValueEnum};
use serde_json::{Map, Value, json};
use steamer_api::{
    JWTIssuer, KindId, OpenBaoCluster, PipelinePolicy, SecretsProject, SecretsTenant, VaultAccess,
};
use steamer_core::references::target;
use steamer_provisioning::jwt::{Login, own_logins};
use steamer_provisioning::pipelines::ROLE_ID_TOKENS;
use steamer_runtime::ObjectName;

use crate::connection::{Cluster, Connection};
use crate::lists::{Answer, lists};
use crate::outcome::Outcome;
use crate::output::print;

/// Variable with the ID token.
const TOKEN: &str = "VAULT_ID_TOKEN";

/// Arguments of `ci`.
#[derive(Arguments)]
pub(crate) struct Ci {
    /// SecretsProject, such as web, or web/web with its namespace.
    project: String,
    /// Way to read the secrets. `bao`: the script of the job runs the command bao, with every edition of GitLab. `vault`: the
    /// runner reads them for the keyword `secrets: vault`, with GitLab Premium and Ultimate.
    #[arg(long, value_enum, default_value = "bao")]
    way: Way,
    /// Secret to read. Can be repeated. Default: each secret that a PipelinePolicy of the project's namespace grants.
    #[arg(long)]
    secret: Vec<String>,
    /// Name of the job.
    #[arg(long, default_value = "deploy")]
    job: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    Bao,
    Vault,
}

pub(crate) async fn run(arguments: Ci) -> Result<Outcome> {
    let cluster = arguments.connection.cluster().await?;
    let name = name(&arguments.project, &cluster.namespace)?;
    let project: SecretsProject = cluster.object(&name.namespace, &name.name).await?;
    let secrets = if arguments.secret.is_empty() {
        granted(&cluster, &name).await?
    } else {
        arguments.secret.iter().cloned().collect()
    };
    if secrets.is_empty() {
        bail!(
            "no PipelinePolicy in namespace {} grants a secret of SecretsProject {name}: create one, or name a secret with --secret",
            name.namespace
        );
    }
    if let Some(wrong) = secrets.iter().find(|secret| !is_name(secret)) {
        bail!("{wrong:?} is not the name of a secret: it consists of letters, digits and _");
    }
    let login = login(&cluster, &project).await?;
    print(&text(
        &Job { project: &project, login: &login, secrets: &secrets, name: &arguments.job },
        arguments.way,
    )?)?;
    Ok(Outcome::Good)
}

fn name(text: &str, default: &str) -> Result<ObjectName> {
    let text = text.split_once("secretsproject/").map_or(text, |(_, name)| name);
    let (namespace, name) = text.split_once('/').unwrap_or((default, text));
    if name.is_empty() || namespace.is_empty() {
        return Err(anyhow!("{text:?} is not a SecretsProject: write web, or web/web with its namespace"));
    }
    Ok(ObjectName::new(namespace, name))
}

fn is_name(secret: &str) -> bool {
    !secret.is_empty()
        && secret.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// Secrets that PipelinePolicies in the namespace of a project grant.
async fn granted(cluster: &Cluster, project: &ObjectName) -> Result<BTreeSet<String>> {
    let listed =
        lists::<PipelinePolicy>(cluster, &[KindId::PipelinePolicy], Some(&project.namespace)).await?;
    let mut secrets = BTreeSet::new();
    for listed in listed {
        let Answer::Objects(policies) = listed.answer else { continue };
        let own = policies.iter().filter(|it| target(&it.spec.project_ref, &project.namespace) == *project);
        secrets.extend(own.flat_map(|it| &it.spec.secrets).map(|secret| secret.name.clone()));
    }
    Ok(secrets)
}

/// The login with ID tokens.
async fn login(cluster: &Cluster, project: &SecretsProject) -> Result<Login<'static>> {
    let own = project.metadata.namespace.as_deref().unwrap_or_default();
    let tenant_name = target(&project.spec.tenant_ref, own);
    let tenant: SecretsTenant = cluster.object(&tenant_name.namespace, &tenant_name.name).await?;
    let server_name = target(&tenant.spec.cluster_ref, &tenant_name.namespace);
    let server: OpenBaoCluster = cluster.object(&server_name.namespace, &server_name.name).await?;
    let issuer_name = match &project.spec.issuer_ref {
        Some(reference) => target(reference, own),
        None => target(&tenant.spec.issuer_ref, &tenant_name.namespace),
    };
    let issuer: JWTIssuer = cluster.object(&issuer_name.namespace, &issuer_name.name).await?;
    let logins = own_logins(project, &issuer, &server).map_err(|error| anyhow!("{error}"))?;
    let login = logins.into_iter().find(|login| login.role == ROLE_ID_TOKENS);
    login.with_context(|| {
        format!(
            "SecretsProject {} accepts no ID tokens: set spec.pipelineAuth.idTokens",
            ObjectName::of(project)
        )
    })
}

/// What a file is written for.
struct Job<'a> {
    project: &'a SecretsProject,
    login: &'a Login<'a>,
    secrets: &'a BTreeSet<String>,
    name: &'a str,
}

fn text(job: &Job<'_>, way: Way) -> Result<String> {
    let status = job.project.status.as_ref();
    let (project, way_in) = (ObjectName::of(job.project), status.and_then(|status| status.vault.as_ref()));
    let access = way_in.with_context(|| {
        format!("SecretsProject {project} is not provisioned: see `kubectl steamer status`")
    })?;
    let engine = status.and_then(|status| status.provisioned.as_ref()).map(|it| it.engine.as_str());
    let engine = engine.unwrap_or("secrets/kv");
    let audience = job.login.audiences.first().cloned().unwrap_or_default();
    let mut body = json!({"id_tokens": {TOKEN: {"aud": audience}}});
    match way {
        Way::Bao => bao(&mut body, access, engine, job.secrets),
        Way::Vault => vault(&mut body, access, engine, job.secrets),
    }
    let file = Value::Object(Map::from_iter([(job.name.to_owned(), body)]));
    Ok(format!("# Secrets of SecretsProject {project}\n{}", serde_saphyr::to_string(&file)?))
}

fn bao(body: &mut Value, access: &VaultAccess, engine: &str, secrets: &BTreeSet<String>) {
    body["variables"] = json!({"BAO_ADDR": access.server_url, "BAO_NAMESPACE": access.namespace});
    let path = format!("auth/{}/login", access.auth_path);
    // The assignment is a command of its own: `export` would hide a failure.
    let login =
        format!("BAO_TOKEN=\"$(bao write -field=token {path} role={} jwt=\"${TOKEN}\")\"", access.role);
    let read =
        |name: &String| format!("{name}=\"$(bao kv get -mount={engine} -field=value explicit/{name})\"");
    let mut script = vec![login, "export BAO_TOKEN".to_owned()];
    script.extend(secrets.iter().map(read));
    script.push(format!("export {}", secrets.iter().cloned().collect::<Vec<_>>().join(" ")));
    body["script"] = json!(script);
}

fn vault(body: &mut Value, access: &VaultAccess, engine: &str, secrets: &BTreeSet<String>) {
    body["variables"] = json!({
        "VAULT_SERVER_URL": access.server_url, "VAULT_NAMESPACE": access.namespace,
        "VAULT_AUTH_PATH": access.auth_path, "VAULT_AUTH_ROLE": access.role,
    });
    let secret = |name: &String| {
        let vault = json!({"engine": {"name": "kv-v2", "path": engine}, "path": format!("explicit/{name}"), "field": "value"});
        (name.clone(), json!({"vault": vault, "token": format!("${TOKEN}"), "file": false}))
    };
    body["secrets"] = Value::Object(secrets.iter().map(secret).collect());
    body["script"] = json!(["echo \"the variables contain the secrets\""]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(way: Way) -> String {
        let named = |kind: &str, name: &str, spec: Value, status: Value| json!({"apiVersion": "steamer.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "web"}, "spec": spec, "status": status});
        let access = json!({"serverUrl": "https://bao.example.com", "namespace": "org_1/group_7/project_42", "authPath": "pipeline_jwt/cel", "role": "id_tokens"});
        let project = named(
            "SecretsProject",
            "web",
            json!({"tenantRef": {"name": "acme"}, "id": 42}),
            json!({"vault": access}),
        );
        let issuer = named("JWTIssuer", "gitlab", json!({"oidcDiscoveryUrl": "https://gitlab"}), json!(null));
        let external = json!({"address": "https://bao", "managementAuth": {"kubernetes": {"role": "steamer", "audience": "openbao"}}});
        let server = named(
            "OpenBaoCluster",
            "main",
            json!({"external": external, "jwtAudience": "https://bao"}),
            json!(null),
        );
        let project: SecretsProject = serde_json::from_value(project).unwrap();
        let logins = own_logins(
            &project,
            &serde_json::from_value(issuer).unwrap(),
            &serde_json::from_value(server).unwrap(),
        );
        let login = &logins.unwrap()[1];
        let secrets = ["DB_PASSWORD", "DEPLOY_TOKEN"].map(str::to_owned).into();
        text(&Job { project: &project, login, secrets: &secrets, name: "deploy" }, way).unwrap()
    }

    #[test]
    fn a_script_reads_the_secrets_with_bao() {
        insta::assert_snapshot!(shown(Way::Bao));
    }

    #[test]
    fn a_runner_reads_the_secrets_with_the_keyword_vault() {
        insta::assert_snapshot!(shown(Way::Vault));
    }

    #[test]
    fn a_name_cannot_end_the_script() {
        assert!(is_name("DB_PASSWORD"));
        for wrong in ["", "A;rm", "a b", "$(x)", "a/b"] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}
