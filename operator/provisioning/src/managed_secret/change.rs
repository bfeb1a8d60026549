//! Writes of a secret in two phases: the metadata state that a change has begun, then the value is written, then the metadata
//! state that it is complete. Each write of metadata or of a value names the state that it replaces. Whatever happens between two
//! of them, the metadata never state that a value is complete that is not.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};
use steamer_core::Error;
use steamer_core::generators::generate;
use steamer_openbao::{Error as OpenBao, Kv, KvSettings, KvVersionChange, Session, Values};
use steamer_runtime::Locked;

use super::keys::{Custom, PENDING, stable};
use super::problem::unreadable;
use super::step::Step;

/// Field of a value, as in GitLab Secrets Manager.
pub(super) const FIELD: &str = "value";

/// Number of the current version after a change. None while it has not ended.
pub(crate) type Written = Arc<Locked<Option<i64>>>;

/// A change of a secret.
pub(crate) struct Change {
    pub(super) mount: String,
    pub(super) path: String,
    /// None: only the metadata differ.
    pub(super) step: Option<Step>,
    pub(super) meanwhile: KvSettings,
    pub(super) rest: KvSettings,
    /// Versions that are destroyed once the value is complete.
    pub(super) replaced: Vec<i64>,
    /// Number of the current version before the change.
    pub(super) version: i64,
    /// Number of the last change of the metadata.
    pub(super) metadata_version: i64,
    pub(super) written: Written,
}

/// Equal changes of several passes have equal texts: they contain no time and no counter. There is no value in the text.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mount, path, step, rest, .. } = self;
        write!(f, "Change({mount}/{path} {step:?} {:?} {})", stable(&rest.custom), rest.max_versions)
    }
}

impl Change {
    /// Path of the value or of the metadata, within the namespace.
    pub(crate) fn location(&self) -> String {
        let Self { mount, path, .. } = self;
        let folder = if self.step.is_some() { "data" } else { "metadata" };
        format!("{mount}/{folder}/{path}")
    }

    /// The desired state, without values, times and counters.
    pub(crate) fn canonical(&self) -> Value {
        let step = match &self.step {
            None => Value::Null,
            Some(Step::Write(_)) => json!("write"),
            Some(Step::Generate(_)) => json!("generate"),
            Some(Step::Copy(version)) => json!(["copy", version]),
            Some(Step::Restore(version)) => json!(["restore", version]),
        };
        json!([step, stable(&self.rest.custom), self.rest.max_versions])
    }

    /// Executes the change in the namespace of the session.
    pub(crate) async fn execute(&self, session: &Session) -> Result<(), Error> {
        let Self { mount, path, step, meanwhile, rest, metadata_version, .. } = self;
        let Some(step) = step else {
            session.put_kv_settings(mount, path, rest, *metadata_version).await?;
            self.end(self.version);
            return Ok(());
        };
        // A value that is not available changes nothing.
        let values = self.values(session, step).await?;
        session.put_kv_settings(mount, path, meanwhile, *metadata_version).await?;
        let version = match self.write(session, step, values).await {
            Err(error @ Error::OpenBao(OpenBao::CheckAndSet { .. })) => {
                self.withdraw(session).await?;
                return Err(error);
            }
            written => written?,
        };
        self.complete(session, version).await?;
        self.end(version);
        self.destroy(session).await
    }

    /// The values to write. None for a step that writes none.
    async fn values(&self, session: &Session, step: &Step) -> Result<Option<Values>, Error> {
        Ok(match step {
            Step::Write(values) => Some(values.clone()),
            Step::Generate(generator) => {
                Some(Values(generate(session, FIELD, generator).await?.into_iter().collect()))
            }
            Step::Copy(version) => Some(self.former(session, *version).await?),
            Step::Restore(_) => None,
        })
    }

    async fn former(&self, session: &Session, version: i64) -> Result<Values, Error> {
        match session.read_kv2(&self.mount, &self.path, Some(version)).await.map_err(unreadable)? {
            Kv::Value { values, .. } => Ok(values),
            Kv::Deleted { .. } | Kv::Absent => Err(self.overtaken(session)),
        }
    }

    async fn write(&self, session: &Session, step: &Step, values: Option<Values>) -> Result<i64, Error> {
        let Self { mount, path, version, .. } = self;
        match (values, step) {
            (Some(values), _) => Ok(session.put_kv2(mount, path, &values, *version).await?),
            (None, Step::Restore(restored)) => {
                session.change_kv_versions(mount, path, KvVersionChange::Undelete, &[*restored]).await?;
                Ok(*version)
            }
            (None, _) => Ok(*version),
        }
    }

