//! Objects named `default`, which other objects use without a reference.

use std::sync::Arc;

use steamer_api::Referable;
use steamer_runtime::{Dependencies, ObjectName};

use crate::context::Context;
use crate::error::Error;
use crate::stores::Stores;

/// Name of the object that is used without a reference.
const DEFAULT: &str = "default";

/// Lookup of defaults.
pub(super) struct Defaults<'a> {
    pub(super) stores: &'a Stores,
    /// Namespace of the operator.
    pub(super) operator: &'a str,
    pub(super) dependencies: &'a Dependencies,
}

impl<'a> Defaults<'a> {
    pub(super) fn new(context: &'a Context, dependencies: &'a Dependencies) -> Self {
        Self { stores: &context.stores, operator: &context.operator.namespace, dependencies }
    }

    /// The object `default` of namespace `own`, or else that of the operator's namespace, for an object of namespace
    /// `from`.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Denied`].
    pub(super) fn of<K: Referable>(&self, own: &str, from: &str) -> Result<Arc<K>, Error> {
        let named = |namespace: &str| {
            self.stores.named(self.dependencies, &ObjectName::new(namespace, DEFAULT), from)
        };
        match named(own) {
            Err(Error::NotFound { .. }) => named(self.operator),
            found => found,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use steamer_api::BaoAuth;
    use steamer_runtime::Index;

    use super::*;

    #[rstest]
    #[case::own(&[("web", "Same"), ("steamer", "All")], "web/default")]
    #[case::of_the_operator(&[("steamer", "All"), ("other", "All")], "steamer/default")]
    #[case::of_the_operator_without_consent(&[("steamer", "Same")], "denied")]
    #[case::none(&[("other", "All")], "not found")]
    fn an_object_without_a_reference_uses_the_default_of_its_namespace_or_of_the_operator(
        #[case] objects: &[(&str, &str)],
        #[case] expected: &str,
    ) {
        let (stores, index) = (Stores::default(), Arc::<Index>::default());
        let store = stores.of::<BaoAuth>();
        for namespace in ["web", "steamer", "other"] {
            store.listed(Some(namespace), 0);
        }
        for (namespace, from) in objects {
            let spec = serde_json::from_value(json!({"allowedNamespaces": {"from": from}})).unwrap();
            let mut auth = BaoAuth::new(DEFAULT, spec);
            auth.metadata.namespace = Some((*namespace).to_owned());
            store.insert(ObjectName::new(*namespace, DEFAULT), Arc::new(auth));
        }
        let dependencies = index.pass("test", ObjectName::new("web", "app"));
        let defaults = Defaults { stores: &stores, operator: "steamer", dependencies: &dependencies };
        let found = match defaults.of::<BaoAuth>("web", "web") {
            Ok(auth) => ObjectName::of(&*auth).to_string(),
            Err(Error::NotFound { .. }) => "not found".to_owned(),
            Err(Error::Denied { .. }) => "denied".to_owned(),
            Err(_) => "another error".to_owned(),
        };
        assert_eq!(found, expected);
    }
}
