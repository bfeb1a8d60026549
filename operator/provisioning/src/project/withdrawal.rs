//! Access of a project that other objects no longer grant. It is removed in every mode; nothing is added.

mod keys;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use steamer_api::{
    Entitlement, JWTIssuer, PipelinePolicy, Provisioned, ProvisionedIssuer, SecretsProject, UserPolicy,
};
use steamer_core::error::Error;
use steamer_core::layout::{
    self, API_MOUNT, API_POLICIES, PIPELINE_MOUNT, PIPELINE_POLICIES, USER_MOUNT, USER_POLICIES,
    additional_issuers, additional_mount, additional_policies,
};
use steamer_core::ownership::Mark;
use steamer_core::ownership::removal::{access_policies, owns_namespace};
use steamer_openbao::{AuthMount, NamespacePath, Session};

use super::contributions::{Merged, merged};
use super::desired::KeyRemovals;
use super::fetch::{Additional, References, Sources, policies};
use super::pipelines::{self, PolicyNames, policy_texts};
use super::terms::Terms;
use super::validate::{additional_removals, key_removals, reference_to};
use crate::engine::{Provision, Removal};
use crate::grants::in_force::Contributions;
use crate::write::{self, WITHDRAWN, Write, auth_path};
use keys::Narrowed;
use rules::Granted;

/// Access that was removed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Withdrawn {
    /// All access, because the tenant is disabled or blocked.
    All,
    /// The access that no object grants any more.
    Part {
        /// Granting objects that grant nothing any more.
        ended: Contributions,
        /// `keyRemovals` of the issuer that the mounts reflect. None: the mounts trust another issuer.
        key_removals: Option<i64>,
        /// The record of the additional issuers in the spec. The policies of all others are removed.
        additional_issuers: BTreeMap<String, ProvisionedIssuer>,
    },
}

pub(super) async fn withdraw(
    project: &SecretsProject,
    references: &References,
    removal: &Removal<'_>,
) -> Result<Withdrawn, Error> {
    if is_disabled(references) {
        SecretsProject::revoke(removal).await?;
        return Ok(Withdrawn::All);
    }
    let jobs = policies::<PipelinePolicy>(project, &removal.lookup())?;
    let users = policies::<UserPolicy>(project, &removal.lookup())?;
    let terms = Terms::of(project, references, Timestamp::now());
    let merged = merged(Sources { policies: &jobs, users: &users }, &terms);
    let mark = removal.owned().mark;
    let written = project.status.as_ref().and_then(|status| status.provisioned.as_ref());
    let texts = &texts(&merged, mark, &engine(project));
    let policies_written = written.map(|written| written.policies.as_slice()).unwrap_or_default();
    let keeps_defaults = terms.entitlement != Entitlement::ReadOnly;
    let trusted = trusted(references, written);
    let session = removal.session().await?;
    if owns_namespace(&session, removal.namespace(), mark).await? {
        let inside = Inside { session: session.within(removal.namespace().as_str()), mark };
        let granted = Granted { texts, mark, policies_written, keeps_defaults };
        let known = known_issuers(project, written);
        let writes = inside.writes((references, &known), &trusted, (&granted, removal.namespace())).await?;
        write::execute(&session, &writes, |_| {}).await?;
    }
    Ok(Withdrawn::Part {
        ended: merged.contributions.ended(),
        key_removals: trusted_removals(references, written).map(|removals| removals.now),
        additional_issuers: additional_now(project, references, written),
    })
}

/// Texts of all policies that are granted, by name.
fn texts(merged: &Merged, mark: &Mark, engine: &str) -> BTreeMap<String, String> {
    let owner = mark.description();
    let names = PolicyNames { owner: &owner, engine };
    let jobs = merged.grants.iter();
    let jobs = jobs.flat_map(|(issuer, grants)| policy_texts(grants, &pipelines::policies(issuer), &names));
    jobs.chain(merged.users.texts(&owner, engine)).collect()
}

/// Names of the additional issuers in the spec and in the last record.
fn known_issuers<'a>(project: &'a SecretsProject, written: Option<&'a Provisioned>) -> BTreeSet<&'a str> {
    let recorded = written.into_iter().flat_map(|written| written.additional_issuers.keys());
    let stated = project.spec.additional_issuers.iter().map(|it| &it.name);
    stated.chain(recorded).map(String::as_str).collect()
}

/// The record of the additional issuers after the removal, for those in the spec. A mount that trusts another issuer did not
/// change.
fn additional_now(
    project: &SecretsProject,
    references: &References,
    written: Option<&Provisioned>,
) -> BTreeMap<String, ProvisionedIssuer> {
    let recorded = written.into_iter().flat_map(|written| &written.additional_issuers);
    let is_stated = |name: &str| project.spec.additional_issuers.iter().any(|it| it.name == name);
    let mut now: BTreeMap<_, _> = recorded
        .filter(|(name, _)| is_stated(name))
        .map(|(name, recorded)| (name.clone(), recorded.clone()))
        .collect();
    for additional in references.additional.iter().filter(|it| trusts(it, written)) {
        if let Some(recorded) = now.get_mut(&additional.spec.name) {
            recorded.key_removals = additional_removals(additional, written).now;
        }
    }
    now
}

