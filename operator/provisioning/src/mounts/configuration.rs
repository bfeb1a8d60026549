//! Configuration of the plugin of a mount, from typed fields, free parameters, and Secrets.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Map, Value};
use steamer_api::{Parameters, SecretParameters, SecretValueReference};
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

use crate::general::{Found, Resource, repeated};

/// Parameters that are secret in every plugin of OpenBao.
const SECRETS: [&str; 6] = [
    "bindpass",
    "client_secret",
    "oidc_client_secret",
    "password",
    "service_account_jwt",
    "token_reviewer_jwt",
];

/// Parameters of a request, and the Secrets that contain further ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Configuration {
    /// Parameters that are not secret.
    pub(crate) parameters: Map<String, Value>,
    /// Secret parameters.
    pub(crate) secrets: SecretParameters,
}

impl Configuration {
    /// Adds a secret parameter, if the spec states it.
    pub(crate) fn with_secret(mut self, name: &str, reference: Option<&SecretValueReference>) -> Self {
        self.secrets.extend(reference.map(|reference| (name.to_owned(), reference.clone())));
        self
    }

    /// Adds the free parameters of a spec.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a parameter that is stated twice, and for a secret among the parameters.
    pub(crate) fn joined(mut self, free: &Parameters, secrets: &SecretParameters) -> Result<Self, Error> {
        for (name, value) in &free.0 {
            self.refuse_repeated("parameters", name)?;
            refuse_secret(name)?;
            self.parameters.insert(name.clone(), value.clone());
        }
        for (name, reference) in secrets {
            self.refuse_repeated("secretParameters", name)?;
            self.secrets.insert(name.clone(), reference.clone());
        }
        Ok(self)
    }

    fn refuse_repeated(&self, field: &str, name: &str) -> Result<(), Error> {
        if self.parameters.contains_key(name) || self.secrets.contains_key(name) {
            return Err(repeated(field, name));
        }
        Ok(())
    }

    /// Returns true if the spec states no parameter.
    pub(crate) fn is_empty(&self) -> bool {
        self.parameters.is_empty() && self.secrets.is_empty()
    }

    /// The configuration at a path, as a part of a mount, with the values of its Secrets. `owner` is the object that
    /// refers to them.
    ///
    /// # Errors
    /// Any error of a Secret.
    pub(crate) async fn resource(
        self,
        path: String,
        owner: &ObjectName,
        found: &Found<'_>,
    ) -> Result<Resource, Error> {
        let resource = Resource::at(format!("configuration {path}"), path, self.parameters);
        let mut resource = Resource { deleted_at: None, ..resource };
        resource.body.secrets = resolved(&self.secrets, owner, found).await?;
        Ok(resource)
    }
}

/// The values of secret parameters. `owner` is the object that refers to their Secrets.
///
/// # Errors
/// Any error of a Secret.
pub(crate) async fn resolved(
    secrets: &SecretParameters,
    owner: &ObjectName,
    found: &Found<'_>,
) -> Result<BTreeMap<String, SecretString>, Error> {
    let mut values = BTreeMap::new();
    for (name, reference) in secrets {
        values.insert(name.clone(), found.secret(owner, reference).await?);
    }
    Ok(values)
}

fn refuse_secret(name: &str) -> Result<(), Error> {
    if SECRETS.contains(&name) {
        return Err(Error::Invalid(format!(
            "parameters.{name} is a secret: write it to a Secret, and name the Secret in secretParameters.{name}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn secrets(names: &[&str]) -> SecretParameters {
        let reference = SecretValueReference { name: "s".to_owned(), key: "k".to_owned() };
        names.iter().map(|name| ((*name).to_owned(), reference.clone())).collect()
    }

    fn parameters(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[rstest]
    #[case::different(json!({"c": 1}), &["d"], None)]
    #[case::typed(json!({"a": 1}), &[], Some("parameters.a repeats"))]
    #[case::typed_secret(json!({"b": 1}), &[], Some("parameters.b repeats"))]
    #[case::secret(json!({"password": "x"}), &[], Some("parameters.password is a secret"))]
    #[case::secret_and_typed(json!({}), &["a"], Some("secretParameters.a repeats"))]
    #[case::secret_and_typed_secret(json!({}), &["b"], Some("secretParameters.b repeats"))]
    #[case::secret_and_free(json!({"c": 1}), &["c"], Some("secretParameters.c repeats"))]
    fn a_parameter_that_is_stated_twice_is_refused(
        #[case] free: Value,
        #[case] secret: &[&str],
        #[case] expected: Option<&str>,
    ) {
        let typed = Configuration { parameters: parameters(json!({"a": 1})), secrets: secrets(&["b"]) };
        let joined = typed.joined(&Parameters(parameters(free)), &secrets(secret));
        let refused = joined.as_ref().err().map(ToString::to_string);
        assert_eq!(refused.is_some(), expected.is_some());
        assert!(refused.unwrap_or_default().starts_with(expected.unwrap_or_default()));
        if let Ok(joined) = joined {
            assert_eq!(joined.parameters.keys().collect::<Vec<_>>(), ["a", "c"]);
            assert_eq!(joined.secrets.keys().collect::<Vec<_>>(), ["b", "d"]);
        }
    }
}
