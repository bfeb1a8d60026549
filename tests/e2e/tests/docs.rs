//! Runs the docs from the first page to the last: applies every YAML block and executes every command, on a cluster
//! without Steamer.

mod coverage;
mod terraform;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use secrecy::ExposeSecret;
use steamer_testing::Ground;
use steamer_testing::cache::checkout;
use steamer_testing::ground::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, account_token, apply};
use steamer_testing::operator::{self, Operator, RunningOperator};
use steamer_testing::wait::eventually;
use steamer_testing::{openbao::OpenBao, tools};

/// Returns the pages in the order of the table of contents.
fn pages() -> Result<Vec<PathBuf>> {
    let docs = checkout().join("docs");
    let contents = std::fs::read_to_string(docs.join("SUMMARY.md"))?;
    let links = contents.lines().filter_map(|line| line.split_once("](")?.1.strip_suffix(')'));
    Ok(links.map(|link| docs.join(link)).collect())
}

/// Returns the code blocks of a page: language and text.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("```") {
        let Some((block, after)) = after.split_once("\n```") else { break };
        blocks.push(block.split_once('\n').unwrap_or((block, "")));
        rest = after;
    }
    blocks
}

/// A reader's environment: the replacements for the addresses in the docs, and a shell that reaches the servers.
struct Reader {
    ground: Arc<Ground>,
    openbao: OpenBao,
    folder: PathBuf,
    places: Vec<(&'static str, String)>,
}

impl Reader {
    async fn new(ground: Arc<Ground>) -> Result<Self> {
        let (home, url) = (ground.clone(), ground.postgres.database("docs-openbao")?);
        let openbao = ground
            .at_home(async move { OpenBao::start("docs-openbao", &home.folder, &home.logs, &url).await })
            .await?;
        let folder = ground.folder.join("reader");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("openbao.crt"), &openbao.ca)?;
        std::fs::write(folder.join("kubernetes.crt"), &ground.plane.ca)?;
        // Inside a cluster, OpenBao reads the CA and its token from its pod.
        let kubernetes = format!(
            "kubernetes_host={} kubernetes_ca_cert=@{} token_reviewer_jwt={}",
            ground.plane.url,
            folder.join("kubernetes.crt").display(),
            reviewer(&ground).await?,
        );
        let places = vec![
            ("https://openbao.openbao.svc:8200", openbao.url.clone()),
            (
                "oidcDiscoveryUrl: https://gitlab.example.com",
                format!("oidcDiscoveryUrl: {}\n  allowPlaintext: true", ground.issuer.url),
            ),
            ("https://gitlab.example.com", ground.issuer.url.clone()),
            ("kubernetes_host=https://kubernetes.default.svc", kubernetes),
            ("kubectl --namespace steamer-system exec deployment/steamer -- /steamer", "steamer".to_owned()),
        ];
        Ok(Self { ground, openbao, folder, places })
    }

    /// Returns a block with the addresses of this environment.
    fn here(&self, text: &str) -> String {
        self.places.iter().fold(text.to_owned(), |text, (place, here)| text.replace(place, here))
    }

    /// Runs a script in the checkout, in a shell that exits at the first failure.
    fn run(&self, script: &str) -> Result<()> {
        let programs: Vec<String> =
            [tools::kubernetes("kubectl")?, tools::helm()?, tools::bao(tools::OPENBAO)?, operator::binary()?]
                .iter()
                .filter_map(|program| program.parent())
                .map(|folder| folder.display().to_string())
                .collect();
        let path = format!("{}:{}", programs.join(":"), std::env::var("PATH").unwrap_or_default());
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &self.here(script)])
            .current_dir(checkout())
            .env("PATH", path)
            .env("HOME", &self.folder)
            .env("KUBECONFIG", &self.ground.plane.kubeconfig)
            .env("BAO_ADDR", &self.openbao.url)
            .env("BAO_CACERT", self.folder.join("openbao.crt"))
            .env("BAO_TOKEN", self.openbao.root.expose_secret())
            .output()?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "{script}\n{text}");
        Ok(())
    }

    /// Applies a block with kubectl and strict validation.
    fn apply(&self, name: &str, yaml: &str) -> Result<()> {
        let file = self.folder.join(format!("{name}.yaml"));
        std::fs::write(&file, self.here(yaml))?;
        self.run(&format!(
            "kubectl apply --server-side --force-conflicts --validate=strict -f {}",
            file.display()
        ))
    }
}

/// Returns a token with which OpenBao can review other tokens.
async fn reviewer(ground: &Ground) -> Result<String> {
    let client = ground.client().await?;
    let account = serde_json::json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "openbao", "namespace": "default"},
    });
    let binding = serde_json::json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "reviewer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
        "subjects": [{"kind": "ServiceAccount", "name": "openbao", "namespace": "default"}],
    });
    apply(&client, account).await?;
    apply(&client, binding).await?;
    account_token(&client, "default", "openbao", &[]).await
}

