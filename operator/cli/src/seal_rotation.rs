//! Command `rotate-seal`: a new key of a static seal.

use anyhow::{Context, Result, bail};
use clap::Args as Arguments;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::Patch;
use serde_json::json;
use steamer_api::{OpenBaoCluster, RotationPhase};
use steamer_core::digest::random_hex;

use crate::annotations::{managed, name, parameters};
use crate::connection::{Cluster, Connection};
use crate::outcome::Outcome;
use crate::progress::{Step, Waiting};

/// Arguments of `rotate-seal`.
#[derive(Arguments)]
pub(crate) struct RotateSeal {
    /// Name of the OpenBaoCluster.
    name: String,
    /// ID of the new key. The Secret of the seal must not contain it, unless you have added the key yourself.
    #[arg(long)]
    key_id: String,
    /// Uses the key that the Secret contains. Without it, a key is generated.
    #[arg(long)]
    existing: bool,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    waiting: Waiting,
}

pub(crate) async fn run(arguments: RotateSeal) -> Result<Outcome> {
    let (cluster, found) = managed(&arguments.connection, &arguments.name).await?;
    let seal = found.spec.managed.as_ref().and_then(|managed| managed.seal.r#static.as_ref());
    let seal = seal.with_context(|| {
        format!("OpenBaoCluster {} has no static seal: only its key can be rotated", arguments.name)
    })?;
    let own = seal.secret_ref.as_ref().map(|reference| reference.name.clone());
    let (secret, old) = (own.unwrap_or_else(|| format!("{}-seal", name(&found))), seal.key_id.as_str());
    if old == arguments.key_id {
        bail!("{old} is the key in use: write another --key-id");
    }
    provide(&cluster, &secret, &arguments).await?;
    let patch = Patch::Merge(json!({"spec": {"managed": {"seal": {"static": {"keyId": arguments.key_id}}}}}));
    let api = cluster.api_in::<OpenBaoCluster>(&cluster.namespace);
    api.patch(name(&found), &parameters(), &patch).await.map_err(|error| cluster.refusal(error))?;
    let place = (cluster.namespace.as_str(), name(&found));
    arguments.waiting.until(&cluster, place, |now| rotated(&arguments.key_id, now)).await
}

/// Adds the new key to the Secret, or checks that it is there.
async fn provide(cluster: &Cluster, secret: &str, arguments: &RotateSeal) -> Result<()> {
    let api = cluster.api_in::<Secret>(&cluster.namespace);
    let found = cluster.object::<Secret>(&cluster.namespace, secret).await?;
    let (id, contains) =
        (&arguments.key_id, found.data.is_some_and(|data| data.contains_key(&arguments.key_id)));
    match (contains, arguments.existing) {
        (true, true) => Ok(()),
        (true, false) => bail!("Secret {secret} contains {id} already: use --existing, or another --key-id"),
        (false, true) => bail!("Secret {secret} does not contain {id}: add the key, or omit --existing"),
        (false, false) => {
            // The version prevents that two rotations write different keys.
            let data = json!({id: ByteString(random_hex()?.into_bytes())});
            let patch = Patch::Merge(
                json!({"metadata": {"resourceVersion": found.metadata.resource_version}, "data": data}),
            );
            api.patch(secret, &parameters(), &patch).await.map(drop).map_err(|error| cluster.refusal(error))
        }
    }
}

/// Whether the new key is the only one that the nodes have.
fn rotated(key: &str, cluster: &OpenBaoCluster) -> Step {
    let seal = cluster.status.as_ref().and_then(|status| status.seal.as_ref());
    let phase = |phase: RotationPhase| match phase {
        RotationPhase::Distribute => "1 of 3: the new key is distributed to the nodes",
        RotationPhase::Rewrap => "2 of 3: the new key becomes the key in use",
        RotationPhase::Retire => "3 of 3: the old key is removed from the nodes",
    };
    match seal.map(|seal| (seal.key_id.as_deref(), &seal.rotating)) {
        Some((_, Some(rotating))) => Step::Wait(phase(rotating.phase).to_owned()),
        Some((Some(used), None)) if used == key => Step::Done(format!("{key} is the key in use")),
        _ => Step::Wait("waits for the operator to begin".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    #[rstest]
    #[case(json!({"type": "static", "keyId": "k1"}), "waits for the operator to begin")]
    #[case(json!({"type": "static", "keyId": "k1", "rotating": {"to": "k2", "phase": "Distribute"}}), "1 of 3: the new key is distributed to the nodes")]
    #[case(json!({"type": "static", "keyId": "k2", "rotating": {"to": "k2", "phase": "Retire"}}), "3 of 3: the old key is removed from the nodes")]
    #[case(json!({"type": "static", "keyId": "k2"}), "done: k2 is the key in use")]
    fn a_rotation_has_three_phases(#[case] seal: Value, #[case] expected: &str) {
        let cluster = serde_json::from_value(json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": "OpenBaoCluster", "metadata": {"name": "main"}, "spec": {}, "status": {"seal": seal},
        }));
        let step = match rotated("k2", &cluster.unwrap()) {
            Step::Wait(text) => text,
            Step::Done(text) => format!("done: {text}"),
            Step::Failed(text) => format!("failed: {text}"),
        };
        assert_eq!(step, expected);
    }
}
