//! The writes that lead to the next stage of an issuer.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value, json};
use steamer_api::{Mode, PKIIssuerSpec};
use steamer_core::error::Error;

use super::certificate::Certificate;
use super::desired::Desired;
use super::owned::{issuer_path, key_path, retired};
use super::request;
use super::snapshot::{Current, Issuer, Key};
use super::stage::Stage;
use crate::engine::Rights;
use crate::general::{Body, differences, time};
use crate::signing::Signing;
use crate::write::{Call, DIFFERS, Plan, Write};

/// Pause between two stages, which each read what OpenBao contains.
const NEXT_STAGE: Duration = Duration::from_millis(100);

/// Computes the writes of the current stage.
pub(super) fn plan(desired: &Desired, rights: &Rights<'_>) -> Result<Plan, Error> {
    let planner = Planner { desired, rights };
    let stage = desired.stage();
    planner.check(&stage)?;
    let mut writes = match &stage {
        Stage::Missing { name, key } => planner.creation(name, *key)?,
        Stage::Unnamed { name, issuer } => vec![planner.naming(issuer, name)?],
        Stage::Next(next) => planner.succession(next)?,
        Stage::Exists(issuer) => planner.repairs(issuer)?,
    };
    writes.extend(planner.crl()?);
    let is_enforced = desired.spec.lifecycle.mode == Mode::Enforce;
    let expires_at = match stage {
        Stage::Exists(_) => desired.changes_at(),
        _ if is_enforced => desired.facts.now.checked_add(NEXT_STAGE).ok(),
        _ => None,
    };
    Ok(Plan { writes, expires_at })
}

struct Planner<'a> {
    desired: &'a Desired,
    rights: &'a Rights<'a>,
}

/// An issuer that is replaced, and its later name.
struct Old<'a> {
    issuer: &'a Issuer,
    former: String,
}

