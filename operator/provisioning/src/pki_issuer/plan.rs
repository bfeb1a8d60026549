//! The writes that lead to the next stage of an issuer.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value, json};
use steamer_api::Mode;
use steamer_core::error::Error;

use super::desired::Desired;
use super::mismatch::mismatch;
use super::names::next;
use super::owned::{MOST_FORMER, is_full, issuer_path, key_path};
use super::request;
use super::snapshot::{Current, Issuer, Key};
use super::stage::Stage;
use super::succession::{Step, Succession};
use crate::engine::Rights;
use crate::general::{Body, differences, time};
use crate::signing::Signing;
use crate::write::{Call, DIFFERS, Plan, Write};

/// Pause between two stages, which each read what OpenBao contains.
const NEXT_STAGE: Duration = Duration::from_millis(100);

/// Reason of a write that deletes a former issuer.
const EXPIRED: &str = "has expired";

/// Returns true if what exists is what the object announced to create.
pub(super) fn is_own(desired: &Desired, rights: &Rights<'_>) -> bool {
    Planner { desired, rights }.check(&desired.stage()).is_ok()
}

/// Computes the writes of the current stage.
pub(super) fn plan(desired: &Desired, rights: &Rights<'_>) -> Result<Plan, Error> {
    let planner = Planner { desired, rights };
    let stage = desired.stage();
    planner.check(&stage)?;
    let mut writes = match &stage {
        Stage::Missing { name, key } => {
            planner.expired().into_iter().chain(planner.creation(name, *key)?).collect()
        }
        Stage::Unnamed { name, issuer } => vec![planner.naming(issuer, name)?],
        Stage::Next(next) => planner.succession(next)?,
        Stage::Exists(issuer) => planner.repairs(issuer)?,
    };
    // Until it owns an issuer, the object changes no setting that other issuers share.
    if matches!(stage, Stage::Exists(_)) {
        writes.extend(planner.crl()?);
    }
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

impl Planner<'_> {
    /// Checks that the object may change what exists, and that it is what the spec describes.
    fn check(&self, stage: &Stage<'_>) -> Result<(), Error> {
        let snapshot = &self.desired.facts.snapshot;
        if let (Some(issuer), Some(current)) = (snapshot.issuer(&self.desired.name), &snapshot.current) {
            let path = issuer_path(&self.desired.mount, &issuer.name);
            self.hold(&format!("issuer {}", issuer.name), &path)?;
            self.check_certificate((issuer, current), self.desired.is_owned(&path))?;
        }
        match stage {
            Stage::Missing { name, key: Some(_) } => self.hold_key(name),
            Stage::Unnamed { name, issuer } => {
                self.hold_key(name)?;
                self.refuse_named(issuer, name)
            }
            Stage::Next(next) => self.check_next(next),
            Stage::Missing { name, key: None } => self.check_space(name),
            Stage::Exists(_) => Ok(()),
        }
    }

    fn check_next(&self, next: &Issuer) -> Result<(), Error> {
        self.hold_next(&format!("issuer {}", next.name), &issuer_path(&self.desired.mount, &next.name))?;
        match &self.desired.facts.snapshot.next {
            Some(current) => self.check_certificate((next, current), true),
            None => Ok(()),
        }
    }

    /// An adoption takes the issuer as it is. Only a rotation of this object creates the next one.
    fn hold_next(&self, what: &str, path: &str) -> Result<(), Error> {
        if self.desired.is_recorded(path) {
            return Ok(());
        }
        Err(Error::Conflict(format!(
            "{} has the name of the next issuer of a rotation, and is not recorded in status.owned of this object: rename it in \
             OpenBao",
            self.located(what)
        )))
    }

    /// Checks that another former issuer can be recorded.
    fn check_space(&self, name: &str) -> Result<(), Error> {
        let has_space = !is_full(self.desired) || !self.desired.facts.expired.is_empty();
        if *name != next(&self.desired.name) || has_space {
            return Ok(());
        }
        let mount = &self.desired.mount;
        Err(Error::Conflict(format!(
            "{} has {MOST_FORMER} former issuers whose certificates have not expired, and is not rotated: delete issuers that are \
             not needed and their keys in OpenBao, at {mount}/issuer/<name> and {mount}/key/<name>",
            self.located(&format!("issuer {}", self.desired.name))
        )))
    }

    fn hold_key(&self, name: &str) -> Result<(), Error> {
        let (what, path) = (format!("key {name}"), key_path(&self.desired.mount, name));
        if *name == next(&self.desired.name) {
            return self.hold_next(&what, &path);
        }
        self.hold(&what, &path)
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

    fn check_certificate(
        &self,
        (issuer, current): (&Issuer, &Current),
        is_recorded: bool,
    ) -> Result<(), Error> {
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

    /// Deletes former issuers that expired, to make space for another one.
    fn expired(&self) -> Vec<Write> {
        let namespace = &self.desired.facts.home.namespace;
        let delete = |path: &String| Write::delete(namespace, path.clone(), EXPIRED);
        self.desired.facts.expired.iter().map(delete).collect()
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

    /// Replaces the issuer by the next one.
    fn succession(&self, next: &Issuer) -> Result<Vec<Write>, Error> {
        let Desired { spec, facts, name, .. } = self.desired;
        let settings = request::settings(spec)?;
        let found = facts.snapshot.next.as_ref().map(|next| &next.settings);
        let differs = found.is_some_and(|found| !differences(&settings, found).is_empty());
        let write = |step: Step| match step {
            Step::Settings { .. } if !differs => None,
            Step::Settings { issuer } => Some(self.settings(&issuer, settings.clone())),
            Step::Default { issuer } => Some(self.default(&issuer)),
            Step::RenameKey { id, name } => Some(self.rename("key", &id, &name)),
            Step::RenameIssuer { id, name } => Some(self.rename("issuer", &id, &name)),
        };
        let succession = Succession { snapshot: &facts.snapshot, name, next, is_default: spec.default };
        Ok(succession.steps().into_iter().filter_map(write).collect())
    }

    fn rename(&self, what: &str, id: &str, name: &str) -> Write {
        let body = Map::from_iter([(format!("{what}_name"), json!(name))]);
        let method = if what == "key" { Method::POST } else { Method::PATCH };
        let path = format!("{}/{what}/{id}", self.desired.mount);
        // The settings of an issuer are another part of it at the same path.
        let part = format!("{path}/name");
        self.update(send(method, path, body)).of_resource(&part)
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
            writes.push(self.default(&issuer.id));
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

    fn default(&self, issuer: &str) -> Write {
        let body = Map::from_iter([("default".to_owned(), json!(issuer))]);
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use rstest::rstest;
    use steamer_api::Adopt;
    use steamer_openbao::NamespacePath;

    use super::*;
    use crate::pki_issuer::fixture;

    /// Paths of the writes, or the error.
    fn planned(desired: &Desired, adopt: Adopt) -> Result<Vec<String>, String> {
        let (mark, root) = (fixture::mark(), NamespacePath::root());
        let rights = Rights { mark: &mark, root: &root, adopt, exists: &|_| false };
        let plan = plan(desired, &rights).map_err(|error| error.to_string())?;
        Ok(plan.writes.iter().map(|write| write.described(&root).path).collect())
    }

    fn both(name: &str) -> [String; 2] {
        [key_path("pki", name), issuer_path("pki", name)]
    }

    #[rstest]
    #[case::of_someone_else(&["ca"], "CA", Err("has the name of the next issuer of a rotation"))]
    #[case::own(&["ca", "ca-next"], "CA", Ok("pki/issuer/id-ca-next"))]
    #[case::replaced_by_hand(&["ca", "ca-next"], "Other", Err("has the common name Other instead of CA"))]
    fn only_the_next_issuer_of_the_object_replaces_the_current_one(
        #[case] recorded: &[&str],
        #[case] common_name: &str,
        #[case] expected: Result<&str, &str>,
    ) {
        let mut snapshot = fixture::mount(&["ca", "ca-next"]);
        snapshot.next = Some(fixture::current(common_name));
        let recorded: Vec<String> = recorded.iter().flat_map(|name| both(name)).collect();
        let found = planned(&fixture::desired(snapshot, &recorded, &json!({})), Adopt::IfUnowned);
        match expected {
            Ok(last) => assert_eq!(found.unwrap().last().map(String::as_str), Some(last)),
            Err(text) => assert!(found.as_ref().is_err_and(|error| error.contains(text)), "{found:?}"),
        }
    }

    #[rstest]
    #[case::missing(json!({}), 2)]
    #[case::written_before_a_crash(json!({"issuing_certificates": ["http://a/ca"]}), 1)]
    fn settings_that_the_next_issuer_has_are_not_written_again(
        #[case] settings: Value,
        #[case] expected: usize,
    ) {
        let mut snapshot = fixture::mount(&["ca", "ca-next"]);
        if let Some(next) = &mut snapshot.next {
            next.settings = settings.as_object().cloned().unwrap_or_default();
        }
        let recorded: Vec<String> = ["ca", "ca-next"].into_iter().flat_map(both).collect();
        let changes = json!({"urls": {"issuingCertificates": ["http://a/ca"]}});
        let paths = planned(&fixture::desired(snapshot, &recorded, &changes), Adopt::Never).unwrap();
        // The other write is the one of the name.
        assert_eq!(paths.iter().filter(|path| *path == "pki/issuer/id-ca-next").count(), expected);
    }

    #[test]
    fn a_key_with_the_name_of_the_next_one_is_not_adopted() {
        let mut snapshot = fixture::mount(&["ca"]);
        snapshot.keys.push(Key { id: "foreign".to_owned(), name: "ca-next".to_owned() });
        let mut desired = fixture::desired(snapshot, &both("ca"), &json!({}));
        desired.rotates_at = Some(Timestamp::UNIX_EPOCH);
        let error = planned(&desired, Adopt::IfUnowned).unwrap_err();
        assert!(error.starts_with("key ca-next of mount pki") && error.contains("next issuer"), "{error}");
    }

    #[test]
    fn an_announced_issuer_with_another_type_of_key_is_that_of_someone_else() {
        let mut snapshot = fixture::mount(&["ca"]);
        if let Some(current) = &mut snapshot.current {
            current.certificate.key_type = "rsa";
        }
        let mut desired = fixture::desired(snapshot, &both("ca"), &json!({}));
        assert!(planned(&desired, Adopt::Never).is_ok());
        for entry in desired.facts.owned.iter_mut().flat_map(|owned| &mut owned.resources) {
            entry.pending = true;
        }
        let error = planned(&desired, Adopt::Never).unwrap_err();
        assert!(error.contains("has a key of type rsa instead of ec"), "{error}");
    }

    #[rstest]
    #[case::does_not_exist(&[], &[], &["pki/root/generate/internal"])]
    #[case::owned(&["ca"], &["ca"], &["pki/config/issuers", "pki/config/crl"])]
    fn settings_of_the_mount_are_written_after_the_object_owns_its_issuer(
        #[case] issuers: &[&str],
        #[case] recorded: &[&str],
        #[case] expected: &[&str],
    ) {
        let changes = json!({"default": true, "crl": {"expiry": "24h"}});
        let recorded: Vec<String> = recorded.iter().flat_map(|name| both(name)).collect();
        let desired = fixture::desired(fixture::mount(issuers), &recorded, &changes);
        assert_eq!(planned(&desired, Adopt::Never).unwrap(), expected);
    }
}
