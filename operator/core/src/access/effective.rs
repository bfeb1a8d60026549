//! The settings of a BaoAuth together with those of its BaoAuthGlobal.

use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{AuthGlobalReference, BaoAuth, BaoAuthGlobal, BaoAuthSpec};
use steamer_runtime::{Dependencies, ObjectName};

use super::defaults::Defaults;
use super::merge::merged;
use crate::context::Context;
use crate::error::Error;

/// The settings of a login.
pub(super) struct Effective {
    /// The spec, with the defaults of the BaoAuthGlobal.
    pub(super) spec: BaoAuthSpec,
    /// The BaoAuth.
    pub(super) name: ObjectName,
    /// Namespace of the object that states the server. References to servers are checked for it.
    pub(super) server_from: String,
    /// Value of the annotation that requests a reconcile: with another value, a refused credential is tried again.
    pub(super) requested: String,
}

impl Effective {
    /// The settings of a BaoAuth.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::Denied`] for the BaoAuthGlobal.
    pub(super) fn of(context: &Context, dependencies: &Dependencies, auth: &BaoAuth) -> Result<Self, Error> {
        let name = ObjectName::of(auth);
        let requested =
            auth.annotations().get(steamer_api::RECONCILE_ANNOTATION).cloned().unwrap_or_default();
        let own = &auth.spec;
        let Some(reference) = &own.auth_global_ref else {
            let server_from = name.namespace.clone();
            return Ok(Self { spec: own.clone(), name, server_from, requested });
        };
        let global = global_of(&Defaults::new(context, dependencies), reference, &name.namespace)?;
        let states_server = own.connection_ref.is_some() || own.cluster_ref.is_some();
        let from_global = global.namespace().unwrap_or_default();
        let server_from = if states_server { name.namespace.clone() } else { from_global };
        Ok(Self { spec: merged(own, &global.spec), name, server_from, requested })
    }
}

/// The BaoAuthGlobal that a BaoAuth in `namespace` refers to.
fn global_of(
    defaults: &Defaults<'_>,
    reference: &AuthGlobalReference,
    namespace: &str,
) -> Result<Arc<BaoAuthGlobal>, Error> {
    let own = reference.namespace.as_deref().unwrap_or(namespace);
    match &reference.name {
        Some(name) => defaults.stores.named(defaults.dependencies, &ObjectName::new(own, name), namespace),
        None if reference.allow_default => defaults.of(own, namespace),
        None => Err(Error::Invalid("authGlobalRef requires name, or allowDefault: true".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};
    use steamer_runtime::Index;

    use super::*;
    use crate::stores::Stores;

    const OBJECTS: [(&str, &str, &str); 5] = [
        ("web", "own", "Same"),
        ("shared", "default", "All"),
        ("shared", "closed", "Same"),
        ("steamer", "default", "All"),
        ("private", "default", "Same"),
    ];

    fn stores() -> Stores {
        let stores = Stores::default();
        let store = stores.of::<BaoAuthGlobal>();
        for namespace in ["web", "shared", "steamer", "private", "empty"] {
            store.listed(Some(namespace), 0);
        }
        for (namespace, name, from) in OBJECTS {
            let spec = serde_json::from_value(json!({"allowedNamespaces": {"from": from}})).unwrap();
            let mut global = BaoAuthGlobal::new(name, spec);
            global.metadata.namespace = Some(namespace.to_owned());
            store.insert(ObjectName::new(namespace, name), Arc::new(global));
        }
        stores
    }

    #[rstest]
    #[case::by_name(json!({"name": "own"}), "steamer", "web/own")]
    #[case::in_another_namespace(json!({"name": "default", "namespace": "shared"}), "steamer", "shared/default")]
    #[case::missing(json!({"name": "none"}), "steamer", "not found")]
    #[case::not_allowed(json!({"name": "closed", "namespace": "shared"}), "steamer", "denied")]
    #[case::default_of_the_namespace(json!({"namespace": "shared", "allowDefault": true}), "steamer", "shared/default")]
    #[case::default_of_the_operator(json!({"allowDefault": true}), "steamer", "steamer/default")]
    #[case::default_of_the_operator_for_an_empty_namespace(
        json!({"namespace": "empty", "allowDefault": true}), "steamer", "steamer/default"
    )]
    #[case::default_that_is_not_allowed(json!({"namespace": "private", "allowDefault": true}), "steamer", "denied")]
    #[case::no_default(json!({"allowDefault": true}), "empty", "not found")]
    #[case::no_default_anywhere(json!({"namespace": "empty", "allowDefault": true}), "empty", "not found")]
    #[case::defaults_are_not_wanted(json!({}), "steamer", "invalid")]
    fn the_global_of_an_auth_is_found(
        #[case] reference: Value,
        #[case] operator: &str,
        #[case] expected: &str,
    ) {
        let (stores, index) = (stores(), Arc::<Index>::default());
        let dependencies = index.pass("test", ObjectName::new("web", "auth"));
        let defaults = Defaults { stores: &stores, operator, dependencies: &dependencies };
        let reference = serde_json::from_value(reference).unwrap();
        let found = match global_of(&defaults, &reference, "web") {
            Ok(global) => ObjectName::of(&*global).to_string(),
            Err(Error::NotFound { .. }) => "not found".to_owned(),
            Err(Error::Denied { .. }) => "denied".to_owned(),
            Err(_) => "invalid".to_owned(),
        };
        assert_eq!(found, expected);
    }
}