/// Returns true if the mount of an additional issuer trusts the issuer in the spec.
fn trusts(additional: &Additional, written: Option<&Provisioned>) -> bool {
    let recorded = written.and_then(|written| written.additional_issuers.get(&additional.spec.name));
    let trusted = recorded.and_then(|recorded| recorded.issuer_ref.as_ref());
    trusted.is_some_and(|trusted| *trusted == reference_to(&*additional.issuer))
}

/// An auth mount, the issuer that it trusts, and the keys that this issuer has removed.
type Trusted<'a> = (String, &'a JWTIssuer, KeyRemovals);

fn trusted<'a>(references: &'a References, written: Option<&Provisioned>) -> Vec<Trusted<'a>> {
    let own = trusted_removals(references, written).into_iter().flat_map(|removals| {
        let mounts = [PIPELINE_MOUNT, USER_MOUNT, API_MOUNT];
        mounts.map(|mount| (mount.to_owned(), &*references.issuer, removals))
    });
    let additional = references.additional.iter().filter(|it| trusts(it, written));
    let additional =
        additional.map(|it| (additional_mount(&it.spec.name), &*it.issuer, additional_removals(it, written)));
    own.chain(additional).collect()
}

/// The namespace of a project.
struct Inside<'a> {
    session: Session,
    mark: &'a Mark,
}

impl Inside<'_> {
    /// Writes that remove access. They add nothing.
    async fn writes(
        &self,
        (references, known): (&References, &BTreeSet<&str>),
        trusted: &[Trusted<'_>],
        (granted, namespace): (&Granted<'_>, &NamespacePath),
    ) -> Result<Vec<Write>, Error> {
        let mounts = self.session.auth_mounts().await?;
        let additional: BTreeSet<&str> =
            additional_issuers(mounts.keys()).chain(known.iter().copied()).collect();
        let additional = additional.into_iter().map(additional_policies);
        let prefixes = [PIPELINE_POLICIES, USER_POLICIES, API_POLICIES].map(str::to_owned);
        let mut writes = Vec::new();
        for prefix in prefixes.into_iter().chain(additional) {
            writes.extend(granted.writes(namespace, &access_policies(&self.session, &prefix).await?));
        }
        for (path, issuer, removals) in trusted.iter().filter(|(path, ..)| self.owns(&mounts, path)) {
            let narrowed = self.narrowed(path, issuer, *removals).await?;
            writes.extend(narrowed.write(namespace, path));
        }
        let unusable = references.unusable.iter().filter(|it| !it.keeps_mount);
        let unusable = unusable.map(|it| additional_mount(&it.name));
        let unusable = unusable.filter(|path| self.owns(&mounts, path));
        writes.extend(unusable.map(|path| Write::delete(namespace, auth_path(&path), WITHDRAWN)));
        Ok(writes)
    }

    fn owns(&self, mounts: &BTreeMap<String, AuthMount>, path: &str) -> bool {
        let mount = mounts.get(&format!("{path}/"));
        mount.is_some_and(|mount| Mark::read(&mount.description).as_ref() == Some(self.mark))
    }

    /// The configuration of a mount without withdrawn keys of its issuer.
    async fn narrowed(
        &self,
        mount: &str,
        issuer: &JWTIssuer,
        removals: KeyRemovals,
    ) -> Result<Narrowed, Error> {
        if issuer.spec.public_keys.is_none() && removals.now == removals.written {
            return Ok(Narrowed::Same);
        }
        let config = self.session.jwt_config(mount).await?;
        Ok(config.map_or(Narrowed::Same, |config| Narrowed::of(&config, issuer, removals)))
    }
}

/// A disabled or blocked tenant withdraws all access. `enabled: false` of the project itself follows the mode of the project.
fn is_disabled(references: &References) -> bool {
    !references.tenant.spec.gives_access()
}

fn engine(project: &SecretsProject) -> String {
    layout::engine(project.spec.engines.first().cloned().unwrap_or_default().name)
}

/// Key removals of the issuer. None while the mounts trust the keys of another issuer.
fn trusted_removals(references: &References, written: Option<&Provisioned>) -> Option<KeyRemovals> {
    let trusted = written.and_then(|written| written.issuer_ref.as_ref());
    let is_other = trusted.is_some_and(|trusted| *trusted != reference_to(&*references.issuer));
    (!is_other).then(|| key_removals(references, written))
}

#[cfg(test)]
mod tests;
