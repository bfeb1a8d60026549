//! BaoNamespace: a namespace that no tenant owns.

mod dependents;
mod key_shares;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use kube::ResourceExt;
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{
    Adopt, BaoNamespace, BaoNamespaceStatus, DeletionPolicy, KeySharesOrigin, NamespaceSeal, rules,
};
use steamer_core::error::Error;
use steamer_core::layout;
use steamer_core::ownership::removal::deleting;
use steamer_openbao::{Error as OpenBao, NamespaceDeletion, NamespacePath, Session};

use crate::engine::Lookup;
use crate::general::{Found, General, Resource, Site, typed};
use key_shares::KeyShares;

const PATHS: &str = "sys/namespaces/";
/// Time until a missing parent is looked for again.
const MISSING_PARENT: Duration = Duration::from_secs(10);
/// Fact of a namespace with a seal.
const SEALED: &str = "sealed";
/// Fact of a namespace with a seal that someone else created.
const ADOPTED: &str = "adopted";

impl General for BaoNamespace {
    const NAME: &'static str = "baonamespace";

    fn site(&self) -> Site<'_> {
        Site::Placed(&self.spec.placement)
    }

    fn title(&self) -> String {
        format!("namespace {}", name(self))
    }

    async fn resources(&self, found: &Found<'_>) -> Result<Vec<Resource>, Error> {
        let name = name(self);
        let path = found.home.namespace.join(&name);
        refuse(&name, &path)?;
        let mut resource = found.read(resource(self, &name)).await?;
        let published = found.session.namespace().join(&name);
        match resource.found() {
            Some(it) if it.get("tainted") == Some(&Value::Bool(true)) => {
                return if is_announced(found, &resource.path) {
                    Ok(vec![Resource { interrupted: Some(discard), ..resource }])
                } else {
                    Err(deleting(&published))
                };
            }
            Some(_) => {}
            None => check_parent(found, &resource.path).await?,
        }
        let Some(seal) = &self.spec.seal else {
            return Ok(vec![resource]);
        };
        let shares = KeyShares::of(self, seal, (found.pass, &published));
        if resource.found().is_some() && may_own(self, found, &resource.path) {
            let sealed = seal_status(found.session, &name, seal).await?;
            let is_adopting = self.spec.lifecycle.adopt == Adopt::IfUnowned;
            let known = found.pass.context.status(self).key_shares;
            let origin = shares.origin(known, is_adopting).await?;
            resource.add_fact(SEALED, Value::Bool(sealed));
            resource.add_fact(ADOPTED, Value::Bool(origin == KeySharesOrigin::Adopted));
        }
        Ok(vec![Resource { receipt: Some(Arc::new(shares)), ..resource }])
    }

    fn facts(&self, status: &mut BaoNamespaceStatus, resources: &[Resource]) {
        let found = resources.first().and_then(Resource::found);
        let fact = |name: &str| found?.get(name)?.as_bool();
        // OpenBao returns the shares of a new namespace, and leaves it sealed.
        let (sealed, is_adopted) = (fact(SEALED).unwrap_or(true), fact(ADOPTED).unwrap_or(false));
        let origin = if is_adopted { KeySharesOrigin::Adopted } else { KeySharesOrigin::Written };
        let has_seal = self.spec.seal.is_some();
        status.sealed = has_seal.then_some(sealed);
        status.key_shares = has_seal.then_some(origin);
    }

    fn message(&self, namespace: &NamespacePath) -> String {
        format!("namespace {} exists", namespace.join(&name(self)))
    }

    fn deletable(&self, lookup: &Lookup<'_>) -> Result<(), Error> {
        let owned = self.status.as_ref().and_then(|status| status.owned.as_ref());
        match owned.filter(|_| self.spec.lifecycle.deletion_policy == DeletionPolicy::Delete) {
            Some(owned) => dependents::refuse(owned, &name(self), lookup),
            None => Ok(()),
        }
    }

    async fn delete(session: &Session, path: &str) -> Result<(), Error> {
        let name = path.strip_prefix(PATHS).unwrap_or(path);
        let published = session.namespace().join(name);
        match session.delete_namespace(name).await {
            Ok(NamespaceDeletion::Gone) => Ok(()),
            Ok(NamespaceDeletion::InProgress) => Err(deleting(&published)),
            Ok(NamespaceDeletion::HasChildren) => Err(Error::Deleting(format!(
                "namespace {published} contains child namespaces: delete them in OpenBao, or set deletionPolicy: Retain"
            ))),
            Err(OpenBao::NamespaceSealed { .. }) => Err(Error::Deleting(format!(
                "namespace {published} is sealed: unseal it, delete it with `bao namespace delete-sealed`, or set \
                 deletionPolicy: Retain"
            ))),
            Err(error) => Err(error.into()),
        }
    }
}

