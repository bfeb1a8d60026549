//! Commands `suspend` and `resume`.

use anyhow::{Result, bail};
use clap::Args as Arguments;
use kube::api::Patch;
use serde_json::{Value, json};
use steamer_api::{KindId, definitions};

use crate::connection::Connection;
use crate::outcome::Outcome;
use crate::output::print;
use crate::sync::patched;
use crate::target::{Target, targets};

#[derive(Arguments)]
pub(crate) struct Suspension {
    /// Objects, as `kind/name ...` or `kind name ...`.
    #[arg(required = true)]
    objects: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Sets `spec.suspend`.
pub(crate) async fn run(arguments: Suspension, suspend: bool) -> Result<Outcome> {
    let objects = targets(&arguments.objects)?;
    for Target { kind, .. } in &objects {
        if !can_suspend(*kind) {
            bail!("a {kind} cannot be suspended: it has no field spec.suspend");
        }
    }
    let cluster = arguments.connection.cluster().await?;
    let patch = Patch::Merge(json!({"spec": {"suspend": suspend}}));
    for object in &objects {
        patched(&cluster, object, &cluster.namespace, &patch).await?;
        let done = if suspend { "is suspended" } else { "is reconciled" };
        print(&format!("{} {}/{} {done}\n", object.kind, cluster.namespace, object.name))?;
    }
    Ok(Outcome::Good)
}

/// Returns true if the spec of the kind has the field `suspend`.
fn can_suspend(kind: KindId) -> bool {
    let definition = definitions().into_iter().find(|it| it.spec.names.kind == kind.as_str());
    let schema = definition.and_then(|it| serde_json::to_value(&it.spec.versions.first()?.schema).ok());
    let field = "/openAPIV3Schema/properties/spec/properties/suspend";
    schema.as_ref().and_then(|schema| schema.pointer(field)).is_some_and(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_states_which_kinds_can_be_suspended() {
        assert!(can_suspend(KindId::SecretsProject) && can_suspend(KindId::OpenBaoCluster));
        assert!(!can_suspend(KindId::PipelinePolicy));
    }
}
