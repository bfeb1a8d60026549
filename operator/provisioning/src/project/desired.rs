//! Valid desired state of a project.

use std::collections::BTreeMap;

use jiff::Timestamp;
use steamer_api::Reference;
use steamer_core::digest::digest;
use steamer_openbao::{CelRole, JwtConfig, JwtRole, KvConfig, NamespacePath};

use crate::pipeline_policy::in_force::Contributions;

/// Everything that OpenBao contains for a project, and what its status reports.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) cluster: Reference,
    /// JWTIssuer of the pipeline mount.
    pub(crate) issuer: Reference,
    pub(crate) server_url: String,
    /// OpenBao namespace that is the root of the installation. Published paths contain it.
    pub(crate) root: NamespacePath,
    pub(crate) tenant_namespace: NamespacePath,
    pub(crate) namespace: NamespacePath,
    /// Path of the secrets engine.
    pub(crate) engine: String,
    pub(crate) kv: KvConfig,
    /// False: all access is removed.
    pub(crate) enabled: bool,
    /// Auth mounts by path.
    pub(crate) auth: BTreeMap<&'static str, Auth>,
    /// Texts of policies by name.
    pub(crate) policies: BTreeMap<String, String>,
    /// Digests of the names of the policies that the last reconcile wrote.
    pub(crate) policies_written: Vec<String>,
    pub(crate) key_removals: KeyRemovals,
    pub(crate) next_expiration: Option<Timestamp>,
    pub(crate) contributions: Contributions,
}

/// An auth mount.
#[derive(Debug)]
pub(crate) struct Auth {
    pub(crate) config: JwtConfig,
    pub(crate) cel_roles: BTreeMap<String, CelRole>,
    pub(crate) jwt_roles: BTreeMap<String, JwtRole>,
}

/// Number of keys that the issuer has removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyRemovals {
    pub(crate) now: i64,
    /// The number when the mount was last written.
    pub(crate) written: i64,
}

/// Access of one kind of client: an auth mount and the policies of its roles.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) mount: &'static str,
    pub(crate) auth: Auth,
    pub(crate) policies: BTreeMap<String, String>,
}

impl Project {
    /// The namespace of the project as clients of the server address it.
    pub(crate) fn published(&self) -> NamespacePath {
        self.root.join(self.namespace.as_str())
    }

    pub(crate) fn grant(&mut self, access: Access) {
        let Access { mount, auth, policies } = access;
        self.auth.insert(mount, auth);
        self.policies.extend(policies);
    }
}

/// Identifies a policy in a status. Names of policies can be too long for it.
pub(crate) fn name_digest(name: &str) -> String {
    digest(name.as_bytes())[..16].to_owned()
}
