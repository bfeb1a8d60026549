//! Credentials of the namespace of an object that logs in. ServiceAccounts and Secrets are used only with the consent of
//! that namespace.

use std::fs::File;
use std::io::Read;

use kube::ResourceExt;
use secrecy::{ExposeSecret, SecretString};
use steamer_runtime::{Dependencies, ObjectName};

use super::consent::{Asked, check_login, check_secret};
use super::methods::ServiceAccountSource;
use super::receivers::Receiver;
use super::servers::AccountToken;
use super::sessions::CredentialOwner;
use crate::context::Context;
use crate::digest::digest;
use crate::error::Error;

/// Longest secret in a file.
const LONGEST: u64 = 4096;

/// An object that logs in.
pub(super) struct Consumer<'a> {
    pub(super) context: &'a Context,
    pub(super) dependencies: &'a Dependencies,
    pub(super) namespace: &'a str,
}

/// Owner of the secret of a login, and the secret if its owner is no ServiceAccount.
pub(super) struct Owned {
    pub(super) owner: CredentialOwner,
    pub(super) stored: Option<SecretString>,
}

impl Owned {
    /// A secret that equal logins share. `requested` distinguishes attempts with the same secret.
    fn value(secret: SecretString, requested: &str) -> Self {
        let owner =
            CredentialOwner::Value(digest(format!("{requested}\n{}", secret.expose_secret()).as_bytes()));
        Self { owner, stored: Some(secret) }
    }
}

impl Consumer<'_> {
    /// Tokens of a ServiceAccount for a receiver.
    ///
    /// # Errors
    /// [`Error::NotAllowed`] for a ServiceAccount of another namespace or without consent.
    pub(super) async fn account(
        &self,
        source: ServiceAccountSource,
        receiver: &Receiver,
    ) -> Result<Owned, Error> {
        let ServiceAccountSource { name, namespace, audiences, expiration_seconds } = source;
        own_account(&name, namespace.as_deref(), self.namespace)?;
        let account = ObjectName::new(self.namespace, name);
        let of_server = receiver.audiences(self.context, self.dependencies, self.namespace).await?;
        let object = self.context.accounts.existing(self.dependencies, &account).await?;
        self.context.consent.check(&object, &Asked { audiences: &audiences, of_server: &of_server })?;
        let token = AccountToken { account, audiences, expiration_seconds };
        Ok(Owned { owner: self.context.account_credential(self.dependencies, token).await?, stored: None })
    }

    /// The JWT of a Secret.
    pub(super) async fn jwt(&self, secret: &str) -> Result<Owned, Error> {
        let name = ObjectName::new(self.namespace, secret);
        let secret = self.context.secrets.existing(self.dependencies, &name).await?;
        check_secret(&secret)?;
        let jwt = self.context.secrets.value(self.dependencies, &name, "jwt").await?;
        let jwt: SecretString = String::from_utf8_lossy(&jwt).trim().to_owned().into();
        let version = secret.resource_version().unwrap_or_default();
        Ok(Owned { owner: CredentialOwner::Secret(name, version), stored: Some(jwt) })
    }

    /// The value of a key of a Secret.
    pub(super) async fn value(&self, (secret, key): (&str, &str), requested: &str) -> Result<Owned, Error> {
        Ok(Owned::value(self.entry(secret, key).await?, requested))
    }

    /// The text in a key of a Secret that allows logins.
    pub(super) async fn entry(&self, secret: &str, key: &str) -> Result<SecretString, Error> {
        let name = self.allowed(secret).await?;
        let value = self.context.secrets.value(self.dependencies, &name, key).await?;
        let value = line(&String::from_utf8_lossy(&value));
        if value.expose_secret().is_empty() {
            return Err(Error::Waiting(format!("key `{key}` of Secret {name} is empty: set it")));
        }
        Ok(value)
    }

    /// The client certificate and key of a Secret, in PEM.
    pub(super) async fn certificate(&self, secret: &str) -> Result<SecretString, Error> {
        let name = self.allowed(secret).await?;
        self.context.client_certificate(self.dependencies, &name).await
    }

    /// The name of a Secret that allows logins.
    async fn allowed(&self, secret: &str) -> Result<ObjectName, Error> {
        let name = ObjectName::new(self.namespace, secret);
        check_login(&*self.context.secrets.existing(self.dependencies, &name).await?)?;
        Ok(name)
    }
}

/// The secret in a file of the operator's pod. It is read at each use, so that a new one takes effect. A slow volume must not
/// hold the threads that reconcile.
///
/// # Errors
/// [`Error::Invalid`] if it cannot be read.
pub(super) async fn file(path: &str, requested: &str) -> Result<Owned, Error> {
    let opened = path.to_owned();
    let read = tokio::task::spawn_blocking(move || text_of(&opened)).await.map_err(Error::internal)?;
    match read {
        Ok(text) if !text.trim().is_empty() => Ok(Owned::value(line(text.trim()), requested)),
        Ok(_) => Err(Error::Invalid(format!("secretIDPath: file {path} in the operator's pod is empty"))),
        Err(error) => Err(Error::Invalid(format!(
            "secretIDPath: the operator cannot read file {path} in its pod: {}",
            error.kind()
        ))),
    }
}

fn text_of(path: &str) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// Some tools write a line break at the end of a file.
fn line(text: &str) -> SecretString {
    text.trim_end_matches(['\r', '\n']).to_owned().into()
}

fn own_account(account: &str, namespace: Option<&str>, consumer: &str) -> Result<(), Error> {
    match namespace {
        Some(namespace) if namespace != consumer => Err(Error::NotAllowed(format!(
            "this workload is ServiceAccount {account} of namespace {namespace}: an object in namespace {consumer} cannot use it"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_secrets_share_a_login_until_another_attempt_is_requested() {
        let owner = |secret: &str, requested: &str| Owned::value(line(secret), requested).owner;
        assert_eq!(owner("a", "1"), owner("a\r\n", "1"));
        assert_ne!(owner("a", "1"), owner("b", "1"));
        assert_ne!(owner("a", "1"), owner("a", "2"));
        let CredentialOwner::Value(digest) = owner("a secret", "") else { panic!("no digest") };
        assert!(!digest.contains("secret"));
    }

    #[tokio::test]
    async fn a_file_is_read_without_its_line_break_and_a_missing_one_is_named() {
        let path = std::env::temp_dir().join(format!("steamer-secret-id-{}", std::process::id()));
        let text = path.display().to_string();
        let missing = file(&text, "").await.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(missing.contains(&text) && missing.contains("entity not found"), "{missing}");
        std::fs::write(&path, "id\n").unwrap();
        let found = file(&text, "").await.unwrap().stored.unwrap_or_default();
        assert_eq!(found.expose_secret(), "id");
        std::fs::write(&path, "\n").unwrap();
        assert!(file(&text, "").await.is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
