//! Objects of a login, from a cluster.

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams};
use steamer_api::{KindId, NamespacesFrom, PipelinePolicy};

use super::objects::{Labels, Objects, cluster_of, issuer_of, namespace, project_name, tenant_of};
use crate::connection::Cluster;
use crate::lists::{Answer, lists};

/// Objects of a cluster.
///
/// # Errors
/// When an object does not exist or cannot be read.
pub(super) async fn objects(cluster: &Cluster, project: &str) -> Result<Objects> {
    let name = project_name(project, &cluster.namespace)?;
    let project: steamer_api::SecretsProject = cluster.object(&name.namespace, &name.name).await?;
    let tenant_name = tenant_of(&project);
    let tenant = cluster.object(&tenant_name.namespace, &tenant_name.name).await?;
    let (cluster_name, (issuer_name, _)) = (cluster_of(&tenant), issuer_of(&project, &tenant));
    let server = cluster.object(&cluster_name.namespace, &cluster_name.name).await?;
    let issuer = cluster.object(&issuer_name.namespace, &issuer_name.name).await?;
    let (policies, notes) = (Vec::new(), Vec::new());
    let mut objects = Objects { project, tenant, cluster: server, issuer, policies, notes };
    let labels = labels(cluster).await;
    objects.check_references(labels.as_ref())?;
    let policies = policies_of(cluster, &mut objects).await?;
    objects.keep(policies, labels.as_ref());
    Ok(objects)
}

async fn policies_of(cluster: &Cluster, objects: &mut Objects) -> Result<Vec<PipelinePolicy>> {
    let own = namespace(&objects.project.metadata).to_owned();
    let is_shared = objects.project.spec.allowed_namespaces.from != NamespacesFrom::Same;
    let kinds = [KindId::PipelinePolicy];
    if is_shared {
        match lists(cluster, &kinds, None).await {
            Ok(found) => return Ok(listed(found)),
            Err(_) => objects.notes.push(format!(
                "PipelinePolicies of other namespaces than {own} are not considered: you may not list them"
            )),
        }
    }
    Ok(listed(lists(cluster, &kinds, Some(&own)).await?))
}

fn listed(found: Vec<crate::lists::Listed<PipelinePolicy>>) -> Vec<PipelinePolicy> {
    let objects = found.into_iter().map(|listed| match listed.answer {
        Answer::Objects(objects) => objects,
        Answer::Denied | Answer::NotInstalled => Vec::new(),
    });
    objects.flatten().collect()
}

/// Labels of all namespaces. None: you may not list them.
async fn labels(cluster: &Cluster) -> Option<Labels> {
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    let found = api.list_metadata(&ListParams::default()).await.ok()?;
    let labels = found
        .items
        .into_iter()
        .map(|it| (it.metadata.name.unwrap_or_default(), it.metadata.labels.unwrap_or_else(BTreeMap::new)));
    Some(labels.collect())
}
