//! Checks of the destination. Admission makes them too; here they protect against objects that were admitted before, and
//! against a schema that was changed.

use steamer_api::{Destination, Transformation, rules};
use steamer_core::Error;

/// Refuses a Secret on which Kubernetes, Helm or Steamer would act.
///
/// # Errors
/// [`Error::Invalid`] states what to change.
pub(super) fn validate(destination: &Destination) -> Result<(), Error> {
    if let Some(type_) = destination.type_.as_deref().filter(|type_| rules::is_reserved_type(type_)) {
        return Err(Error::Invalid(format!(
            "Kubernetes or Helm act on Secrets of type {type_}: choose another destination.type"
        )));
    }
    for (field, map) in [("labels", &destination.labels), ("annotations", &destination.annotations)] {
        if let Some(key) = rules::reserved_key(map) {
            return Err(Error::Invalid(format!(
                "`{key}` is reserved for Kubernetes or Steamer: remove it from destination.{field}"
            )));
        }
    }
    destination
        .transformation
        .as_ref()
        .map_or(Ok(()), |transformation| templated(destination, transformation))
}

/// Checks the keys of labels and annotations of templates.
fn templated(destination: &Destination, transformation: &Transformation) -> Result<(), Error> {
    let labels = ("labels", &transformation.labels, &destination.labels);
    let annotations = ("annotations", &transformation.annotations, &destination.annotations);
    for (field, templates, fixed) in [labels, annotations] {
        if let Some(key) = rules::reserved_key(templates) {
            return Err(Error::Invalid(format!(
                "`{key}` is reserved for Kubernetes or Steamer: remove it from destination.transformation.{field}"
            )));
        }
        if let Some(key) = templates.keys().find(|key| fixed.contains_key(*key)) {
            return Err(Error::Invalid(format!(
                "destination.{field} and destination.transformation.{field} both set `{key}`: remove it from one of them"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case(json!({"type": "kubernetes.io/tls", "labels": {"app.kubernetes.io/name": "web"}}), None)]
    #[case(json!({"type": "kubernetes.io/service-account-token"}), Some("destination.type"))]
    #[case(json!({"type": "bootstrap.kubernetes.io/token"}), Some("destination.type"))]
    #[case(json!({"type": "helm.sh/release.v1"}), Some("destination.type"))]
    #[case(json!({"labels": {"steamer.dev/cluster": "main"}}), Some("destination.labels"))]
    #[case(json!({"annotations": {"kubernetes.io/service-account.name": "admin"}}), Some("destination.annotations"))]
    #[case(json!({"transformation": {"labels": {"team": "{{ .Secrets.team }}"}}}), None)]
    #[case(json!({"transformation": {"labels": {"steamer.dev/cluster": "main"}}}), Some("destination.transformation.labels"))]
    #[case(json!({"annotations": {"a": "b"}, "transformation": {"annotations": {"a": "c"}}}), Some("both set `a`"))]
    fn a_destination_on_which_controllers_act_is_refused(
        #[case] changes: Value,
        #[case] field: Option<&str>,
    ) {
        let mut destination = json!({"name": "app", "create": true});
        for (key, value) in changes.as_object().unwrap() {
            destination[key] = value.clone();
        }
        let refused =
            validate(&serde_json::from_value(destination).unwrap()).err().map(|error| error.to_string());
        assert_eq!(refused.is_some(), field.is_some());
        assert!(refused.unwrap_or_default().contains(field.unwrap_or_default()));
    }
}