/// Acts as a node: runs the operator with its ServiceAccount once its Deployment exists.
async fn node(ground: &Arc<Ground>) -> Result<RunningOperator> {
    let client = ground.client().await?;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let deployment = eventually("the operator's Deployment exists", || async {
        deployments.get(OPERATOR_ACCOUNT).await.map_err(|error| error.to_string())
    })
    .await?;
    let pod =
        deployment.spec.and_then(|spec| spec.template.spec).context("the Deployment has no pod spec")?;
    let container = pod.containers.first().context("the pod has no container")?;
    let arguments = container.args.clone().unwrap_or_default();
    let kept = ["--drift-interval", "--lease-duration", "--workers", "--log-level"];
    let token = account_token(&client, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, &[]).await?;
    let operator = Operator {
        kubeconfig: ground.plane.kubeconfig_for("installed", &token)?,
        arguments: arguments
            .into_iter()
            .filter(|argument| kept.iter().any(|kept| argument.starts_with(kept)))
            .collect(),
        ..ground.operator.clone()
    };
    ground.run(&operator).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_and_yaml_block_in_the_docs_works_in_order() -> Result<()> {
    let ground = Ground::shared().empty("docs").await?;
    let reader = Arc::new(Reader::new(ground.clone()).await?);
    let starting = ground.clone();
    let node = tokio::spawn(async move { node(&starting).await });
    let (mut commands, mut objects) = (0, 0);
    for page in pages()? {
        let text = std::fs::read_to_string(&page)?;
        for (number, (language, block)) in blocks(&text).into_iter().enumerate() {
            let name = format!("{}-{number}", page.file_stem().unwrap_or_default().to_string_lossy());
            let (reader, block) = (reader.clone(), block.to_owned());
            let ran = match language {
                "sh" => {
                    commands += 1;
                    tokio::task::spawn_blocking(move || reader.run(&block)).await?
                }
                "yaml" => {
                    objects += 1;
                    tokio::task::spawn_blocking(move || reader.apply(&name, &block)).await?
                }
                "text" => Ok(()),
                // Needs nodes: `operations_page` of the `nodes` tests runs these blocks.
                "bash" if page.ends_with("operations.md") => Ok(()),
                other => anyhow::bail!("{}: no test runs blocks in `{other}`", page.display()),
            };
            ran.with_context(|| {
                format!("{}, block {number}; logs: {}", page.display(), ground.logs.display())
            })?;
        }
    }
    ensure!(commands > 20 && objects > 10, "only {commands} commands and {objects} YAML blocks");
    coverage::compared(&reader.openbao.admin()?).await?;
    drop(node.await??);
    Ok(())
}

#[test]
fn every_link_resolves_and_every_page_is_in_the_table_of_contents() -> Result<()> {
    let contents = pages()?;
    let mut found = Vec::new();
    for page in crate::samples::pages()? {
        let text = std::fs::read_to_string(&page)?;
        let folder = page.parent().context("the page has no folder")?;
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let local = !link.starts_with("http") && !link.starts_with('#');
            let target = folder.join(link.split('#').next().unwrap_or_default());
            ensure!(!local || target.exists(), "{}: {link} does not exist", page.display());
        }
        for included in text.split("{{#include ").skip(1).filter_map(|rest| rest.split([':', '}']).next()) {
            ensure!(folder.join(included).exists(), "{}: {included} does not exist", page.display());
        }
        found.push(page);
    }
    let in_book = |page: &Path| page.starts_with(checkout().join("docs")) && !page.ends_with("SUMMARY.md");
    for page in found.iter().filter(|page| in_book(page) && !page.to_string_lossy().contains("/reference/")) {
        ensure!(contents.contains(page), "{} is not in the table of contents", page.display());
    }
    for definition in steamer_api::definitions() {
        let page = checkout().join(format!("docs/kinds/{}.md", definition.spec.names.kind.to_lowercase()));
        ensure!(contents.contains(&page), "{} has no page", definition.spec.names.kind);
    }
    Ok(())
}

#[test]
fn the_tested_versions_in_the_docs_are_those_of_the_test_ground() -> Result<()> {
    let page = std::fs::read_to_string(checkout().join("docs/quick-start.md"))?;
    let kubernetes = tools::KUBERNETES.trim_start_matches('v');
    let openbao = format!("{}, {}", tools::OLDER_OPENBAO, tools::OPENBAO);
    for tested in [kubernetes, &openbao] {
        ensure!(
            page.contains(&format!("| {tested} |")),
            "docs/quick-start.md does not name {tested} as tested"
        );
    }
    Ok(())
}
