//! Tokens that leases depend on. Each lease has a token of its own, which nothing else uses: OpenBao revokes the lease with it,
//! and only that lease. The tokens are in memory only, and the end of the process does not revoke them: their accessors are recorded.

use std::collections::HashMap;

use steamer_core::Error;
use steamer_openbao::{Error as OpenBao, Session};
use steamer_runtime::{Key, Locked};

/// Sessions with the tokens of leases. An object never gets the token of another one: users can edit the status of a served
/// object, which contains IDs of leases.
#[derive(Default)]
pub(crate) struct Leases {
    /// By the object and the ID of its lease.
    held: Locked<HashMap<(Key, String), Session>>,
}

impl Leases {
    /// Keeps the session that a lease of an object was issued with.
    pub(crate) fn keep(&self, (owner, lease): (&Key, &str), session: Session) {
        self.held.lock().insert((owner.clone(), lease.to_owned()), session);
    }

    /// The session that a lease of an object was issued with. None after a restart.
    pub(crate) fn of(&self, (owner, lease): (&Key, &str)) -> Option<Session> {
        self.held.lock().get(&(owner.clone(), lease.to_owned())).cloned()
    }

    /// The session that a lease was issued with, on the connections of `current`: the CA or the address of the server can be
    /// another one by now. None after a restart.
    pub(crate) fn through(&self, lease: (&Key, &str), current: &Session) -> Option<Session> {
        let own = self.of(lease)?;
        let moved = current.client().session(own.identity().clone()).at(own.namespace().clone());
        self.keep(lease, moved.clone());
        Some(moved)
    }

    /// Discards the session of a lease, and does not revoke it.
    pub(crate) fn forget(&self, (owner, lease): (&Key, &str)) {
        self.held.lock().remove(&(owner.clone(), lease.to_owned()));
    }

    /// Revokes a lease with its token. Returns false if that is not possible: the token is not known or may not revoke itself.
    ///
    /// # Errors
    /// Any error of OpenBao.
    pub(crate) async fn revoke(&self, lease: (&Key, &str)) -> Result<bool, Error> {
        let Some(session) = self.of(lease) else {
            return Ok(false);
        };
        let revoked = match session.revoke_token().await {
            Ok(()) => true,
            // A batch token cannot be revoked.
            Err(OpenBao::Denied { .. } | OpenBao::Invalid { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        self.forget(lease);
        Ok(revoked)
    }
}

#[cfg(test)]
mod tests {
    use steamer_openbao::{Client, Identity, Settings};
    use steamer_runtime::ObjectName;

    use super::*;

    fn client(address: &str) -> Client {
        Client::new(&Settings { addresses: vec![address.to_owned()], ..Settings::default() }).unwrap()
    }

    fn key(kind: &'static str, namespace: &str) -> Key {
        Key::new(kind, ObjectName::new(namespace, "app"))
    }

    #[tokio::test]
    async fn an_object_that_states_the_lease_of_another_one_does_not_get_its_token() {
        let leases = Leases::default();
        let own = key("BaoDynamicSecret", "web");
        let session = client("https://bao:8200").session(Identity::Anonymous);
        leases.keep((&own, "lease"), session.clone());
        for other in [key("BaoDynamicSecret", "other"), key("VaultDynamicSecret", "web")] {
            assert!(leases.of((&other, "lease")).is_none());
            assert!(leases.through((&other, "lease"), &session).is_none());
            assert!(!leases.revoke((&other, "lease")).await.unwrap());
            leases.forget((&other, "lease"));
        }
        assert!(leases.of((&own, "lease")).is_some());
    }

    #[test]
    fn a_lease_keeps_its_token_and_namespace_when_the_connection_changes() {
        let leases = Leases::default();
        let token = Identity::Token("own".to_owned().into());
        let own = key("BaoDynamicSecret", "web");
        leases.keep((&own, "lease"), client("https://old:8200").session(token).within("org"));
        let current = client("https://new:8200").session(Identity::Anonymous).within("other");
        assert!(leases.through((&own, "another"), &current).is_none());
        assert!(leases.through((&own, "lease"), &current).is_some());
        let kept = leases.of((&own, "lease")).unwrap();
        assert_eq!((kept.client().address(), kept.namespace().as_str()), ("https://new:8200", "org"));
        assert!(matches!(kept.identity(), Identity::Token(_)));
    }
}
