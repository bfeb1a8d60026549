//! Writes of auth mounts, their settings and roles.

use std::collections::BTreeMap;

use steamer_core::access::keys::KeySet;
use steamer_core::error::Error;
use steamer_core::layout::ADDITIONAL_MOUNTS;
use steamer_core::ownership::Mark;
use steamer_openbao::{AuthMount, CelRole, JwtConfig, JwtKeys, JwtRole, MountRequest};

use crate::engine::{Hold, Rights};
use crate::project::desired::{Auth, Project};
use crate::project::observed::{Observed, ObservedAuth};
use crate::write::{ADOPTED, Call, DIFFERS, UNDESIRED, Write, auth_path, cel_role_path, jwt_role_path};

/// Type of the auth mounts.
const JWT: &str = "jwt";
/// Reason of a write that makes OpenBao fetch the keys again.
const KEY_REMOVED: &str = "the issuer removed a key that OpenBao still accepts";

/// Deletions of the project's auth mounts that it no longer needs.
pub(super) fn undesired(project: &Project, observed: &Observed, rights: &Rights<'_>) -> Vec<Write> {
    let undesired = observed.auth.iter().filter(|(path, _)| !project.auth.contains_key(*path));
    let undesired = undesired.filter(|(path, _)| !project.keeps_mount(path));
    let owned = undesired.filter(|(_, auth)| rights.owns(Mark::read(&auth.mount.description).as_ref()));
    owned.map(|(path, _)| Write::delete(&project.namespace, auth_path(path), UNDESIRED)).collect()
}

/// Deletions of [`undesired`], in two parts: those before the deletions of policies, and those after them. The mount of an
/// additional issuer shows which policies an interrupted reconcile has left.
pub(super) fn divided(deletions: Vec<Write>) -> (Vec<Write>, Vec<Write>) {
    let marker = format!("/{}", auth_path(ADDITIONAL_MOUNTS));
    deletions.into_iter().partition(|write| !write.path().contains(&marker))
}

/// An auth mount in its desired and its observed state.
pub(super) struct Login<'a> {
    pub(super) project: &'a Project,
    pub(super) path: &'a str,
    pub(super) auth: &'a Auth,
    pub(super) observed: Option<&'a ObservedAuth>,
}