/// Last segment of the path of the namespace.
fn name(namespace: &BaoNamespace) -> String {
    namespace.spec.path.clone().unwrap_or_else(|| namespace.name_any())
}

/// Refuses names that OpenBao does not accept, and those that tenants and projects have.
fn refuse(name: &str, path: &NamespacePath) -> Result<(), Error> {
    if rules::is_no_namespace_name(name) {
        return Err(Error::Invalid(format!(
            "OpenBao does not accept {name} as the name of a namespace: set path"
        )));
    }
    if layout::is_of_tenants(path) {
        return Err(Error::Invalid(format!(
            "namespace {path} is reserved for SecretsTenants and SecretsProjects: choose another path"
        )));
    }
    Ok(())
}

/// Returns true if the object created the namespace, tried to, or adopts it. Nothing is reported about the seal of any other.
fn may_own(namespace: &BaoNamespace, found: &Found<'_>, path: &str) -> bool {
    namespace.spec.lifecycle.adopt == Adopt::IfUnowned || found.recorded(path).is_some()
}

/// Returns true if the object has announced to create the namespace, and has not seen it.
fn is_announced(found: &Found<'_>, path: &str) -> bool {
    found.recorded(path).is_some_and(|it| it.pending)
}

/// Deletes what OpenBao keeps of a namespace if its creation is interrupted, such as by the end of the connection: OpenBao does so
/// only on request. The next pass creates the namespace.
fn discard<'a>(session: &'a Session, path: &'a str) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(async move {
        BaoNamespace::delete(session, path).await?;
        Err(deleting(&session.namespace().join(path.strip_prefix(PATHS).unwrap_or(path))))
    })
}

/// OpenBao answers requests in a missing namespace as those for a missing path. `path` does not exist.
async fn check_parent(found: &Found<'_>, path: &str) -> Result<(), Error> {
    if found.home.namespace.is_root() {
        return Ok(());
    }
    match found.session.request_any(Method::GET, path, None).await {
        Err(OpenBao::NotFound { mounted: false, .. }) => Err(Error::SourceMissing(
            format!(
                "the parent namespace {} does not exist: create it as a BaoNamespace, or correct namespace",
                found.session.namespace()
            ),
            MISSING_PARENT,
        )),
        _ => Ok(()),
    }
}

fn resource(namespace: &BaoNamespace, name: &str) -> Resource {
    let path = format!("{PATHS}{name}");
    let parameters = typed([("custom_metadata", json!(namespace.spec.custom_metadata))]);
    let mut created = parameters.clone();
    if let Some(NamespaceSeal { shares, threshold, pgp_keys, .. }) = &namespace.spec.seal {
        let seal = format!("seal \"shamir\" {{\n  shares = {shares}\n  threshold = {threshold}\n}}\n");
        created.insert("seal".to_owned(), Value::from(seal));
        created.insert("pgp_keys".to_owned(), json!(pgp_keys));
    }
    Resource {
        creation: Some((path.clone(), created)),
        holds_values: true,
        ..Resource::at(format!("namespace {name}"), path, parameters)
    }
}

