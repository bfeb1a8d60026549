//! The sources that a spec describes.

use steamer_api::{BaoStaticSecretSpec, Decoding, SecretSource, rules};
use steamer_core::Error;

use super::part::Part;

/// The sources of a spec: its own path, or `sources`.
pub(super) fn sources(spec: &BaoStaticSecretSpec) -> Vec<SecretSource> {
    let BaoStaticSecretSpec { mount: Some(mount), path: Some(path), type_: Some(type_), version, .. } = spec
    else {
        return spec.sources.clone();
    };
    let (mount, path) = (mount.clone(), path.clone());
    vec![SecretSource {
        mount,
        path: Some(path),
        find: None,
        type_: *type_,
        version: *version,
        prefix: None,
        keys: Vec::new(),
        decode: Decoding::None,
        rewrite: Vec::new(),
    }]
}

/// Checks a source. Admission makes the checks, too.
pub(super) fn validate(source: &SecretSource) -> Result<(), Error> {
    let SecretSource { mount, path, find, .. } = source;
    if rules::is_no_engine_mount(mount) {
        return Err(Error::Invalid(format!(
            "mount `{mount}` is not the path of a KV engine: correct spec.mount"
        )));
    }
    let folder = find.as_ref().and_then(|find| find.path.as_ref());
    if let Some(path) = path.iter().chain(folder).find(|path| rules::is_no_secret_path(path)) {
        return Err(Error::Invalid(format!(
            "path `{path}` has an empty segment, . or .. as a segment, or control characters: correct spec.path"
        )));
    }
    if path.is_none() && find.is_none() {
        return Err(Error::Invalid("a source has neither path nor find: add one of them".to_owned()));
    }
    Part::check(source)
}
