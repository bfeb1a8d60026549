//! Access of a reconcile to Kubernetes, PostgreSQL and OpenBao: [`Sources`] to read, [`Effects`] to write.

use std::ops::Deref;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::Value;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_openbao::Client;
use steamer_runtime::{Dependencies, ObjectName};

use crate::children::ChildApi;
use crate::cluster::Cluster;
use crate::guard::target::GuardTarget;
use crate::nodes::members;
use crate::nodes::turns::Turns;
use crate::operator_policy::PolicyChecks;

/// Sources of the state of one cluster.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) context: &'a Arc<Context>,
    pub(crate) dependencies: &'a Dependencies,
    pub(crate) child_api: &'a ChildApi<'a>,
    pub(crate) guard_target: &'a GuardTarget,
    pub(crate) turns: &'a Turns,
    pub(crate) policy_checks: &'a PolicyChecks,
}

impl Sources<'_> {
    /// A Secret in the namespace of the cluster.
    pub(crate) async fn secret(&self, name: &str) -> Result<Arc<Secret>, Error> {
        self.context.secrets.existing(self.dependencies, &self.named(name)).await
    }

    /// A value of a Secret in the namespace of the cluster.
    pub(crate) async fn secret_value(&self, name: &str, key: &str) -> Result<Vec<u8>, Error> {
        self.context.secrets.value(self.dependencies, &self.named(name), key).await
    }

    /// Name of an object in the namespace of the cluster.
    pub(crate) fn named(&self, name: &str) -> ObjectName {
        ObjectName::new(&self.child_api.cluster.namespace, name)
    }

    /// Client of the node in a pod.
    pub(crate) fn node(&self, cluster: &Cluster, pod: &str) -> Result<Client, Error> {
        members::client(&self.context.sessions, cluster.url(pod), &self.guard_target.server)
    }
}

/// Marks the functions of a reconcile that write to Kubernetes or to the database.
pub(crate) struct Effects<'a>(Sources<'a>);

impl<'a> Effects<'a> {
    pub(crate) fn new(sources: Sources<'a>) -> Self {
        Self(sources)
    }

    /// Changes the StatefulSet of the nodes.
    pub(crate) async fn patch_nodes(&self, patch: &Value) -> Result<(), Error> {
        let sets = self.child_api.api::<StatefulSet>();
        sets.patch(&self.child_api.cluster.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }
}

impl<'a> Deref for Effects<'a> {
    type Target = Sources<'a>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
