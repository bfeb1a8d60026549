//! Accessors of the tokens that leases depend on. An accessor may be recorded, unlike a token: the operator renews and revokes the
//! token by it, with a session of its own in the OpenBaoCluster, when the process that logged in has ended.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use steamer_api::OpenBaoCluster;
use steamer_core::mac::Mac;
use steamer_core::{Context, Error};
use steamer_openbao::{Error as OpenBao, NamespacePath, Session, TokenLife};
use steamer_runtime::{Index, Key, ObjectName};

/// Characters of a seal.
const SEAL: usize = 32;

/// Accessor of a token that Steamer logged in for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Accessor {
    id: String,
    /// OpenBao namespace of the token, from the root.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    namespace: String,
    /// Namespace and name of the OpenBaoCluster.
    cluster: [String; 2],
    /// Keyed digest of all of it, and of the object that owns the token: an editor of a status or Secret must not choose which
    /// tokens the operator revokes.
    seal: String,
}

impl Accessor {
    /// The accessor of a token in that OpenBao namespace of a cluster, for the object that owns the token.
    pub(crate) fn new(
        id: String,
        (namespace, cluster): (&NamespacePath, &ObjectName),
        (owner, mac): (&Key, &Mac),
    ) -> Self {
        let (namespace, cluster) =
            (namespace.as_str().to_owned(), [cluster.namespace.clone(), cluster.name.clone()]);
        let unsealed = Self { id, namespace, cluster, seal: String::new() };
        Self { seal: unsealed.digest(owner, mac), ..unsealed }
    }

    /// Returns true if Steamer recorded the accessor for this object.
    pub(crate) fn is_of(&self, owner: &Key, mac: &Mac) -> bool {
        self.seal == self.digest(owner, mac)
    }

    fn digest(&self, owner: &Key, mac: &Mac) -> String {
        let Self { id, namespace, cluster: [within, name], seal: _ } = self;
        let owner = format!("{} {}", owner.kind, owner.name);
        let parts = [
            ("accessor", id.as_bytes()),
            ("namespace", namespace.as_bytes()),
            ("within", within.as_bytes()),
            ("cluster", name.as_bytes()),
            ("owner", owner.as_bytes()),
        ];
        mac.of(parts).chars().take(SEAL).collect()
    }

    /// Renews the token. Returns its lifetime, or `None` if it does not exist anymore.
    ///
    /// # Errors
    /// Any error of the operator's session or of OpenBao.
    pub(crate) async fn renew(&self, context: &Context) -> Result<Option<TokenLife>, Error> {
        Ok(self.session(context).await?.renew_accessor(&self.id).await?)
    }

    /// Revokes the token, and with it its leases. No-op if it does not exist anymore.
    ///
    /// # Errors
    /// As [`Self::renew`].
    pub(crate) async fn revoke(&self, context: &Context) -> Result<(), Error> {
        Ok(self.session(context).await?.revoke_accessor(&self.id).await?)
    }

    /// The operator's own session in the OpenBao namespace of the token. OpenBao finds the namespace of a token that it revokes by
    /// the accessor, whatever the namespace of the request is.
    async fn session(&self, context: &Context) -> Result<Session, Error> {
        let [namespace, name] = &self.cluster;
        let name = ObjectName::new(namespace, name);
        // The BaoAuth of the object depends on the cluster. An index of its own: another cluster must not requeue the object.
        let dependencies = Arc::new(Index::default()).pass("accessors", name.clone());
        let cluster = context.stores.existing::<OpenBaoCluster>(&dependencies, &name)?;
        let session = context.operator_session(&dependencies, &cluster).await?;
        Ok(session.at(NamespacePath::new(&self.namespace)))
    }
}

/// Returns true if the operator may use an accessor later, although it cannot now. Otherwise, it may not at all: the cluster or the
/// namespace of the token is gone, the policy of the operator lacks the rule, or the request or a spec is invalid.
pub(crate) fn is_passing(error: &Error) -> bool {
    let is_final = match error {
        Error::OpenBao(error) => {
            matches!(error, OpenBao::Denied { .. } | OpenBao::Invalid { .. } | OpenBao::NotFound { .. })
        }
        error => {
            matches!(
                error,
                Error::NotFound { .. } | Error::Denied { .. } | Error::NotAllowed(_) | Error::Invalid(_)
            )
        }
    };
    !is_final
}

