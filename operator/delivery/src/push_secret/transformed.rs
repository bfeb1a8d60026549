//! The transformation of the keys of a Secret before they are pushed.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use secrecy::ExposeSecret;
use steamer_api::{BaoPushSecret, Transformation};
use steamer_core::{Context, Error};
use steamer_openbao::{Json, Values};
use steamer_runtime::Dependencies;

use crate::engine::{Definition, Document, Program, Rendered, Subject, rendered, resolved};

/// Field of the transformation, in messages.
const FIELD: &str = "transformation";

/// The Secret with the keys and values that the transformation of an object makes.
///
/// # Errors
/// [`Error::Invalid`] names the template and the position, and contains no value.
pub(super) async fn transformed(
    context: &Context,
    dependencies: &Dependencies,
    object: &BaoPushSecret,
    secret: Arc<Secret>,
) -> Result<Arc<Secret>, Error> {
    let Some(transformation) = &object.spec.transformation else {
        return Ok(secret);
    };
    let namespace = object.namespace().unwrap_or_default();
    let definition =
        resolved(defined(transformation)?, transformation, (&context.stores, dependencies, &namespace))?;
    let subject = Subject::new(object.uid().unwrap_or_default(), object.labels(), object.annotations());
    let rendered = rendered(Program::parse(&definition)?, vec![document(&secret)], subject).await?;
    Ok(Arc::new(filled(&secret, rendered)))
}

/// Admission makes the check, too.
pub(super) fn defined(transformation: &Transformation) -> Result<Definition, Error> {
    let definition = Definition::inline(transformation, FIELD);
    if definition.has_metadata() {
        return Err(Error::Invalid(
            "labels and annotations of transformation have no effect: OpenBao has none; remove them"
                .to_owned(),
        ));
    }
    Ok(definition)
}

/// The keys of a Secret as templates read them. Bytes that are no text stay in Base64 there.
pub(super) fn document(secret: &Secret) -> Document {
    let value = |bytes: &ByteString| match std::str::from_utf8(&bytes.0) {
        Ok(text) => Json::string(text),
        Err(_) => Json::string(&STANDARD.encode(&bytes.0)).with_bytes(bytes.0.clone().into()),
    };
    let data = secret.data.iter().flatten();
    Document {
        values: Values(data.map(|(key, bytes)| (key.clone(), value(bytes))).collect()),
        ..Document::default()
    }
}

/// The Secret with other data.
pub(super) fn filled(secret: &Secret, rendered: Rendered) -> Secret {
    let bytes = |value: &[u8]| ByteString(value.to_vec());
    let data: BTreeMap<String, ByteString> =
        rendered.data.iter().map(|(key, value)| (key.clone(), bytes(value.expose_secret()))).collect();
    Secret { data: Some(data), ..secret.clone() }
}
