//! `kubectl steamer` on a real API server and a real OpenBao.

mod explanations;
mod wrong_input;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use steamer_api::{BaoStaticSecret, PipelinePolicy, SecretsProject};
use steamer_testing::ground::{account_token, apply, yaml};
use steamer_testing::operator::plugin;
use steamer_testing::tools;

use crate::fixture::Case;

/// Value that no output may contain.
const CANARY: &str = "canary-4f1d";

/// What a command wrote, and how it ended.
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// Fails unless the command ended with this code.
    pub fn with(self, code: i32) -> Result<Self> {
        ensure!(self.code == code, "exit code {}, not {code}\n{}\n{}", self.code, self.out, self.err);
        Ok(self)
    }

    /// Fails unless an output contains the text.
    pub fn says(self, text: &str) -> Result<Self> {
        ensure!(
            self.out.contains(text) || self.err.contains(text),
            "no {text:?} in\n{}\n{}",
            self.out,
            self.err
        );
        Ok(self)
    }
}

/// Runs the plugin with a kubeconfig. Its outputs are no terminal, and must contain neither a color nor the canary.
pub fn run_with(kubeconfig: &Path, arguments: &[&str], input: &str) -> Result<Ended> {
    let mut command = Command::new(plugin()?);
    command.args(arguments).env("KUBECONFIG", kubeconfig).env_remove("NO_COLOR");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // A command that reads no input can end before it is written.
    let _ = child.stdin.take().context("no input")?.write_all(input.as_bytes());
    let output = child.wait_with_output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let ended = Ended {
        code: output.status.code().unwrap_or(-1),
        out: text(&output.stdout),
        err: text(&output.stderr),
    };
    for output in [&ended.out, &ended.err] {
        ensure!(!output.contains(CANARY), "{arguments:?} writes the canary: {output}");
        ensure!(!output.contains('\u{1b}'), "{arguments:?} writes a color: {output}");
        ensure!(!output.contains("panicked"), "{arguments:?} panics: {output}");
    }
    Ok(ended)
}

impl Case {
    /// Runs the plugin as the administrator of the cluster, in the namespace of the test.
    pub fn plugin(&self, arguments: &[&str]) -> Result<Ended> {
        self.plugin_reads(arguments, "")
    }

    /// Same as [`Case::plugin`], with an input.
    pub fn plugin_reads(&self, arguments: &[&str], input: &str) -> Result<Ended> {
        let arguments = [arguments, &["--namespace", &self.namespace]].concat();
        run_with(&self.ground.plane.kubeconfig, &arguments, input)
    }