    /// States that the value is complete, if nothing else has changed in the meantime.
    async fn complete(&self, session: &Session, version: i64) -> Result<(), Error> {
        let Self { mount, path, meanwhile, rest, .. } = self;
        let found = session.kv_metadata(mount, path).await?.unwrap_or_default();
        if found.current_version != version || found.custom_metadata != meanwhile.custom {
            return Err(self.overtaken(session));
        }
        session.put_kv_settings(mount, path, rest, found.current_metadata_version).await?;
        Ok(())
    }

    /// Another client has written the version: the metadata no longer state that this step writes it. An entry that did not exist
    /// before the step belongs to that client.
    async fn withdraw(&self, session: &Session) -> Result<(), Error> {
        let Self { mount, path, meanwhile, .. } = self;
        let found = session.kv_metadata(mount, path).await?.unwrap_or_default();
        if found.custom_metadata == meanwhile.custom {
            let settings = KvSettings {
                custom: self.withdrawn(),
                max_versions: found.max_versions,
                delete_version_after: 0,
            };
            session.put_kv_settings(mount, path, &settings, found.current_metadata_version).await?;
        }
        Ok(())
    }

    /// The custom metadata after a step that another client has overtaken.
    fn withdrawn(&self) -> Custom {
        if (self.version, self.metadata_version) == (0, 0) {
            return Custom::new();
        }
        let mut custom = self.meanwhile.custom.clone();
        custom.remove(PENDING);
        custom
    }

    async fn destroy(&self, session: &Session) -> Result<(), Error> {
        let Self { mount, path, replaced, .. } = self;
        if !replaced.is_empty() {
            session.change_kv_versions(mount, path, KvVersionChange::Destroy, replaced).await?;
        }
        Ok(())
    }

    fn overtaken(&self, session: &Session) -> Error {
        OpenBao::CheckAndSet { path: session.namespace().path(&self.location()) }.into()
    }

    fn end(&self, version: i64) {
        *self.written.lock() = Some(version);
    }
}

/// A deletion or destruction of versions.
#[derive(Debug)]
pub(crate) struct Versions {
    pub(super) mount: String,
    pub(super) path: String,
    pub(super) change: KvVersionChange,
    pub(super) numbers: Vec<i64>,
}

impl Versions {
    /// Path of the request, within the namespace.
    pub(crate) fn location(&self) -> String {
        self.change.path(&self.mount, &self.path)
    }

    /// The versions.
    pub(crate) fn canonical(&self) -> Value {
        json!(self.numbers)
    }

    /// Executes the change in the namespace of the session.
    pub(crate) async fn execute(&self, session: &Session) -> Result<(), Error> {
        let Self { mount, path, change, numbers } = self;
        Ok(session.change_kv_versions(mount, path, *change, numbers).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn change(step: Option<Step>, version: &str) -> Change {
        let pairs = [("description", "login"), ("steamer_version", version), ("update_started_at", version)];
        let custom = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Change {
            mount: "secrets/kv".to_owned(),
            path: "explicit/DB".to_owned(),
            step,
            meanwhile: KvSettings::default(),
            rest: KvSettings { custom, ..KvSettings::default() },
            replaced: Vec::new(),
            version: 3,
            metadata_version: 7,
            written: Written::default(),
        }
    }

    #[test]
    fn a_change_shows_neither_values_nor_times() {
        let values = BTreeMap::from([("value".to_owned(), steamer_openbao::Json::string("canary"))]);
        let text = format!("{:?}", change(Some(Step::Write(Values(values))), "4"));
        assert!(!text.contains("canary") && text.contains("login"), "{text}");
        let [one, other] = ["4", "5"].map(|version| format!("{:?}", change(None, version)));
        assert_eq!(one, other);
    }

    #[test]
    fn a_secret_that_another_client_creates_first_carries_no_mark() {
        let custom = [("owner", "i/ManagedSecret/ns/db"), (PENDING, "1 generated")];
        let custom = custom.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let mut change = change(Some(Step::Copy(1)), "4");
        change.meanwhile = KvSettings { custom, ..KvSettings::default() };
        assert_eq!(change.withdrawn().keys().collect::<Vec<_>>(), ["owner"]);
        (change.version, change.metadata_version) = (0, 0);
        assert!(change.withdrawn().is_empty());
    }

    #[test]
    fn a_change_of_the_value_is_at_its_path() {
        assert_eq!(change(Some(Step::Copy(1)), "4").location(), "secrets/kv/data/explicit/DB");
        assert_eq!(change(None, "4").location(), "secrets/kv/metadata/explicit/DB");
    }
}
