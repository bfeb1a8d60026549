//! Command `sync`.

use anyhow::{Result, bail};
use clap::Args as Arguments;
use kube::api::{Api, ApiResource, DynamicObject, Patch};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use steamer_api::{GROUP, KindId, RECONCILE_ANNOTATION, VERSION};

use crate::annotations::{parameters, token};
use crate::brief::Brief;
use crate::connection::{Cluster, Connection};
use crate::lists::{Answer, is_namespaced, lists};
use crate::outcome::Outcome;
use crate::output::print;
use crate::target::{Target, targets};

#[derive(Arguments)]
pub(crate) struct Sync {
    /// Objects, as `kind/name ...` or `kind name ...`.
    #[arg(required_unless_present = "all_late", conflicts_with = "all_late")]
    objects: Vec<String>,
    /// Reconciles every object of the namespace that is not Ready.
    #[arg(long)]
    all_late: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(arguments: Sync) -> Result<Outcome> {
    let named = targets(&arguments.objects);
    let cluster = arguments.connection.cluster().await?;
    let objects = if arguments.all_late { late(&cluster).await? } else { named? };
    if objects.is_empty() {
        print(&format!("every object in namespace {} is Ready\n", cluster.namespace))?;
    }
    let patch = Patch::Merge(json!({"metadata": {"annotations": {RECONCILE_ANNOTATION: token()}}}));
    for object in &objects {
        patched(&cluster, object, &cluster.namespace, &patch).await?;
        print(&format!("{} {}/{} will be reconciled\n", object.kind, cluster.namespace, object.name))?;
    }
    Ok(Outcome::Good)
}

/// Objects of the namespace that are not Ready.
async fn late(cluster: &Cluster) -> Result<Vec<Target>> {
    let kinds: Vec<KindId> = KindId::ALL.iter().copied().filter(|kind| is_namespaced(*kind)).collect();
    let listed = lists::<Brief>(cluster, &kinds, Some(&cluster.namespace)).await?;
    let late = listed.iter().flat_map(|listed| {
        let objects = match &listed.answer {
            Answer::Objects(objects) => objects.as_slice(),
            Answer::Denied | Answer::NotInstalled => &[],
        };
        let late = objects.iter().filter_map(|object| object.late(listed.kind));
        late.map(|it| Target { kind: listed.kind, name: it.name })
    });
    Ok(late.collect())
}

/// Patches an object. A kind without namespaces ignores `namespace`.
///
/// # Errors
/// When it does not exist, or the API server refuses the patch.
pub(crate) async fn patched(
    cluster: &Cluster,
    target: &Target,
    namespace: &str,
    patch: &Patch<Value>,
) -> Result<()> {
    let Target { kind, name } = target;
    let gvk = GroupVersionKind::gvk(GROUP, VERSION, kind.as_str());
    let resource = ApiResource::from_gvk_with_plural(&gvk, &kind.plural());
    let api: Api<DynamicObject> = if is_namespaced(*kind) {
        Api::namespaced_with(cluster.client.clone(), namespace, &resource)
    } else {
        Api::all_with(cluster.client.clone(), &resource)
    };
    match api.patch(name, &parameters(), patch).await {
        Err(kube::Error::Api(status)) if status.code == 404 && status.message.contains(name.as_str()) => {
            bail!(
                "{kind} {namespace}/{name} does not exist: see `kubectl get {} --all-namespaces`",
                kind.plural()
            )
        }
        result => result.map(drop).map_err(|error| cluster.refusal(error)),
    }
}
