//! Identities of cloud providers, as the settings of a method state them.

/// AWS identity of a login.
pub struct AwsSource {
    pub(in crate::access) endpoint: String,
    pub(in crate::access) region: String,
    pub(in crate::access) server_id: Option<String>,
    pub(in crate::access) session: String,
    pub(in crate::access) key: AwsKeySource,
}

/// Source of an access key.
pub enum AwsKeySource {
    /// A Secret.
    Secret(String),
    /// A ServiceAccount that assumes a role.
    Account(String),
}

/// Google service account of a login.
pub struct GcpSource {
    pub(in crate::access) account: String,
    pub(in crate::access) project: String,
    pub(in crate::access) region: String,
    pub(in crate::access) cluster: String,
    /// Audience of the ID token.
    pub(in crate::access) audience: String,
    pub(in crate::access) sts: String,
    pub(in crate::access) iam: String,
}
