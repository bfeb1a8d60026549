//! Checks of the Helm charts and of the kustomizations in `config/`.

use std::process::Command;

use anyhow::{Context, Result};
use steamer_testing::cache::checkout;
use steamer_testing::tools::{self, output};

/// Typical values of the chart, each with a name.
const CASES: &[(&str, &[&str])] = &[
    ("defaults", &[]),
    ("two replicas", &["--set", "replicas=2,podDisruptionBudget.enabled=true"]),
    (
        "all features",
        &["--set", "metrics.serviceMonitor.enabled=true,networkPolicy.enabled=true,installationId=home"],
    ),
    ("own account", &["--set", "serviceAccount.create=false,serviceAccount.name=mine,rbac.create=false"]),
];

/// Without a Kubernetes version, Helm assumes an old one.
const TEMPLATE: [&str; 4] = ["template", "steamer", "--kube-version", "1.34.0"];

/// Values that the schema of the chart rejects.
const WRONG: &[&str] = &["replicas=many", "logLevl=debug", "leaseDuration=soon"];

/// Lints and renders the charts, and builds the kustomizations.
///
/// # Errors
/// When a chart fails to lint or render, or accepts an invalid value.
pub(crate) fn check() -> Result<()> {
    let helm = tools::helm()?;
    let chart = |name: &str| checkout().join("charts").join(name);
    for name in ["steamer", "steamer-crds"] {
        output(Command::new(&helm).args(["lint", "--strict"]).arg(chart(name)))?;
    }
    output(Command::new(&helm).args(["template", "crds"]).arg(chart("steamer-crds")))?;
    for (name, values) in CASES {
        let rendered = output(Command::new(&helm).args(TEMPLATE).arg(chart("steamer")).args(*values));
        let documents = steamer_testing::ground::yaml(
            &rendered.with_context(|| format!("cannot render chart steamer with values: {name}"))?,
        )?;
        println!("chart steamer, {name}: {} objects", documents.len());
    }
    for values in WRONG {
        let rendered =
            output(Command::new(&helm).args(TEMPLATE).arg(chart("steamer")).args(["--set", values]));
        anyhow::ensure!(rendered.is_err(), "chart steamer accepts the invalid value {values}");
    }
    kustomize()
}

/// Builds the kustomizations, which install the same objects without Helm.
fn kustomize() -> Result<()> {
    for folder in ["config/default", "config/samples"] {
        let kubectl = tools::kubernetes("kubectl")?;
        let built = output(Command::new(kubectl).arg("kustomize").arg(checkout().join(folder)))?;
        println!("{folder}: {} objects", steamer_testing::ground::yaml(&built)?.len());
    }
    Ok(())
}
