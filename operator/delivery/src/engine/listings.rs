//! Shared lists: objects that search the same folder with the same login at the same time share one request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use steamer_api::KvType;
use steamer_openbao::{CustomMetadata, Error};

use super::readings::{Reader, Request};
use super::recent::{Answer, Recent};

/// Approximate number of bytes of a request, and of a name without its text.
const OVERHEAD: usize = 128;

/// A list of a folder, and the login for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Folder {
    /// The folder as the path of a request.
    pub(crate) request: Request,
    /// With the custom metadata of each name.
    pub(crate) detailed: bool,
}

/// The names in a folder, and when they were read.
pub(crate) struct Listing {
    /// Custom metadata by name. Empty without [`Folder::detailed`].
    pub(crate) names: CustomMetadata,
    pub(crate) at: Instant,
}

impl Answer for Listing {
    const CAPACITY: u64 = 8 << 20;

    fn at(&self) -> Instant {
        self.at
    }

    fn size(&self) -> usize {
        size(&self.names)
    }
}

/// Current and recent lists.
#[derive(Default)]
pub(crate) struct Listings(Recent<Folder, Listing>);

impl Listings {
    /// The names in a folder, read at `oldest` or later.
    ///
    /// # Errors
    /// Any [`Error`] of the request. An error is not kept.
    pub(crate) async fn read(
        &self,
        reader: &Reader,
        folder: &Folder,
        oldest: Instant,
    ) -> Result<Arc<Listing>, Arc<Error>> {
        self.0.read(folder, oldest, fetch(reader, folder)).await
    }
}

async fn fetch(reader: &Reader, folder: &Folder) -> Result<Listing, Error> {
    let (session, Folder { request, detailed }) = (&reader.session, folder);
    let (mount, path, at) = (&request.mount, &request.path, Instant::now());
    let names = match request.kind {
        KvType::V1 => without_metadata(session.list_kv1(mount, path).await?),
        KvType::V2 if *detailed => session.list_kv2_details(mount, path).await?,
        KvType::V2 => without_metadata(session.list_kv2(mount, path).await?),
    };
    Ok(Listing { names, at })
}

fn without_metadata(names: Vec<String>) -> CustomMetadata {
    names.into_iter().map(|name| (name, BTreeMap::new())).collect()
}

/// Approximate number of bytes.
fn size(names: &CustomMetadata) -> usize {
    let metadata = |all: &BTreeMap<String, String>| -> usize {
        all.iter().map(|(key, value)| key.len() + value.len() + OVERHEAD).sum()
    };
    OVERHEAD + names.iter().map(|(name, all)| name.len() + OVERHEAD + metadata(all)).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use steamer_openbao::NamespacePath;

    use super::super::sample;
    use super::*;

    /// Paths of all requests, and whether they are denied.
    #[derive(Default)]
    struct Bao {
        asked: Vec<String>,
        denies: bool,
    }

    impl Bao {
        fn answer(&mut self, path: &str) -> (u16, String) {
            self.asked.push(path.to_owned());
            if self.denies {
                return (403, r#"{"errors":["permission denied"]}"#.to_owned());
            }
            let list = r#"{"request_id":"1","data":{"keys":["a","b/"],"key_info":{"a":{"custom_metadata":{"k":"v"}}}}}"#;
            (200, list.to_owned())
        }
    }

    fn serve() -> (Arc<Mutex<Bao>>, Reader) {
        sample::serve(Bao::default(), Bao::answer)
    }

    fn folder(role: &str, path: &str, detailed: bool) -> Folder {
        let login = sample::login(role, false);
        let (namespace, mount, path) = (NamespacePath::default(), "kv".to_owned(), path.to_owned());
        Folder {
            request: Request { login, namespace, mount, path, kind: KvType::V2, version: None },
            detailed,
        }
    }

    #[tokio::test]
    async fn objects_that_search_a_folder_share_its_list_and_no_other_login_does() {
        let ((bao, reader), listings) = (serve(), Listings::default());
        let start = Instant::now();
        let read = async |folder: Folder, oldest| listings.read(&reader, &folder, oldest).await.ok().unwrap();
        let count = || bao.lock().unwrap().asked.len();

        let team = || folder("app", "team", false);
        let (first, second) = tokio::join!(read(team(), start), read(team(), start));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(first.names.keys().collect::<Vec<_>>(), ["a", "b/"]);
        read(team(), start).await;
        assert_eq!(count(), 1);
        // A list that is older than the object may use is read again, and shared again.
        let later = Instant::now();
        for _ in 0..2 {
            read(team(), later).await;
        }
        assert_eq!(count(), 2);
        // Another folder, another login, and the list with metadata.
        read(folder("app", "other", false), start).await;
        read(folder("another", "team", false), start).await;
        let detailed = read(folder("app", "team", true), start).await;
        assert_eq!(detailed.names["a"]["k"], "v");
        assert_eq!(count(), 5);
    }

    #[tokio::test]
    async fn a_denied_list_is_asked_again() {
        let ((bao, reader), listings) = (serve(), Listings::default());
        let (team, oldest) = (folder("app", "team", false), Instant::now());
        bao.lock().unwrap().denies = true;
        let denied = listings.read(&reader, &team, oldest).await;
        assert!(denied.is_err());
        bao.lock().unwrap().denies = false;
        assert!(listings.read(&reader, &team, oldest).await.is_ok());
    }
}
