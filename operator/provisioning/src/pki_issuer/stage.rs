//! What a mount contains of an issuer. Each stage follows from the names of issuers and keys alone, so that a crash between
//! two requests, or a lost status, continues where it ended and never creates a second key.

use super::names::next;
use super::snapshot::{Issuer, Key, Snapshot};

/// Progress of an issuer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stage<'a> {
    /// The issuer exists.
    Exists(&'a Issuer),
    /// No issuer has a key of that name. The key may exist.
    Missing { name: String, key: Option<&'a Key> },
    /// An issuer has the key of that name, and another name or none.
    Unnamed { name: String, issuer: &'a Issuer },
    /// A rotation created the next issuer, which does not have the name of the object yet.
    Next(&'a Issuer),
}

/// The stage of the issuer `name`. `is_due`: another issuer must replace it.
pub(super) fn stage<'a>(snapshot: &'a Snapshot, name: &str, is_due: bool) -> Stage<'a> {
    if let Some(successor) = snapshot.issuer(&next(name)) {
        return Stage::Next(successor);
    }
    match snapshot.issuer(name) {
        Some(issuer) if !is_due => Stage::Exists(issuer),
        Some(_) => incomplete(snapshot, next(name)),
        None => incomplete(snapshot, name.to_owned()),
    }
}

fn incomplete(snapshot: &Snapshot, name: String) -> Stage<'_> {
    let key = snapshot.key(&name);
    match key.and_then(|key| snapshot.issuer_of(key)) {
        Some(issuer) => Stage::Unnamed { name, issuer },
        None => Stage::Missing { name, key },
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// Issuers as `name:key ID`, keys as `name`, each with the ID `k<position>`.
    fn snapshot(issuers: &[&str], keys: &[&str]) -> Snapshot {
        let issuer = |(number, text): (usize, &&str)| {
            let (name, key) = text.split_once(':').unwrap();
            Issuer { id: format!("i{number}"), name: name.to_owned(), key: key.to_owned() }
        };
        let key = |(number, name): (usize, &&str)| Key { id: format!("k{number}"), name: (*name).to_owned() };
        Snapshot {
            issuers: issuers.iter().enumerate().map(issuer).collect(),
            keys: keys.iter().enumerate().map(key).collect(),
            ..Snapshot::default()
        }
    }

    #[rstest]
    #[case::nothing(&[], &[], false, "new ca")]
    #[case::others(&["other:k0"], &["other"], false, "new ca")]
    #[case::key_only(&[], &["ca"], false, "key k0 for ca")]
    #[case::imported(&[":k0", ":"], &["ca"], false, "name i0 ca")]
    #[case::renamed_by_hand(&["x:k0"], &["ca"], false, "name i0 ca")]
    #[case::exists(&["ca:k0"], &["ca"], false, "exists i0")]
    #[case::exists_with_another_key_name(&["ca:k0"], &["x"], false, "exists i0")]
    #[case::due(&["ca:k0"], &["ca"], true, "new ca-next")]
    #[case::next_key(&["ca:k0"], &["ca", "ca-next"], true, "key k1 for ca-next")]
    #[case::next_imported(&["ca:k0", ":k1"], &["ca", "ca-next"], true, "name i1 ca-next")]
    #[case::next(&["ca:k0", "ca-next:k1"], &["ca", "ca-next"], true, "next i1")]
    #[case::old_key_renamed(&["ca:k0", "ca-next:k1"], &["ca-1234", "ca-next"], true, "next i1")]
    #[case::next_key_renamed(&["ca:k0", "ca-next:k1"], &["ca-1234", "ca"], true, "next i1")]
    #[case::old_issuer_renamed(&["ca-1234:k0", "ca-next:k1"], &["ca-1234", "ca"], false, "next i1")]
    #[case::rotated(&["ca-1234:k0", "ca:k1"], &["ca-1234", "ca"], false, "exists i1")]
    fn every_state_that_a_crash_leaves_leads_on(
        #[case] issuers: &[&str],
        #[case] keys: &[&str],
        #[case] is_due: bool,
        #[case] expected: &str,
    ) {
        let snapshot = snapshot(issuers, keys);
        let found = match stage(&snapshot, "ca", is_due) {
            Stage::Exists(issuer) => format!("exists {}", issuer.id),
            Stage::Missing { name, key: None } => format!("new {name}"),
            Stage::Missing { name, key: Some(key) } => format!("key {} for {name}", key.id),
            Stage::Unnamed { name, issuer } => format!("name {} {name}", issuer.id),
            Stage::Next(issuer) => format!("next {}", issuer.id),
        };
        assert_eq!(found, expected);
    }
}
