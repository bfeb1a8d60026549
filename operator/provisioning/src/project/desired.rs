//! Valid desired state of a project.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use steamer_api::{ProvisionedIssuer, Reference};
use steamer_core::digest::digest;
use steamer_core::error::Error;
use steamer_core::layout::additional_mount;
use steamer_openbao::{CelRole, JwtConfig, JwtRole, KvConfig, NamespacePath};
use steamer_runtime::{Failure, Reason};

use crate::grants::in_force::Contributions;

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
    /// True: users can neither create nor change values.
    pub(crate) read_only: bool,
    /// Auth mounts by path.
    pub(crate) auth: BTreeMap<String, Auth>,
    /// Texts of policies by name.
    pub(crate) policies: BTreeMap<String, String>,
    /// Texts of the policies that are written once, by name. Empty after they were written.
    pub(crate) defaults: BTreeMap<String, String>,
    /// True if the policies that are written once exist after this reconcile.
    pub(crate) defaults_written: bool,
    /// Digests of the names of the policies that the last reconcile wrote.
    pub(crate) policies_written: Vec<String>,
    pub(crate) key_removals: KeyRemovals,
    /// The record of the additional issuers after this reconcile, by their names in the spec.
    pub(crate) additional_issuers: BTreeMap<String, ProvisionedIssuer>,
    /// Names of the additional issuers in the spec and in the last record. Their policies can exist without an auth mount.
    pub(crate) known_issuers: BTreeSet<String>,
    /// Additional issuers whose JWTIssuer cannot be used.
    pub(crate) unusable: Vec<Unusable>,
    pub(crate) next_expiration: Option<Timestamp>,
    pub(crate) contributions: Contributions,
}

/// An auth mount.
#[derive(Debug)]
pub(crate) struct Auth {
    pub(crate) config: JwtConfig,
    /// None for an issuer whose removed keys are not tracked.
    pub(crate) key_removals: Option<KeyRemovals>,
    pub(crate) cel_roles: BTreeMap<String, CelRole>,
    pub(crate) jwt_roles: BTreeMap<String, JwtRole>,
}

/// An additional issuer whose JWTIssuer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    /// Name in the spec.
    pub(crate) name: String,
    pub(crate) reason: Reason,
    pub(crate) message: String,
    /// True: the auth mount stays. False: its jobs cannot log in.
    pub(crate) keeps_mount: bool,
}

impl Unusable {
    pub(crate) fn new(name: &str, error: &Error, keeps_mount: bool) -> Self {
        Self { name: name.to_owned(), reason: error.reason(), message: error.to_string(), keeps_mount }
    }
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
    pub(crate) mount: String,
    pub(crate) auth: Auth,
    pub(crate) policies: BTreeMap<String, String>,
}

impl Project {
    /// The namespace of the project as clients of the server address it.
    pub(crate) fn published(&self) -> NamespacePath {
        self.root.join(self.namespace.as_str())
    }

    /// Returns true if an auth mount stays as it is, although it is not desired.
    pub(crate) fn keeps_mount(&self, path: &str) -> bool {
        let kept = self.unusable.iter().filter(|it| it.keeps_mount);
        self.enabled && kept.map(|it| additional_mount(&it.name)).any(|kept| kept == path)
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
