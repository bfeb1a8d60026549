//! Computes the desired state of a secret. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt;
use secrecy::ExposeSecret;
use steamer_api::{ManagedSecret, ROTATE_ANNOTATION, RotationMode, Scope, SecretsProject, ValueFrom};
use steamer_core::Error;
use steamer_core::digest::digest;
use steamer_openbao::{Json, Values};
use steamer_runtime::ObjectName;

use super::change::{FIELD, Written};
use super::course::course;
use super::desired::Desired;
use super::fetch::{Found, Sealed};
use super::keys::described;
use super::wanted::{Rotation, Source, Wanted};
use crate::engine::Setting;

/// Computes the desired state.
///
/// # Errors
/// [`Error::Invalid`] for a mistake in the spec. Any error of the source of the value, if it is needed.
pub(super) fn validate(
    secret: &ManagedSecret,
    found: Found,
    setting: &Setting<'_>,
) -> Result<Desired, Error> {
    let Found { project, place, root, value, entry, withheld, last_version, handled } = found;
    check_scope(secret, &project)?;
    check_limit(secret, &project)?;
    let now = setting.now;
    let expires_at = secret.spec.expires_at.as_ref().map(|at| at.0);
    let rotation = rotation(secret);
    let wanted = Wanted {
        described: described(&secret.spec, setting.mark),
        source: source(secret, value, now)?,
        rollback_to: secret.spec.rollback_to,
        expires_at,
        max_versions: secret.spec.max_versions.unwrap_or_default(),
        rotation,
        request: secret.annotations().get(ROTATE_ANNOTATION).map(|it| digest(it.as_bytes())),
        handled,
        had_value: last_version.is_some(),
    };
    let course = course(&wanted, &entry.clone().unwrap_or_default(), now)?;
    let (remedy, written) = (remedy(secret), Written::default());
    Ok(Desired { place, root, entry, course, withheld, remedy, expires_at, rotation, now, written })
}

/// Refuses a number of versions that has no effect: OpenBao keeps at least as many as its engine states.
fn check_limit(secret: &ManagedSecret, project: &SecretsProject) -> Result<(), Error> {
    let limit = project.spec.engines.first().map(|engine| engine.max_versions).unwrap_or_default();
    if secret.spec.max_versions.is_none_or(|number| number >= limit) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "maxVersions is below the {limit} versions that the engine of SecretsProject {} keeps: set it to {limit} or more, or remove \
         it",
        ObjectName::of(project)
    )))
}

/// What a person does to rotate the value.
fn remedy(secret: &ManagedSecret) -> String {
    match &secret.spec.value_from {
        Some(ValueFrom { secret_key_ref: Some(reference), .. }) => {
            format!("change key `{}` of Secret `{}`", reference.key, reference.name)
        }
        Some(ValueFrom { generate: Some(_), .. }) => {
            format!("change the annotation {ROTATE_ANNOTATION} to generate another value")
        }
        _ => "write another value".to_owned(),
    }
}

/// Refuses metadata that GitLab Secrets Manager does not have in the scope of the project.
fn check_scope(secret: &ManagedSecret, project: &SecretsProject) -> Result<(), Error> {
    let name = ObjectName::of(project);
    let text = match project.spec.scope {
        Scope::Group if secret.spec.branch.is_some() => "Group, whose secrets have no branch: use protected",
        Scope::Project if secret.spec.protected.is_some() => {
            "Project, whose secrets do not have protected: use branch"
        }
        Scope::Group | Scope::Project => return Ok(()),
    };
    Err(Error::Invalid(format!("SecretsProject {name} has scope: {text}")))
}

/// The source that the value follows now. A Secret that is missing delays no expiration and no rollback.
fn source(
    secret: &ManagedSecret,
    value: Option<Result<Sealed, Error>>,
    now: Timestamp,
) -> Result<Source, Error> {
    let is_expired = secret.spec.expires_at.as_ref().is_some_and(|at| at.0 <= now);
    if is_expired || secret.spec.rollback_to.is_some() {
        return Ok(Source::Kept);
    }
    if let Some(Sealed { value, digest }) = value.transpose()? {
        let values = Values(BTreeMap::from([(FIELD.to_owned(), Json::string(value.expose_secret()))]));
        return Ok(Source::Secret { values, origin: format!("secret:{digest}") });
    }
    let generator = secret.spec.value_from.as_ref().and_then(|ValueFrom { generate, .. }| generate.clone());
    match generator {
        Some(generator) if generator.password_policy.is_some() => Err(Error::Invalid(
            "generate.passwordPolicy is not supported in a ManagedSecret: use password".to_owned(),
        )),
        Some(generator) => Ok(Source::Generated(generator)),
        None => Ok(Source::Person),
    }
}

fn rotation(secret: &ManagedSecret) -> Option<Rotation> {
    let rotation = secret.spec.rotation.as_ref()?;
    Some(Rotation {
        interval: rotation.interval.get(),
        regenerates: rotation.mode == RotationMode::Regenerate,
        destroys_previous: rotation.destroy_previous,
    })
}
