//! Access of a project that other objects no longer grant. It is removed in every mode; nothing is added.

mod keys;
mod rules;

use jiff::Timestamp;
use steamer_api::{JWTIssuer, Provisioned, SecretsProject};
use steamer_core::error::Error;
use steamer_core::layout::{self, PIPELINE_MOUNT, PIPELINE_POLICIES};
use steamer_core::ownership::Mark;
use steamer_core::ownership::removal::owns_namespace;
use steamer_openbao::Session;

use super::contributions::{Merged, merged};
use super::desired::KeyRemovals;
use super::fetch::{References, policies};
use super::pipelines::{PolicyNames, policy_texts};
use super::validate::{key_removals, reference_to};
use crate::engine::{Provision, Removal};
use crate::pipeline_policy::in_force::Contributions;
use crate::write;
use keys::Narrowed;
use rules::Granted;

/// Access that was removed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Withdrawn {
    /// All access, because the tenant is disabled.
    All,
    /// The access that no object grants any more.
    Part {
        /// PipelinePolicies that grant nothing any more.
        ended: Contributions,
        /// `keyRemovals` of the issuer that the pipeline mount reflects. None: the mount trusts another issuer.
        key_removals: Option<i64>,
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
    let Merged { grants, contributions, .. } =
        merged(&policies(project, &removal.lookup())?, Timestamp::now());
    let mark = removal.owned().mark;
    let (owner, engine) = (mark.description(), engine(project));
    let texts = policy_texts(&grants, &PolicyNames { owner: &owner, engine: &engine });
    let written = project.status.as_ref().and_then(|status| status.provisioned.as_ref());
    let policies_written = written.map(|written| written.policies.as_slice()).unwrap_or_default();
    let removals = trusted_removals(references, written);
    let session = removal.session().await?;
    if owns_namespace(&session, removal.namespace(), mark).await? {
        let inside = session.within(removal.namespace().as_str());
        let observed = inside.policies_below(PIPELINE_POLICIES).await?;
        let granted = Granted { texts: &texts, mark, policies_written };
        let mut writes = granted.writes(removal.namespace(), &observed);
        let narrowed = narrowed(&inside, &references.issuer, removals, mark).await?;
        writes.extend(narrowed.write(removal.namespace()));
        write::execute(&session, &writes, |_| {}).await?;
    }
    Ok(Withdrawn::Part { ended: contributions.ended(), key_removals: removals.map(|it| it.now) })
}

/// A disabled tenant withdraws all access. `enabled: false` of the project itself follows the mode of the project.
fn is_disabled(references: &References) -> bool {
    !references.tenant.spec.enabled
}

fn engine(project: &SecretsProject) -> String {
    layout::engine(project.spec.engines.first().cloned().unwrap_or_default().name)
}

/// Key removals of the issuer. None while the mount trusts the keys of another issuer.
fn trusted_removals(references: &References, written: Option<&Provisioned>) -> Option<KeyRemovals> {
    let trusted = written.and_then(|written| written.issuer_ref.as_ref());
    let is_other = trusted.is_some_and(|trusted| *trusted != reference_to(&*references.issuer));
    (!is_other).then(|| key_removals(references, written))
}

/// The configuration of the pipeline mount without withdrawn keys of the issuer.
async fn narrowed(
    inside: &Session,
    issuer: &JWTIssuer,
    removals: Option<KeyRemovals>,
    mark: &Mark,
) -> Result<Narrowed, Error> {
    let Some(removals) = removals else { return Ok(Narrowed::Same) };
    if issuer.spec.public_keys.is_none() && removals.now == removals.written {
        return Ok(Narrowed::Same);
    }
    let mount = inside.auth_mount(PIPELINE_MOUNT).await?;
    if !mount.is_some_and(|mount| Mark::read(&mount.description).as_ref() == Some(mark)) {
        return Ok(Narrowed::Same);
    }
    let config = inside.jwt_config(PIPELINE_MOUNT).await?;
    Ok(config.map_or(Narrowed::Same, |config| Narrowed::of(&config, issuer, removals)))
}

#[cfg(test)]
mod tests;
