//! Facts about the former operators that their objects do not contain.

/// Facts about the former operators that their objects do not contain.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of objects without one. Default: none; the converted objects have none either.
    pub namespace: Option<String>,
    /// Namespace of VSO. Objects without `vaultAuthRef` or `vaultConnectionRef` use the objects `default` in it.
    pub vso_namespace: String,
    /// Whether VSO runs with the global transformation option `exclude-raw`.
    pub exclude_raw: bool,
    /// Namespace of the BaoConnection and the BaoAuth of a ClusterSecretStore.
    pub store_namespace: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            namespace: None,
            vso_namespace: "vault-secrets-operator-system".to_owned(),
            exclude_raw: false,
            store_namespace: "steamer-system".to_owned(),
        }
    }
}
