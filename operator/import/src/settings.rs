//! Settings of an import.

/// What the objects have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Name of the OpenBaoCluster.
    pub cluster: String,
    /// Namespace of the OpenBaoCluster. Default: the namespace of the objects.
    pub cluster_namespace: Option<String>,
    /// Kubernetes namespace of the objects. Default: the objects state none.
    pub kubernetes_namespace: Option<String>,
    /// `true`: the objects only observe OpenBao, and list the changes that they would make.
    pub observe: bool,
}
