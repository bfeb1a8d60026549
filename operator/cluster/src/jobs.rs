//! Jobs of a cluster. They are not watched: their pods are, and requeue the cluster.

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::{ListParams, PostParams};
use steamer_core::error::Error;

use crate::children::{delete, only};
use crate::cluster::CLUSTER_LABEL;
use crate::effects::Effects;

/// Label of the purpose of a Job.
const APP: &str = "app.kubernetes.io/name";

/// Creates a Job, unless it exists. Deletes the earlier Jobs of the same purpose first.
pub(crate) async fn create(effects: &Effects<'_>, job: &Job) -> Result<(), Error> {
    let (api, labels) = (effects.child_api.api::<Job>(), job.labels());
    let selector =
        [CLUSTER_LABEL, APP].map(|label| format!("{label}={}", labels.get(label).map_or("", String::as_str)));
    let all = api.list(&ListParams::default().labels(&selector.join(","))).await?;
    for earlier in all.items.iter().filter(|earlier| earlier.name_any() != job.name_any()) {
        delete(&api, &earlier.name_any(), &only(earlier)).await?;
    }
    match api.create(&PostParams::default(), job).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        created => Ok(created.map(drop)?),
    }
}
