//! Secrets of a KV engine that a source finds by path, name and custom metadata. The number of requests and names is bounded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use steamer_api::{Find, KvType};
use steamer_core::Error;
use steamer_openbao::{CustomMetadata, Error as OpenBao};

use crate::engine::{Folder, Listing, Listings, Reader, Request, Rule, denied_to_all};
use crate::naming::expression;

/// Most names in all folders.
const NAMES: usize = 1000;
/// Most folders.
const FOLDERS: usize = 100;
/// Most levels of folders.
const LEVELS: usize = 8;
/// Most secrets that match.
const SECRETS: usize = 100;

/// The lists that a search uses.
pub(super) struct Lists<'a> {
    pub(super) listings: &'a Listings,
    pub(super) reader: &'a Reader,
    /// How old a shared list may be.
    pub(super) oldest: Instant,
}

/// The secrets that match.
pub(super) struct Matches {
    /// Paths below the folder of the request.
    pub(super) paths: Vec<String>,
    /// When the oldest list was read.
    pub(super) at: Instant,
}

/// All secrets that match.
///
/// # Errors
/// [`Error::Invalid`] if a bound is exceeded. Any error of a request; if OpenBao denies a list, it states the missing policy.
pub(super) async fn found(lists: &Lists<'_>, read: &Request, find: &Find) -> Result<Matches, Error> {
    let (mut walk, mut at) = (Walk::default(), Instant::now());
    while let Some(folder) = walk.next() {
        let listing = names(lists, read, (find, &folder)).await.map_err(|error| {
            let rule = Rule { path: rule(read, find), capability: "list" };
            denied_to_all(error, rule)
        })?;
        at = at.min(listing.at);
        walk.add(&folder, listing.names.clone()).map_err(|bound| exceeded(read, &bound))?;
    }
    let paths = chosen(walk.secrets, find)?;
    if paths.len() > SECRETS {
        return Err(exceeded(read, &format!("{} secrets match, at most {SECRETS} are written", paths.len())));
    }
    Ok(Matches { paths, at })
}

/// The names in a folder, with their custom metadata if it is needed.
async fn names(
    lists: &Lists<'_>,
    read: &Request,
    (find, folder): (&Find, &str),
) -> Result<Arc<Listing>, Arc<OpenBao>> {
    let path = joined(&read.path, folder);
    let request = Request { path: path.trim_end_matches('/').to_owned(), version: None, ..read.clone() };
    let folder = Folder { request, detailed: read.kind == KvType::V2 && !find.metadata.is_empty() };
    lists.listings.read(lists.reader, &folder, lists.oldest).await
}

/// Path of the rule that permits the lists, relative to the OpenBao namespace.
fn rule(read: &Request, find: &Find) -> String {
    let folder = match read.kind {
        KvType::V1 => "",
        KvType::V2 if find.metadata.is_empty() => "/metadata",
        KvType::V2 => "/detailed-metadata",
    };
    format!("{}{folder}/{}", read.mount, joined(&read.path, "*"))
}

/// Path of a name in a folder.
pub(super) fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Folders that are not listed yet, and the secrets of the others.
struct Walk {
    folders: Vec<String>,
    secrets: CustomMetadata,
    lists: usize,
    names: usize,
}

impl Default for Walk {
    fn default() -> Self {
        Self { folders: vec![String::new()], secrets: CustomMetadata::new(), lists: 1, names: 0 }
    }
}

impl Walk {
    /// The next folder to list.
    fn next(&mut self) -> Option<String> {
        self.folders.pop()
    }

    /// Adds the names of a folder. Returns the bound that they exceed.
    fn add(&mut self, folder: &str, names: CustomMetadata) -> Result<(), String> {
        self.names += names.len();
        for (name, metadata) in names.into_iter().filter(|(name, _)| !is_unsafe(name)) {
            let path = format!("{folder}{name}");
            if path.ends_with('/') {
                self.lists += 1;
                self.folders.push(path);
            } else {
                self.secrets.insert(path, metadata);
            }
        }
        let levels = self.folders.iter().map(|folder| folder.matches('/').count()).max().unwrap_or_default();
        let bounds =
            [(self.names, NAMES, "names"), (self.lists, FOLDERS, "folders"), (levels, LEVELS, "levels")];
        match bounds.iter().find(|(count, most, _)| count > most) {
            Some((_, most, what)) => Err(format!("it has more than {most} {what}")),
            None => Ok(()),
        }
    }
}