/// An accessor of a token for `web/app`.
#[cfg(test)]
pub(crate) fn sample(id: &str, mac: &Mac) -> Accessor {
    let owner = Key::new("BaoDynamicSecret", ObjectName::new("web", "app"));
    let (namespace, cluster) = (NamespacePath::new("org_1"), ObjectName::new("openbao", "main"));
    Accessor::new(id.to_owned(), (&namespace, &cluster), (&owner, mac))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn key(kind: &'static str, name: &str) -> Key {
        Key::new(kind, ObjectName::new("web", name))
    }

    #[test]
    fn an_accessor_of_another_object_is_not_accepted() {
        let (mac, other) = (Mac::new(&[7; 32]), Mac::new(&[8; 32]));
        let accessor = sample("a", &mac);
        let own = key("BaoDynamicSecret", "app");
        assert!(accessor.is_of(&own, &mac) && !accessor.is_of(&own, &other));
        for owner in [key("BaoDynamicSecret", "other"), key("VaultDynamicSecret", "app")] {
            assert!(!accessor.is_of(&owner, &mac), "{owner:?}");
        }
    }

    #[rstest]
    #[case::accessor(|it: &mut Accessor| it.id = "root".to_owned())]
    #[case::namespace(|it: &mut Accessor| it.namespace = String::new())]
    #[case::cluster(|it: &mut Accessor| it.cluster[1] = "other".to_owned())]
    #[case::seal(|it: &mut Accessor| it.seal = String::new())]
    fn an_edited_accessor_is_not_accepted(#[case] edit: fn(&mut Accessor)) {
        let mac = Mac::new(&[7; 32]);
        let mut accessor = sample("a", &mac);
        edit(&mut accessor);
        assert!(!accessor.is_of(&key("BaoDynamicSecret", "app"), &mac));
    }

    #[test]
    fn an_accessor_survives_writing_and_reading() {
        let accessor = sample("a", &Mac::new(&[7; 32]));
        let text = serde_json::to_string(&accessor).unwrap();
        assert_eq!(serde_json::from_str::<Accessor>(&text).unwrap(), accessor);
        assert_eq!(accessor.seal.len(), SEAL);
    }

    #[rstest]
    #[case::sealed(OpenBao::Sealed, true)]
    #[case::failing_over(OpenBao::NoLeader, true)]
    #[case::without_a_credential(OpenBao::Credential("the API server is down".into()), true)]
    #[case::without_the_rule(OpenBao::Denied { method: "POST".to_owned(), path: "p".to_owned() }, false)]
    #[case::rejected(OpenBao::Invalid { path: "p".to_owned(), message: "m".to_owned() }, false)]
    #[case::without_the_namespace(OpenBao::NotFound { path: "p".to_owned(), deleted: None, mounted: false }, false)]
    #[case::rejected_login(OpenBao::Login { path: "p".to_owned(), message: "m".to_owned() }, true)]
    #[case::failed(OpenBao::Server { status: 500, path: "p".to_owned(), message: "m".to_owned() }, true)]
    #[case::of_a_proxy(OpenBao::Server { status: 502, path: "p".to_owned(), message: "m".to_owned() }, true)]
    fn an_operator_without_the_rule_does_not_wait_for_it(#[case] error: OpenBao, #[case] expected: bool) {
        assert_eq!(is_passing(&Error::OpenBao(error)), expected);
    }

    #[test]
    fn an_operator_waits_for_a_cluster_that_exists() {
        let name = ObjectName::new("openbao", "main");
        assert!(!is_passing(&Error::NotFound { kind: "OpenBaoCluster", name }));
        assert!(is_passing(&Error::Waiting("OpenBaoCluster main is not ready".to_owned())));
    }
}