impl Planner<'_> {
    /// Checks that the object may change what exists, and that it is what the spec describes.
    fn check(&self, stage: &Stage<'_>) -> Result<(), Error> {
        let snapshot = &self.desired.facts.snapshot;
        if let (Some(issuer), Some(current)) = (snapshot.issuer(&self.desired.name), &snapshot.current) {
            self.hold(&format!("issuer {}", issuer.name), &issuer_path(&self.desired.mount, &issuer.name))?;
            self.check_current(issuer, current)?;
        }
        match stage {
            Stage::Missing { name, key: Some(_) } => self.hold_key(name),
            Stage::Unnamed { name, issuer } => {
                self.hold_key(name)?;
                self.refuse_named(issuer, name)
            }
            Stage::Next(next) => {
                self.hold(&format!("issuer {}", next.name), &issuer_path(&self.desired.mount, &next.name))
            }
            Stage::Missing { key: None, .. } | Stage::Exists(_) => Ok(()),
        }
    }

    fn hold_key(&self, name: &str) -> Result<(), Error> {
        self.hold(&format!("key {name}"), &key_path(&self.desired.mount, name))
    }

    fn hold(&self, what: &str, path: &str) -> Result<(), Error> {
        if self.desired.is_recorded(path) {
            return Ok(());
        }
        self.rights.hold(&self.located(what), None).map(drop)
    }

    fn located(&self, what: &str) -> String {
        let namespace = self.rights.published(&self.desired.facts.home.namespace);
        format!("{what} of mount {} in namespace {namespace}", self.desired.mount)
    }

    /// The key of the name can belong to an issuer that someone uses under another name.
    fn refuse_named(&self, issuer: &Issuer, name: &str) -> Result<(), Error> {
        if issuer.name.is_empty() || self.desired.is_recorded(&key_path(&self.desired.mount, name)) {
            return Ok(());
        }
        let other = &issuer.name;
        Err(Error::Conflict(format!(
            "{} belongs to issuer {other}: choose another issuerName, or set issuerName: {other} to adopt that issuer",
            self.located(&format!("key {name}")),
        )))
    }

    fn check_current(&self, issuer: &Issuer, current: &Current) -> Result<(), Error> {
        let is_recorded = self.desired.is_recorded(&issuer_path(&self.desired.mount, &issuer.name));
        let wrong = if issuer.key.is_empty() {
            Some("has no key in OpenBao".to_owned())
        } else {
            mismatch(&self.desired.spec, &current.certificate, is_recorded)?
        };
        let Some(wrong) = wrong else {
            return Ok(());
        };
        let issuer = self.located(&format!("issuer {}", issuer.name));
        Err(Error::Conflict(format!(
            "{issuer} {wrong}, and OpenBao cannot change it: correct the spec, or choose another issuerName"
        )))
    }

    fn creation(&self, name: &str, key: Option<&Key>) -> Result<Vec<Write>, Error> {
        let certificate = request::certificate(&self.desired.spec)?;
        let mut contents = request::contents(certificate)?;
        let (end, key) = match key {
            Some(key) => ("existing", Map::from_iter([("key_ref".to_owned(), json!(key.id))])),
            None => ("internal", request::key(certificate, name)),
        };
        if self.desired.spec.root.is_none() {
            return self.signing(end, key).map(|call| vec![self.create(call)]);
        }
        contents.extend(key);
        contents.insert("issuer_name".to_owned(), json!(name));
        let path = format!("{}/root/generate/{end}", self.desired.mount);
        let mut writes = vec![self.create(send(Method::POST, path, contents))];
        let settings = request::settings(&self.desired.spec)?;
        if !settings.is_empty() {
            writes.push(self.settings(name, settings));
        }
        Ok(writes)
    }

    fn signing(&self, end: &'static str, key: Map<String, Value>) -> Result<Call, Error> {
        let certificate = request::certificate(&self.desired.spec)?;
        let missing = || Error::Invalid("an intermediate needs parentRef".to_owned());
        let (parent, session) = self.desired.facts.signer.as_ref().ok_or_else(missing)?;
        parent.check(time(&certificate.ttl)?, self.desired.facts.now)?;
        let mut request = key;
        request.insert("common_name".to_owned(), json!(certificate.common_name));
        Ok(Call::Sign(Box::new(Signing {
            mount: self.desired.mount.clone(),
            key: end,
            request,
            parent: session.clone(),
            signed_at: parent.signed_at(),
            certificate: request::contents(certificate)?,
        })))
    }

    /// Names an issuer that was imported, together with its settings.
    fn naming(&self, issuer: &Issuer, name: &str) -> Result<Write, Error> {
        let mut settings = request::settings(&self.desired.spec)?;
        settings.insert("issuer_name".to_owned(), json!(name));
        Ok(self.settings(&issuer.id, settings))
    }

    /// Replaces the issuer by the next one, which gets its name, so that roles follow. The next issuer is renamed last: until
    /// then it is found by its name.
    fn succession(&self, next: &Issuer) -> Result<Vec<Write>, Error> {
        let old = self.old();
        let settings = request::settings(&self.desired.spec)?;
        let mut writes = Vec::new();
        if !settings.is_empty() {
            writes.push(self.settings(&next.id, settings));
        }
        writes.extend(self.key_names(next, old.as_ref()));
        let default = &self.desired.facts.snapshot.default;
        let is_default =
            self.desired.spec.default || old.as_ref().is_some_and(|old| old.issuer.id == *default);
        if is_default && *default != next.id {
            writes.push(self.default(next));
        }
        writes.extend(old.map(|old| self.rename("issuer", &old.issuer.id, &old.former)));
        writes.push(self.rename("issuer", &next.id, &self.desired.name));
        Ok(writes)
    }

    /// The issuer that is replaced. None if it was renamed already.
    fn old(&self) -> Option<Old<'_>> {
        let Desired { name, facts, .. } = self.desired;
        let issuer = facts.snapshot.issuer(name)?;
        let serial = facts.snapshot.current.as_ref()?.certificate.short_serial();
        Some(Old { issuer, former: retired(name, &serial) })
    }

    /// The key of the next issuer gets the name, unless another key has it.
    fn key_names(&self, next: &Issuer, old: Option<&Old<'_>>) -> Vec<Write> {
        let (snapshot, name) = (&self.desired.facts.snapshot, &self.desired.name);
        let holder = snapshot.key(name);
        let freed = old.filter(|old| holder.is_some() && snapshot.key_of(old.issuer) == holder).zip(holder);
        let named = snapshot.key_of(next).filter(|_| holder.is_none() || freed.is_some());
        let freed = freed.map(|(old, key)| self.rename("key", &key.id, &old.former));
        let named = named.map(|key| self.rename("key", &key.id, name));
        freed.into_iter().chain(named).collect()
    }

    fn rename(&self, what: &str, id: &str, name: &str) -> Write {
        let body = Map::from_iter([(format!("{what}_name"), json!(name))]);
        let method = if what == "key" { Method::POST } else { Method::PATCH };
        self.update(send(method, format!("{}/{what}/{id}", self.desired.mount), body))
    }

    fn repairs(&self, issuer: &Issuer) -> Result<Vec<Write>, Error> {
        let Desired { spec, facts, .. } = self.desired;
        let settings = request::settings(spec)?;
        let found = facts.snapshot.current.as_ref().map(|current| &current.settings);
        let differs = found.is_some_and(|found| !differences(&settings, found).is_empty());
        let mut writes = Vec::new();
        if differs {
            writes.push(self.settings(&issuer.id, settings));
        }
        if spec.default && facts.snapshot.default != issuer.id {
            writes.push(self.default(issuer));
        }
        Ok(writes)
    }

    fn crl(&self) -> Result<Option<Write>, Error> {
        let Desired { mount, spec, facts, .. } = self.desired;
        let Some(crl) = &spec.crl else {
            return Ok(None);
        };
        let settings = request::crl(crl)?;
        let differs = !differences(&settings, &facts.snapshot.crl).is_empty();
        Ok(differs.then(|| self.update(send(Method::POST, format!("{mount}/config/crl"), settings))))
    }

    fn default(&self, issuer: &Issuer) -> Write {
        let body = Map::from_iter([("default".to_owned(), json!(issuer.id))]);
        self.update(send(Method::POST, format!("{}/config/issuers", self.desired.mount), body))
    }

    fn settings(&self, reference: &str, settings: Map<String, Value>) -> Write {
        self.update(send(Method::PATCH, issuer_path(&self.desired.mount, reference), settings))
    }

    fn create(&self, call: Call) -> Write {
        Write::create(&self.desired.facts.home.namespace, call)
    }

    fn update(&self, call: Call) -> Write {
        Write::update(&self.desired.facts.home.namespace, call, DIFFERS)
    }
}

