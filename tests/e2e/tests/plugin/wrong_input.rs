//! The plugin with few permissions, wrong input, and without a server.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use steamer_testing::control_plane::{Access, kubeconfig_text};
use steamer_testing::ground::apply;

use super::run_with;
use crate::fixture::Case;

/// A server that knows no kind of Steamer, as an API server without the CustomResourceDefinitions.
fn without_kinds() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let body = "404 page not found\n";
            let head = format!(
                "HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    Ok(url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plugin_says_what_is_wrong() -> Result<()> {
    let case = Case::new("plugin-wrong").await?;
    let failing = |arguments: &[&str], text: &str| case.plugin(arguments)?.with(1)?.says(text).map(drop);
    failing(&["explain"], "--project <PROJECT>")?;
    failing(&["explain", "--project", "none"], "the input is not a JWT: it does not consist of three parts")?;
    failing(
        &["ci", "none"],
        "SecretsProject plugin-wrong/none does not exist: see `kubectl get secretsprojects",
    )?;
    failing(&["sync", "secretsproject/none"], "SecretsProject plugin-wrong/none does not exist")?;
    failing(&["sync", "secret/none"], "secret is not a kind of Steamer: write one of OpenBaoCluster")?;
    failing(&["suspend", "pipelinepolicy/none"], "a PipelinePolicy cannot be suspended")?;
    failing(&["restart", "none"], "OpenBaoCluster plugin-wrong/none does not exist")?;
    failing(&["status", "none"], "OpenBaoCluster none does not exist")?;
    failing(&["status", "--frobnicate"], "unexpected argument '--frobnicate'")?;
    failing(&["frobnicate"], "unrecognized subcommand 'frobnicate'")?;
    let kubeconfig = |url: &str, name: &str| -> Result<std::path::PathBuf> {
        let path = case.ground.folder.join(format!("plugin-{name}.kubeconfig"));
        std::fs::write(&path, kubeconfig_text(url, "", &Access::Token("t")))?;
        Ok(path)
    };
    let empty = kubeconfig(&without_kinds()?, "empty")?;
    for command in [&["status"][..], &["sync", "--all-late"], &["restart", "main"]] {
        run_with(&empty, command, "")?.with(1)?.says("install the CustomResourceDefinitions of Steamer")?;
    }
    let gone = kubeconfig("http://127.0.0.1:1", "gone")?;
    for command in [&["status"][..], &["check"], &["version"], &["report", "-f", "-"]] {
        run_with(&gone, command, "")?.with(1)?.says("cannot reach the API server http://127.0.0.1:1")?;
    }
    run_with(&case.ground.folder.join("none.kubeconfig"), &["status"], "")?
        .with(1)?
        .says("cannot read the kubeconfig")?;
    run_with(&gone, &["version", "--client"], "")?.with(0)?.says("kubectl steamer  0.1.0")?;
    run_with(&gone, &["completion", "bash"], "")?.with(0)?.says("_kubectl__steamer()")?;
    run_with(&gone, &["complete-words", "--", "ste"], "")?.with(0)?.says("step-down\n:4\n")?;
    Ok(())
}

/// The kubeconfig of an account that may list two kinds in all namespaces, and nothing else.
async fn two_kinds(case: &Case) -> Result<PathBuf> {
    let kubeconfig = case.kubeconfig_of("two-kinds", None).await?;
    let (api, name) = ("rbac.authorization.k8s.io", "plugin-two-kinds");
    let rules = json!([{"apiGroups": ["steamer.dev"], "resources": ["openbaoclusters", "jwtissuers"], "verbs": ["get", "list"]}]);
    let role = json!({
        "apiVersion": format!("{api}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules,
    });
    apply(&case.client, role).await?;
    let binding = json!({
        "apiVersion": format!("{api}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "two-kinds", "namespace": case.namespace}],
    });
    apply(&case.client, binding).await?;
    Ok(kubeconfig)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plugin_has_only_the_permissions_of_its_caller() -> Result<()> {
    let case = Case::new("plugin-rights").await?;
    let (viewer, stranger) =
        (case.kubeconfig_of("viewer", Some("view")).await?, case.kubeconfig_of("stranger", None).await?);
    let own = ["--namespace", "plugin-rights"];
    let denied = "you may not list the objects of Steamer";
    run_with(&viewer, &["status"], "")?.with(1)?.says(denied)?;
    run_with(&stranger, &[&["status"][..], &own].concat(), "")?.with(1)?.says(denied)?;
    case.ready::<steamer_api::OpenBaoCluster>("main", "True/").await?;
    let seen = run_with(&viewer, &[&["status"][..], &own].concat(), "")?.with(0)?;
    let seen = seen.says("OpenBaoCluster plugin-rights/main  Ready")?;
    assert!(!seen.out.contains("ClusterBaoStaticSecret"), "it is in no namespace: {}", seen.out);
    // Other tests decide whether everything is Ready.
    let partial = run_with(&two_kinds(&case).await?, &["status"], "")?;
    partial.says("OpenBaoCluster plugin-rights/main")?.says("because you may not list them: ")?;
    for command in [&["sync", "openbaocluster/main"][..], &["suspend", "openbaocluster/main"]] {
        let refused = "the API server refuses the request: openbaoclusters.steamer.dev \"main\" is forbidden";
        run_with(&viewer, &[command, &own].concat(), "")?.with(1)?.says(refused)?;
    }
    let checked = run_with(&viewer, &[&["check"][..], &own].concat(), "")?.with(0)?;
    let checked = checked.says("the operator is not checked: you may not list Deployments")?;
    let checked =
        checked.says("their schemas are not compared: you may not read CustomResourceDefinitions")?;
    checked.says("OpenBaoClusters are not checked: you may not list them")?;
    let report = run_with(&viewer, &[&["report", "-f", "-"][..], &own].concat(), "")?.with(0)?;
    report.says("pods of the operator: ")?;
    Ok(())
}