/// Returns true if the namespace is sealed.
///
/// # Errors
/// [`Error::Conflict`] if it has another seal.
async fn seal_status(session: &Session, name: &str, seal: &NamespaceSeal) -> Result<bool, Error> {
    let path = format!("{PATHS}{name}/seal-status");
    let published = session.namespace().join(name);
    let answer = match session.request_any(Method::GET, &path, None).await {
        Err(OpenBao::Invalid { message, .. }) if message.contains("not sealable") => {
            return Err(Error::Conflict(format!(
                "namespace {published} exists without a seal, and OpenBao cannot add one: remove seal"
            )));
        }
        answer => answer?,
    };
    let number = |field: &str| answer["data"][field].as_i64();
    let (shares, threshold) = (number("n"), number("t"));
    if (shares, threshold) != (Some(seal.shares.into()), Some(seal.threshold.into())) {
        return Err(Error::Conflict(format!(
            "the seal of namespace {published} has {} key shares and the threshold {}, and OpenBao cannot change it: correct \
             seal",
            shares.unwrap_or_default(),
            threshold.unwrap_or_default()
        )));
    }
    Ok(answer["data"]["sealed"].as_bool().unwrap_or(true))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn namespace(spec: Value) -> BaoNamespace {
        let mut all = json!({"clusterRef": {"name": "main"}});
        all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        BaoNamespace::new("apps", serde_json::from_value(all).unwrap())
    }

    #[rstest]
    #[case::own("apps", "teams/apps", None)]
    #[case::similar("organization", "organization", None)]
    #[case::below_another("org_5", "teams/org_5", None)]
    #[case::tenant("org_5", "org_5", Some("reserved for SecretsTenants"))]
    #[case::group("group_7", "org_5/group_7", Some("reserved for SecretsTenants"))]
    #[case::project("project_42", "org_5/group_7/project_42", Some("reserved for SecretsTenants"))]
    #[case::of_a_project("apps", "org_5/group_7/project_42/apps", None)]
    #[case::reserved("sys", "teams/sys", Some("does not accept"))]
    #[case::two_segments("a/b", "a/b", Some("does not accept"))]
    fn names_of_tenants_and_of_openbao_are_refused(
        #[case] name: &str,
        #[case] path: &str,
        #[case] expected: Option<&str>,
    ) {
        let refused = refuse(name, &NamespacePath::new(path)).err().map(|error| error.to_string());
        assert_eq!(refused.is_some(), expected.is_some(), "{refused:?}");
        assert!(refused.unwrap_or_default().contains(expected.unwrap_or_default()));
    }

    #[rstest]
    #[case::unset(json!({}), json!({}))]
    #[case::empty(json!({"customMetadata": {}}), json!({"custom_metadata": {}}))]
    #[case::set(json!({"customMetadata": {"team": "web"}}), json!({"custom_metadata": {"team": "web"}}))]
    fn custom_metadata_that_the_spec_does_not_set_is_not_compared(
        #[case] spec: Value,
        #[case] expected: Value,
    ) {
        let resource = resource(&namespace(spec), "apps");
        assert_eq!(Value::Object(resource.body.parameters.clone()), expected);
        assert_eq!(Value::Object(resource.creation_body().parameters), expected);
        assert!(resource.holds_values);
    }

    #[test]
    fn the_seal_is_a_part_of_the_creation_only() {
        let seal = json!({"shares": 2, "threshold": 2, "pgpKeys": ["a", "b"], "recoverySecretName": "keys"});
        let resource = resource(&namespace(json!({"seal": seal})), "apps");
        let created = resource.creation_body().parameters;
        assert_eq!(created["seal"], "seal \"shamir\" {\n  shares = 2\n  threshold = 2\n}\n");
        assert_eq!(created["pgp_keys"], json!(["a", "b"]));
        assert!(resource.change_body().parameters.is_empty());
    }
}