fn send(method: Method, path: String, parameters: Map<String, Value>) -> Call {
    Call::Send { method, path, body: Body { parameters, ..Body::default() }, receipt: None }
}

/// How a certificate differs from the spec. A changed type of key applies to the next certificate.
fn mismatch(
    spec: &PKIIssuerSpec,
    certificate: &Certificate,
    is_recorded: bool,
) -> Result<Option<String>, Error> {
    let wanted = request::certificate(spec)?;
    let (name, key_type) = (&certificate.common_name, certificate.key_type);
    Ok(match certificate.is_self_signed {
        _ if *name != wanted.common_name => {
            Some(format!("has the common name {name} instead of {}", wanted.common_name))
        }
        true if spec.root.is_none() => Some("is a root".to_owned()),
        false if spec.root.is_some() => Some("is an intermediate".to_owned()),
        _ if !is_recorded && key_type != wanted.key_type.as_str() => {
            Some(format!("has a key of type {key_type} instead of {}", wanted.key_type.as_str()))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use rstest::rstest;

    use super::*;

    fn spec(kind: &str, key_type: &str) -> PKIIssuerSpec {
        let authority =
            json!({"commonName": "CA", "ttl": "1h", "keyType": key_type, "parentRef": {"name": "root"}});
        serde_json::from_value(json!({"clusterRef": {"name": "main"}, "mount": "pki", kind: authority}))
            .unwrap()
    }

    #[rstest]
    #[case::root("root", "ec", ("CA", true, "ec"), None)]
    #[case::intermediate("intermediate", "rsa", ("CA", false, "rsa"), None)]
    #[case::name("root", "ec", ("Other", true, "ec"), Some("has the common name Other instead of CA"))]
    #[case::no_root("root", "ec", ("CA", false, "ec"), Some("is an intermediate"))]
    #[case::no_intermediate("intermediate", "ec", ("CA", true, "ec"), Some("is a root"))]
    #[case::key("root", "ec", ("CA", true, "rsa"), Some("has a key of type rsa instead of ec"))]
    fn an_adopted_issuer_must_be_the_one_of_the_spec(
        #[case] kind: &str,
        #[case] key_type: &str,
        #[case] (name, is_self_signed, found): (&str, bool, &'static str),
        #[case] expected: Option<&str>,
    ) {
        let certificate = Certificate {
            serial: "01:02".to_owned(),
            common_name: name.to_owned(),
            not_before: Timestamp::UNIX_EPOCH,
            not_after: Timestamp::MAX,
            is_self_signed,
            key_type: found,
        };
        let wrong = mismatch(&spec(kind, key_type), &certificate, false).unwrap();
        assert_eq!(wrong.as_deref(), expected);
        // A changed type of key applies to the next certificate.
        let wrong = mismatch(&spec(kind, key_type), &certificate, true).unwrap();
        assert_eq!(wrong.as_deref(), expected.filter(|text| !text.contains("key of type")));
    }
}
