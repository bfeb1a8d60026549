//! The settings of a BaoAuth together with those of its BaoAuthGlobal.

use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{AuthGlobalReference, BaoAuth, BaoAuthGlobal, BaoAuthSpec, MergeStrategy};
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
    /// Namespace of the BaoAuthGlobal.
    global_from: Option<String>,
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
            return Ok(Self { spec: own.clone(), name, server_from, global_from: None, requested });
        };
        let global = global_of(&Defaults::new(context, dependencies), reference, &name.namespace)?;
        let states_server = own.connection_ref.is_some() || own.cluster_ref.is_some();
        let from_global = global.namespace().unwrap_or_default();
        let mut own = own.clone();
        if states_server && from_global != name.namespace {
            keep_entries(&mut own);
        }
        let server_from = if states_server { name.namespace.clone() } else { from_global.clone() };
        Ok(Self {
            spec: merged(&own, &global.spec),
            name,
            server_from,
            global_from: Some(from_global),
            requested,
        })
    }

    /// Whether all objects that state the settings are in a namespace.
    pub(super) fn is_within(&self, namespace: &str) -> bool {
        self.is_of(&[namespace])
    }

    /// Whether each object that states the settings is in one of the namespaces.
    pub(super) fn is_of(&self, namespaces: &[&str]) -> bool {
        let is_in = |namespace: &str| namespaces.contains(&namespace);
        is_in(&self.name.namespace) && self.global_from.as_deref().is_none_or(is_in)
    }
}

/// Takes no headers and parameters of a BaoAuthGlobal: they can be credentials, and the BaoAuth chooses another server.
fn keep_entries(own: &mut BaoAuthSpec) {
    if let Some(reference) = &mut own.auth_global_ref {
        reference.merge_strategy.headers = MergeStrategy::None;
        reference.merge_strategy.params = MergeStrategy::None;
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

    #[test]
    fn a_server_of_the_author_gets_no_headers_and_parameters_of_another_namespace() {
        let reference = json!({"name": "a", "mergeStrategy": {"headers": "Union", "params": "Replace"}});
        let mut own: BaoAuthSpec = serde_json::from_value(json!({"authGlobalRef": reference})).unwrap();
        let global = json!({"headers": {"X-Gateway": "s"}, "params": {"a": "s"}, "defaultAuthMethod": "JWT"});
        let global = serde_json::from_value(global).unwrap();
        let count =
            |own: &BaoAuthSpec| merged(own, &global).headers.len() + merged(own, &global).params.len();
        assert_eq!(count(&own), 2);
        keep_entries(&mut own);
        assert_eq!(count(&own), 0);
    }

    #[rstest]
    #[case::own("web", None, true, true)]
    #[case::operator("steamer", Some("steamer"), true, false)]
    #[case::global_of_the_operator("web", Some("steamer"), true, false)]
    #[case::other("shared", None, false, false)]
    #[case::global_of_another_namespace("web", Some("shared"), false, false)]
    fn all_authors_of_settings_count(
        #[case] auth: &str,
        #[case] global: Option<&str>,
        #[case] is_of: bool,
        #[case] is_within: bool,
    ) {
        let auth = Effective {
            spec: serde_json::from_value(json!({})).unwrap(),
            name: ObjectName::new(auth, "auth"),
            server_from: auth.to_owned(),
            global_from: global.map(str::to_owned),
            requested: String::new(),
        };
        assert_eq!((auth.is_of(&["web", "steamer"]), auth.is_within("web")), (is_of, is_within));
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
