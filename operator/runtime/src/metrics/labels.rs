//! Label sets of the metrics.

use std::borrow::Cow;

use prometheus_client::encoding::EncodeLabelSet;

use crate::ObjectName;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Build {
    pub(super) version: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Cluster {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl From<&ObjectName> for Cluster {
    fn from(name: &ObjectName) -> Self {
        Self { namespace: name.namespace.clone(), name: name.name.clone() }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ClusterVersion {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) version: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ClusterCondition {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) condition: String,
    pub(super) status: String,
    pub(super) reason: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Controller {
    pub(super) controller: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct InNamespace {
    pub(super) namespace: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Outcome {
    pub(super) controller: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Failed {
    pub(super) controller: &'static str,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Panicking {
    pub(super) kind: Cow<'static, str>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Class {
    pub(super) class: &'static str,
}

/// State of objects of one kind.
#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
pub struct ObjectState {
    /// Kind of the objects.
    pub kind: &'static str,
    /// Status of their condition `Ready`. `Unknown` before the first reconcile.
    pub ready: String,
    /// Reason of their condition `Ready`. Empty before the first reconcile.
    pub reason: String,
}