impl Login<'_> {
    /// Returns true for the mount of an additional issuer. It is created before its policies, because a removal finds them by
    /// the mount. Without a configuration, no login succeeds.
    pub(super) fn is_additional(&self) -> bool {
        self.path.starts_with(ADDITIONAL_MOUNTS)
    }

    pub(super) fn mount(&self, rights: &Rights<'_>) -> Result<Option<Write>, Error> {
        match self.observed {
            None => Ok(Some(self.creation(rights))),
            Some(observed) => self.adoption(&observed.mount, rights),
        }
    }

    pub(super) fn contents(&self) -> Vec<Write> {
        self.config().into_iter().chain(self.roles()).collect()
    }

    fn creation(&self, rights: &Rights<'_>) -> Write {
        let description = rights.mark.description();
        let request = MountRequest { kind: JWT.to_owned(), description, options: BTreeMap::new() };
        self.create(Call::EnableAuth { path: self.path.to_owned(), request })
    }

    fn adoption(&self, mount: &AuthMount, rights: &Rights<'_>) -> Result<Option<Write>, Error> {
        let resource =
            format!("auth mount {}", self.project.published().path(&format!("auth/{}", self.path)));
        let hold = rights.hold(&resource, Mark::read(&mount.description).as_ref())?;
        if mount.kind != JWT {
            return Err(Error::Conflict(format!("{resource} in OpenBao is not of type jwt: remove it")));
        }
        Ok((hold == Hold::Adoptable).then(|| {
            let (path, description) = (self.path.to_owned(), rights.mark.description());
            self.update(Call::DescribeAuth { path, description }, ADOPTED)
        }))
    }

    fn config(&self) -> Option<Write> {
        let desired = &self.auth.config;
        let call = Call::PutJwtConfig { mount: self.path.to_owned(), config: desired.clone() };
        match self.observed.and_then(|observed| observed.config.as_ref()) {
            None => Some(self.create(call)),
            // Before other differences: their repair can be paused.
            Some(_) if self.has_removed_key() => Some(self.update(call, KEY_REMOVED)),
            Some(config) if !is_same(config, desired) => Some(self.update(call, DIFFERS)),
            Some(_) => None,
        }
    }

    /// OpenBao keeps the keys that it has fetched until its configuration is written.
    fn has_removed_key(&self) -> bool {
        !matches!(self.auth.config.keys, JwtKeys::Static(_))
            && self.auth.key_removals.is_some_and(|removals| removals.now != removals.written)
    }

    fn roles(&self) -> Vec<Write> {
        let none = ObservedAuth::default();
        let observed = self.observed.unwrap_or(&none);
        let mount = self.path;
        let put_cel = |name: &str, role: &CelRole| Call::PutCelRole {
            mount: mount.to_owned(),
            name: name.to_owned(),
            role: role.clone(),
        };
        let put_jwt = |name: &str, role: &JwtRole| Call::PutJwtRole {
            mount: mount.to_owned(),
            name: name.to_owned(),
            role: role.clone(),
        };
        let mut writes = Vec::new();
        writes.extend(self.undesired_roles(&observed.cel_roles, &self.auth.cel_roles, cel_role_path));
        writes.extend(self.undesired_roles(&observed.jwt_roles, &self.auth.jwt_roles, jwt_role_path));
        writes.extend(self.changed_roles(&observed.cel_roles, &self.auth.cel_roles, put_cel));
        writes.extend(self.changed_roles(&observed.jwt_roles, &self.auth.jwt_roles, put_jwt));
        writes
    }

    /// Every role of the mount gives access, so roles that the spec does not contain are deleted.
    fn undesired_roles<R>(
        &self,
        observed: &BTreeMap<String, R>,
        desired: &BTreeMap<String, R>,
        path: fn(&str, &str) -> String,
    ) -> Vec<Write> {
        let undesired = observed.keys().filter(|name| !desired.contains_key(*name));
        undesired.map(|name| self.delete(path(self.path, name))).collect()
    }

    fn changed_roles<R: PartialEq>(
        &self,
        observed: &BTreeMap<String, R>,
        desired: &BTreeMap<String, R>,
        put: impl Fn(&str, &R) -> Call,
    ) -> Vec<Write> {
        let changed = desired.iter().filter_map(|(name, role)| match observed.get(name) {
            None => Some(self.create(put(name, role))),
            Some(found) if found != role => Some(self.update(put(name, role), DIFFERS)),
            Some(_) => None,
        });
        changed.collect()
    }

    fn create(&self, call: Call) -> Write {
        Write::create(&self.project.namespace, call)
    }

    fn update(&self, call: Call, reason: &'static str) -> Write {
        Write::update(&self.project.namespace, call, reason)
    }

    fn delete(&self, path: String) -> Write {
        Write::delete(&self.project.namespace, path, UNDESIRED)
    }
}

/// Compares the fields that OpenBao returns. Keys are compared by their material.
fn is_same(observed: &JwtConfig, desired: &JwtConfig) -> bool {
    let has_same_keys = match (&observed.keys, &desired.keys) {
        (JwtKeys::Static(observed), JwtKeys::Static(desired)) => {
            KeySet::of_pem(observed) == KeySet::of_pem(desired)
        }
        (observed, desired) => observed == desired,
    };
    let JwtConfig { keys: _, ca, bound_issuer, algorithms, skip_validation: _ } = desired;
    has_same_keys
        && observed.ca.trim() == ca.trim()
        && observed.bound_issuer == *bound_issuer
        && observed.algorithms == *algorithms
}