/// Returns true for a name that would be another path.
fn is_unsafe(name: &str) -> bool {
    let segment = name.strip_suffix('/').unwrap_or(name);
    segment.is_empty()
        || [".", ".."].contains(&segment)
        || segment.contains(|it: char| it == '/' || it.is_control())
}

/// The secrets that match name and metadata.
fn chosen(secrets: CustomMetadata, find: &Find) -> Result<Vec<String>, Error> {
    let pattern =
        find.regexp.as_deref().map(|text| expression(text, "sources", "find.regexp")).transpose()?;
    let is_chosen = |(path, metadata): &(String, BTreeMap<String, String>)| {
        pattern.as_ref().is_none_or(|pattern| pattern.is_match(path))
            && find.metadata.iter().all(|(key, value)| metadata.get(key) == Some(value))
    };
    Ok(secrets.into_iter().filter(is_chosen).map(|(path, _)| path).collect())
}

fn exceeded(read: &Request, bound: &str) -> Error {
    Error::Invalid(format!(
        "find in {}/{}: {bound}: set a longer find.path, or find.regexp",
        read.mount, read.path
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn names(names: &[&str]) -> CustomMetadata {
        names.iter().map(|name| ((*name).to_owned(), BTreeMap::new())).collect()
    }

    #[test]
    fn folders_are_listed_and_unsafe_names_are_ignored() {
        let mut walk = Walk::default();
        assert_eq!(walk.next().as_deref(), Some(""));
        walk.add("", names(&["db", "team/", "../", "", "a\nb"])).unwrap();
        assert_eq!(walk.next().as_deref(), Some("team/"));
        walk.add("team/", names(&["api", "team"])).unwrap();
        assert_eq!(walk.next(), None);
        assert_eq!(walk.secrets.keys().collect::<Vec<_>>(), ["db", "team/api", "team/team"]);
    }

    #[test]
    fn names_folders_and_levels_are_bounded() {
        let many =
            |count: usize, end: &str| (0..count).map(|it| (format!("{it}{end}"), BTreeMap::new())).collect();
        let add = |names| Walk::default().add("", names);
        assert_eq!(add(many(1000, "")), Ok(()));
        assert_eq!(add(many(1001, "")).unwrap_err(), "it has more than 1000 names");
        assert_eq!(add(many(99, "/")), Ok(()));
        assert_eq!(add(many(100, "/")).unwrap_err(), "it has more than 100 folders");
        let deep = "a/".repeat(8);
        assert_eq!(Walk::default().add(&deep, names(&["b"])), Ok(()));
        assert_eq!(Walk::default().add(&deep, names(&["b/"])).unwrap_err(), "it has more than 8 levels");
    }

    #[rstest]
    #[case::all(json!({}), &["db/password", "db/user", "web"])]
    #[case::name(json!({"regexp": "^db/"}), &["db/password", "db/user"])]
    #[case::metadata(json!({"metadata": {"team": "web"}}), &["db/user", "web"])]
    #[case::both(json!({"regexp": "^db/", "metadata": {"team": "web"}}), &["db/user"])]
    #[case::another_value(json!({"metadata": {"team": "x"}}), &[])]
    #[case::two(json!({"metadata": {"team": "web", "tier": "1"}}), &["web"])]
    fn secrets_are_chosen_by_name_and_metadata(#[case] find: Value, #[case] expected: &[&str]) {
        let metadata = [
            ("db/password", json!({})),
            ("db/user", json!({"team": "web"})),
            ("web", json!({"team": "web", "tier": "1"})),
        ];
        let secrets = metadata.map(|(path, of)| (path.to_owned(), serde_json::from_value(of).unwrap()));
        let find: Find = serde_json::from_value(find).unwrap();
        assert_eq!(chosen(secrets.into(), &find).unwrap(), expected);
    }

    #[test]
    fn paths_are_joined() {
        assert_eq!(
            (joined("", "a"), joined("a", ""), joined("a", "b/c")),
            ("a".into(), "a/".into(), "a/b/c".into())
        );
    }
}
