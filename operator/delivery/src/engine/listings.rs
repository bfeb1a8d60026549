//! Shared lists: objects that search the same folder with the same login at the same time share one request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use steamer_api::KvType;
use steamer_openbao::{CustomMetadata, Error};

use super::readings::{Reader, Request, SHARED};

/// Most bytes of all lists that are kept.
const CAPACITY: u64 = 8 << 20;
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

/// Current and recent lists.
pub(crate) struct Listings(moka::future::Cache<Folder, Arc<Listing>>);

impl Default for Listings {
    fn default() -> Self {
        let weigh =
            |_: &Folder, listing: &Arc<Listing>| u32::try_from(size(&listing.names)).unwrap_or(u32::MAX);
        let shared =
            moka::future::Cache::builder().time_to_live(SHARED).weigher(weigh).max_capacity(CAPACITY);
        Self(shared.build())
    }
}

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
        if self.0.get(folder).await.is_some_and(|listing| listing.at < oldest) {
            self.0.invalidate(folder).await;
        }
        self.0.try_get_with(folder.clone(), fetch(reader, folder)).await
    }
}

async fn fetch(reader: &Reader, folder: &Folder) -> Result<Arc<Listing>, Error> {
    let (session, Folder { request, detailed }) = (&reader.session, folder);
    let (mount, path, at) = (&request.mount, &request.path, Instant::now());
    let names = match request.kind {
        KvType::V1 => without_metadata(session.list_kv1(mount, path).await?),
        KvType::V2 if *detailed => session.list_kv2_details(mount, path).await?,
        KvType::V2 => without_metadata(session.list_kv2(mount, path).await?),
    };
    Ok(Arc::new(Listing { names, at }))
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
    use std::io::{Read as _, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Mutex;

    use steamer_core::access::sessions::{CredentialOwner, LoginKey, LoginMethod, ServerKey};
    use steamer_openbao::{Client, Identity, NamespacePath, Outgoing, Settings};
    use steamer_runtime::ObjectName;

    use super::*;

    /// Paths of all requests, and whether they are denied.
    #[derive(Default)]
    struct Bao {
        asked: Vec<String>,
        denies: bool,
    }

    fn respond(mut stream: TcpStream, bao: &Mutex<Bao>) -> std::io::Result<()> {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut bao = bao.lock().unwrap();
        bao.asked.push(head.split(' ').nth(1).unwrap_or_default().to_owned());
        let (status, body) = if bao.denies {
            (403, r#"{"errors":["permission denied"]}"#)
        } else {
            (
                200,
                r#"{"request_id":"1","data":{"keys":["a","b/"],"key_info":{"a":{"custom_metadata":{"k":"v"}}}}}"#,
            )
        };
        let length = body.len();
        write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
    }

    fn serve() -> (Arc<Mutex<Bao>>, Reader) {
        let bao = Arc::new(Mutex::new(Bao::default()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addresses = vec![format!("http://{}", listener.local_addr().unwrap())];
        let served = bao.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = respond(stream.unwrap(), &served);
            }
        });
        let settings = Settings { addresses, outgoing: Outgoing::LOOPBACK, ..Settings::default() };
        let session = Client::new(&settings).unwrap().session(Identity::Token("t".to_owned().into()));
        (bao, Reader { session: session.clone(), token: session })
    }

    fn folder(role: &str, path: &str, detailed: bool) -> Folder {
        let login = Arc::new(LoginKey {
            server: ServerKey::default(),
            namespace: NamespacePath::default(),
            mount: "kubernetes".to_owned(),
            method: LoginMethod::default(),
            role: role.to_owned(),
            inline: false,
            owner: CredentialOwner::Secret(ObjectName::default(), String::new()),
        });
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
