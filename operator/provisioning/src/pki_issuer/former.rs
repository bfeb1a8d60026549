//! Former issuers whose certificates have expired. They are deleted once the record has no space for another one.

use steamer_core::error::Error;
use steamer_openbao::Session;

use super::desired::Desired;
use super::names::next;
use super::owned::{former_issuers, is_full, issuer_path, key_name, key_path};
use super::snapshot::{Issuer, read_issuer};
use super::stage::Stage;

/// Paths of former issuers that expired, and of their keys, in the order of their deletion. Empty while the record has space.
/// `session` is in the OpenBao namespace of the mount.
pub(super) async fn expired(session: &Session, desired: &Desired) -> Result<Vec<String>, Error> {
    if !is_needed(desired) {
        return Ok(Vec::new());
    }
    let mut expired = Vec::new();
    for issuer in former_issuers(desired) {
        let found = read_issuer(session, Some(issuer_path(&desired.mount, &issuer.id))).await?;
        if found.is_some_and(|it| it.certificate.not_after <= desired.facts.now) {
            expired.push(issuer);
        }
    }
    Ok(paths(desired, &expired))
}

/// Returns true if a rotation starts and the record has no space for its former issuer.
fn is_needed(desired: &Desired) -> bool {
    let starts = matches!(desired.stage(), Stage::Missing { name, key: None } if name == next(&desired.name));
    starts && is_full(desired)
}

/// OpenBao deletes no key that an issuer uses: issuers come first, and keys of other issuers stay.
fn paths(desired: &Desired, expired: &[&Issuer]) -> Vec<String> {
    let snapshot = &desired.facts.snapshot;
    let is_expired = |it: &Issuer| expired.iter().any(|other| other.id == it.id);
    let is_unused =
        |issuer: &&&Issuer| snapshot.issuers.iter().all(|it| it.key != issuer.key || is_expired(it));
    let key = |issuer: &&Issuer| Some(key_path(&desired.mount, key_name(snapshot, issuer)?));
    let keys = expired.iter().filter(is_unused).filter_map(key).filter(|path| desired.is_owned(path));
    let mut paths: Vec<String> = expired.iter().map(|it| issuer_path(&desired.mount, &it.name)).collect();
    paths.extend(keys);
    paths
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::pki_issuer::fixture;
    use crate::pki_issuer::owned::MOST_FORMER;

    /// An issuer whose rotation is due, with that number of former ones.
    fn desired(former: usize) -> Desired {
        let names: Vec<String> =
            (0..former).map(|it| format!("ca-{it:08}")).chain(["ca".to_owned()]).collect();
        let recorded: Vec<String> =
            names.iter().flat_map(|name| [key_path("pki", name), issuer_path("pki", name)]).collect();
        let mut desired = fixture::desired(fixture::mount(&names), &recorded, &json!({}));
        desired.rotates_at = Some(Timestamp::UNIX_EPOCH);
        desired
    }

    #[test]
    fn certificates_are_read_only_without_space_for_another_issuer() {
        assert!(!is_needed(&desired(MOST_FORMER - 1)));
        assert!(is_needed(&desired(MOST_FORMER)));
        assert!(!is_needed(&Desired { rotates_at: None, ..desired(MOST_FORMER) }));
    }

    #[test]
    fn a_key_that_another_issuer_uses_stays() {
        let mut desired = desired(2);
        let snapshot = &mut desired.facts.snapshot;
        let shared =
            Issuer { id: "other".to_owned(), name: "other".to_owned(), key: "key-ca-00000001".to_owned() };
        snapshot.issuers.push(shared);
        let expired: Vec<&Issuer> = former_issuers(&desired).collect();
        assert_eq!(
            paths(&desired, &expired),
            ["pki/issuer/ca-00000000", "pki/issuer/ca-00000001", "pki/key/ca-00000000"]
        );
    }

    #[test]
    fn the_default_issuer_and_issuers_of_others_stay() {
        let mut desired = desired(2);
        desired.facts.snapshot.default = "id-ca-00000000".to_owned();
        let foreign = Issuer { id: "x".to_owned(), name: "x".to_owned(), key: "x".to_owned() };
        desired.facts.snapshot.issuers.push(foreign);
        let names: Vec<&str> = former_issuers(&desired).map(|it| &*it.name).collect();
        assert_eq!(names, ["ca-00000001"]);
    }
}