    /// A kubeconfig of a new ServiceAccount of the namespace, with the ClusterRole in it, if any.
    pub async fn kubeconfig_of(&self, name: &str, role: Option<&str>) -> Result<PathBuf> {
        let metadata = json!({"name": name, "namespace": self.namespace});
        apply(&self.client, json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}))
            .await?;
        if let Some(role) = role {
            apply(
                &self.client,
                json!({
                    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                    "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.namespace}],
                }),
            )
            .await?;
        }
        let token = account_token(&self.client, &self.namespace, name, &[]).await?;
        self.ground.plane.kubeconfig_for(&format!("{}-{name}", self.namespace), &token)
    }

    /// Writes the canary into OpenBao, into a Secret, and into an annotation of the project.
    async fn canary(&self, namespace: &str) -> Result<()> {
        let session = self.admin()?.within(namespace);
        session.write_kv2("secrets/kv", "explicit/CANARY", &json!({"value": CANARY})).await?;
        let metadata = json!({"name": "canary", "namespace": self.namespace});
        apply(
            &self.client,
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"a": CANARY}}),
        )
        .await?;
        let projects: Api<SecretsProject> = self.api();
        let patch = json!({"metadata": {"annotations": {"example.com/note": CANARY}}});
        projects.patch("web", &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plugin_shows_and_operates_objects() -> Result<()> {
    let case = Case::new("plugin").await?;
    let namespace = case.project(240).await?;
    case.canary(&namespace).await?;
    case.policy("all", json!({"secrets": [{"name": "A"}, {"name": "CANARY"}]})).await?;
    case.ready::<steamer_api::OpenBaoCluster>("main", "True/").await?;
    let status = case.plugin(&["status"])?.with(0)?.says("OpenBaoCluster plugin/main  Ready")?;
    assert!(status.out.contains("SecretsProject  1/1"), "{}", status.out);

    let spec = json!({"mount": "kv", "path": "a", "type": "kv-v2", "authRef": {"name": "none"}, "destination": {"name": "a", "create": true}});
    case.object("BaoStaticSecret", "late", spec).await?;
    case.ready::<BaoStaticSecret>("late", "False/").await?;
    case.plugin(&["status"])?.with(3)?.says("BaoStaticSecret plugin/late")?.says("BaoAuth plugin/none")?;
    let view: Value = serde_json::from_str(&case.plugin(&["status", "-o", "json"])?.with(3)?.out)?;
    assert_eq!(view["notReady"][0]["name"], "late", "{view}");
    let text = case.plugin(&["status", "-o", "yaml"])?.with(3)?.out;
    assert_eq!(yaml(&text)?[0]["notReady"], view["notReady"]);

    operated(&case).await?;
    reported(&case)?;
    checked(&case)?;
    Ok(())
}

async fn operated(case: &Case) -> Result<()> {
    case.plugin(&["suspend", "secretsproject/web"])?.with(0)?;
    case.says::<SecretsProject>("web", "True/", "").await?;
    let projects: Api<SecretsProject> = case.api();
    assert!(projects.get("web").await?.spec.lifecycle.suspend);
    case.plugin(&["resume", "secretsprojects", "web"])?.with(0)?;
    assert!(!projects.get("web").await?.spec.lifecycle.suspend);
    case.plugin(&["sync", "secretsproject/web", "pipelinepolicy/all"])?.with(0)?;
    let requested = |annotations: Option<std::collections::BTreeMap<String, String>>| {
        annotations.and_then(|mut all| all.remove("steamer.dev/reconcile"))
    };
    let own = requested(projects.get("web").await?.metadata.annotations);
    let policies: Api<PipelinePolicy> = case.api();
    assert!(own.is_some() && own == requested(policies.get("all").await?.metadata.annotations));
    case.plugin(&["sync", "--all-late"])?.with(0)?.says("BaoStaticSecret plugin/late will be reconciled")?;
    for command in ["restart", "restore-drill"] {
        case.plugin(&[command, "main"])?
            .with(1)?
            .says("OpenBaoCluster plugin/main is not managed by Steamer")?;
    }
    Ok(())
}

/// The report contains the objects, and nothing that can be a value.
fn reported(case: &Case) -> Result<()> {
    let report = yaml(&case.plugin(&["report", "-f", "-"])?.with(0)?.out)?;
    let kinds: Vec<&str> = report.iter().filter_map(|document| document["kind"].as_str()).collect();
    for kind in
        ["SteamerReport", "OpenBaoCluster", "SecretsProject", "PipelinePolicy", "BaoStaticSecret", "Event"]
    {
        ensure!(kinds.contains(&kind), "no {kind} in the report: {kinds:?}");
    }
    ensure!(!kinds.contains(&"Secret"), "the report contains a Secret");
    Ok(())
}

fn checked(case: &Case) -> Result<()> {
    // The operator of the tests has no Deployment.
    let found = case.plugin(&["check"])?.with(3)?;
    for text in [
        "ok    Kubernetes v1.",
        "kinds of steamer.dev/v1alpha1 are installed, as of 0.1.0",
        "fail  there is no Deployment with the label app.kubernetes.io/name=steamer",
        "ok    OpenBaoCluster plugin/main is Ready",
        "in namespace plugin, you may read",
    ] {
        ensure!(found.out.contains(text), "no {text:?} in\n{}", found.out);
    }
    case.plugin(&["version"])?.with(0)?.says("OpenBaoCluster plugin/main")?;
    Ok(())
}

/// Runs the script of a job, as a runner does.
fn script(case: &Case, file: &str, jwt: &str) -> Result<String> {
    let files = yaml(file)?;
    let job = &files[0]["deploy"];
    let ca = case.ground.folder.join("plugin-ci.crt");
    std::fs::write(&ca, &case.ground.openbao.ca)?;
    let bao = tools::bao(tools::OPENBAO)?;
    let folder = bao.parent().context("no folder")?.display().to_string();
    let mut lines: Vec<&str> =
        job["script"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    lines.push("echo \"$A $B\"");
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &lines.join("\n")]);
    shell.env("PATH", format!("{folder}:{}", std::env::var("PATH").unwrap_or_default()));
    shell.env("BAO_CACERT", &ca).env("VAULT_ID_TOKEN", jwt).env("HOME", &case.ground.folder);
    for (name, value) in job["variables"].as_object().into_iter().flatten() {
        shell.env(name, value.as_str().unwrap_or_default());
    }
    tools::output(&mut shell)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_job_reads_its_secrets() -> Result<()> {
    let case = Case::new("plugin-ci").await?;
    let namespace = case.project(241).await?;
    case.values(&namespace, &["A", "B"]).await?;
    case.plugin(&["ci", "web"])?.with(1)?.says("no PipelinePolicy in namespace plugin-ci grants a secret")?;
    case.policy("all", json!({"secrets": [{"name": "A"}, {"name": "B"}]})).await?;
    case.plugin(&["ci", "web", "--secret", "A;id"])?.with(1)?.says("is not the name of a secret")?;
    let file = case.plugin(&["ci", "web"])?.with(0)?.out;
    let audience = yaml(&file)?[0]["deploy"]["id_tokens"]["VAULT_ID_TOKEN"]["aud"].clone();
    let mut claims = case.claims();
    claims["aud"] = audience;
    claims.as_object_mut().map(|claims| claims.remove("secrets_manager_scope"));
    let jwt = case.ground.issuer.sign("key-1", &claims)?;
    assert_eq!(script(&case, &file, &jwt)?.trim(), "of A of B");
    let vault = yaml(&case.plugin(&["ci", "web", "--way", "vault"])?.with(0)?.out)?;
    assert_eq!(vault[0]["deploy"]["secrets"]["A"]["vault"]["path"], "explicit/A");
    Ok(())
}
