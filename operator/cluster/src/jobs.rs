//! Jobs of a cluster. They are not watched: their pods are, and requeue the cluster.

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::{ListParams, PostParams};
use steamer_core::error::Error;

use crate::children::{delete, only};
use crate::cluster::CLUSTER_LABEL;
use crate::effects::{Effects, Sources};

/// Label of the purpose of a Job.
const APP: &str = "app.kubernetes.io/name";

/// The Jobs of a cluster with a purpose.
pub(crate) async fn all(sources: &Sources<'_>, app: &str) -> Result<Vec<Job>, Error> {
    let of_cluster = format!("{CLUSTER_LABEL}={},{APP}={app}", sources.child_api.cluster.name);
    let jobs = sources.child_api.api::<Job>().list(&ListParams::default().labels(&of_cluster)).await?;
    Ok(jobs.items)
}

/// Creates a Job, unless it exists. Deletes the earlier Jobs of the same purpose first.
pub(crate) async fn create(effects: &Effects<'_>, job: &Job) -> Result<(), Error> {
    let app = job.labels().get(APP).map_or("", String::as_str);
    remove_except(effects, app, Some(&job.name_any())).await?;
    match effects.child_api.api::<Job>().create(&PostParams::default(), job).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        created => Ok(created.map(drop)?),
    }
}

/// Deletes the Jobs of a purpose.
pub(crate) async fn remove_all(effects: &Effects<'_>, app: &str) -> Result<(), Error> {
    remove_except(effects, app, None).await
}

async fn remove_except(effects: &Effects<'_>, app: &str, kept: Option<&str>) -> Result<(), Error> {
    let api = effects.child_api.api::<Job>();
    for job in all(effects, app).await?.iter().filter(|job| Some(&*job.name_any()) != kept) {
        delete(&api, &job.name_any(), &only(job)).await?;
    }
    Ok(())
}
