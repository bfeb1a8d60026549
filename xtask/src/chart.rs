//! The charts, linted and rendered with several values, and their kustomize counterparts.

use std::process::Command;

use anyhow::{Context, Result};
use steamer_testing::cache::checkout;
use steamer_testing::tools::{self, output};

/// Values that people use.
const CASES: &[(&str, &[&str])] = &[
    ("defaults", &[]),
    ("two replicas", &["--set", "replicas=2,podDisruptionBudget.enabled=true"]),
    (
        "everything on",
        &["--set", "metrics.serviceMonitor.enabled=true,networkPolicy.enabled=true,installationId=home"],
    ),
    ("own account", &["--set", "serviceAccount.create=false,serviceAccount.name=mine,rbac.create=false"]),
];

/// Helm thinks of an old cluster where it is given none.
const TEMPLATE: [&str; 4] = ["template", "steamer", "--kube-version", "1.34.0"];

/// Values that the schema refuses.
const WRONG: &[&str] = &["replicas=many", "logLevl=debug", "leaseDuration=soon"];

/// Fails when a chart does not lint, or takes what is wrong.
pub(crate) fn check() -> Result<()> {
    let helm = tools::helm()?;
    let chart = |name: &str| checkout().join("charts").join(name);
    for name in ["steamer", "steamer-crds"] {
        output(Command::new(&helm).args(["lint", "--strict"]).arg(chart(name)))?;
    }
    output(Command::new(&helm).args(["template", "crds"]).arg(chart("steamer-crds")))?;
    for (name, values) in CASES {
        let rendered = output(Command::new(&helm).args(TEMPLATE).arg(chart("steamer")).args(*values));
        let documents = steamer_testing::ground::yaml(&rendered.with_context(|| format!("with {name}"))?)?;
        println!("chart steamer, {name}: {} objects", documents.len());
    }
    for values in WRONG {
        let rendered =
            output(Command::new(&helm).args(TEMPLATE).arg(chart("steamer")).args(["--set", values]));
        anyhow::ensure!(rendered.is_err(), "the chart takes {values}");
    }
    kustomize()
}

/// `config/` says the same for those who do not use Helm.
fn kustomize() -> Result<()> {
    for folder in ["config/default", "config/samples"] {
        let kubectl = tools::kubernetes("kubectl")?;
        let built = output(Command::new(kubectl).arg("kustomize").arg(checkout().join(folder)))?;
        println!("{folder}: {} objects", steamer_testing::ground::yaml(&built)?.len());
    }
    Ok(())
}
