//! Shared reads: objects that need the same path with the same login at the same time share one request.

use std::sync::Arc;
use std::time::Instant;

use steamer_api::KvType;
use steamer_core::access::sessions::LoginKey;
use steamer_openbao::{Error, Kv, NamespacePath, Session};
use steamer_runtime::Metrics;

use super::held::Held;
use super::mounts::{MountKey, Mounts, Recorded};
use super::recent::{Answer, Recent};
use super::requests::Dedicated;

/// Approximate number of bytes of a request.
const REQUEST: usize = 1024;

impl MountKey {
    fn of(source: &Request) -> Self {
        let Request { login, namespace, mount, kind, path: _, version: _ } = source;
        Self { login: login.clone(), namespace: namespace.clone(), mount: mount.clone(), kind: *kind }
    }
}

/// A read of a value, and the login for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Request {
    pub(crate) login: Arc<LoginKey>,
    pub(crate) namespace: NamespacePath,
    pub(crate) mount: String,
    pub(crate) path: String,
    pub(crate) kind: KvType,
    pub(crate) version: Option<i64>,
}

/// Sessions of one login in one namespace.
#[derive(Clone)]
pub(crate) struct Reader {
    /// Session for values.
    pub(crate) session: Session,
    /// Session with a token, for checks of mounts.
    pub(crate) token: Session,
}

/// A value, and when it was read.
pub(crate) struct Reading {
    pub(crate) value: Kv,
    pub(crate) at: Instant,
    /// ID of the mount, if it contains no value.
    mount: Option<String>,
}

impl Answer for Reading {
    const CAPACITY: u64 = 32 << 20;

    fn at(&self) -> Instant {
        self.at
    }

    fn size(&self) -> usize {
        self.value.size().saturating_add(REQUEST)
    }
}

/// A value for one object.
pub(crate) struct Read {
    pub(crate) reading: Arc<Reading>,
    /// ID of the mount, if it was checked. Known for an absent value.
    pub(crate) mount: Option<String>,
}

/// Current and recent reads.
pub(crate) struct Readings {
    shared: Recent<Request, Reading>,
    mounts: Mounts,
    metrics: Arc<Metrics>,
}

/// Conditions for a value.
pub(crate) struct Asked<'a> {
    /// The value that was obtained last.
    pub(crate) held: Option<&'a Held>,
    /// How old a shared value may be.
    pub(crate) oldest: Instant,
    /// ID of the mount that contained the value, if the source has the same mount.
    pub(crate) mount: Option<&'a str>,
    /// Another ID of the mount that the user accepts.
    pub(crate) accepted: Option<&'a str>,
    /// Session for a value that depends on its token.
    pub(crate) dedicated: Option<&'a Dedicated>,
}

impl Asked<'_> {
    /// Returns true if a missing value of the mount with this ID is a deleted value.
    pub(crate) fn recognizes(&self, mount: &str) -> bool {
        self.mount.is_none_or(|known| known == mount) || self.accepted == Some(mount)
    }
}

impl Readings {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { shared: Recent::default(), mounts: Mounts::default(), metrics }
    }

    /// The value, read at `asked.oldest` or later.
    pub(crate) async fn read(
        &self,
        reader: &Reader,
        source: &Request,
        asked: &Asked<'_>,
    ) -> Result<Read, Arc<Error>> {
        let checked = self.checked(reader, source, asked).await?;
        let reading = match self.shared.read(source, asked.oldest, self.fetch(reader, source)).await {
            Ok(reading) => reading,
            Err(error) => {
                self.mounts.forget_refusal(&MountKey::of(source)).await;
                return Err(error);
            }
        };
        Ok(Read { mount: reading.mount.clone().or(checked), reading })
    }

    /// Checks the mount of a request. Returns its ID, if it is known.
    ///
    /// # Errors
    /// As [`Mounts::check`].
    pub(crate) async fn checked(
        &self,
        reader: &Reader,
        source: &Request,
        asked: &Asked<'_>,
    ) -> Result<Option<String>, Arc<Error>> {
        let recorded = if asked.mount.is_some() { Recorded::Yes } else { Recorded::No };
        self.mounts.check(&reader.token, &MountKey::of(source), recorded).await
    }

    /// The current ID of a mount that contains no value.
    ///
    /// # Errors
    /// As [`Mounts::confirm_absence`].
    pub(crate) async fn confirmed(&self, reader: &Reader, source: &Request) -> Result<String, Error> {
        self.mounts.confirm_absence(&reader.token, &MountKey::of(source)).await
    }

    async fn fetch(&self, reader: &Reader, source: &Request) -> Result<Reading, Error> {
        let session = &reader.session;
        self.metrics.value_read();
        let at = Instant::now();
        let value = match source.kind {
            KvType::V1 => session.read_kv1(&source.mount, &source.path).await?,
            KvType::V2 => session.read_kv2(&source.mount, &source.path, source.version).await?,
        };
        let mount = match &value {
            Kv::Absent => Some(self.mounts.confirm_absence(&reader.token, &MountKey::of(source)).await?),
            Kv::Value { .. } | Kv::Deleted { .. } => None,
        };
        Ok(Reading { value, at, mount })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use rstest::rstest;

    use super::super::sample;
    use super::*;

    /// An OpenBao with one mount.
    struct Bao {
        /// ID of the mount.
        id: &'static str,
        has_value: bool,
        /// All requests are denied.
        denies: bool,
        /// Number of checks of the mount.
        checks: usize,
    }

    impl Bao {
        fn answer(&mut self, path: &str) -> (u16, String) {
            let is_check = path.contains("/sys/internal/ui/mounts/");
            self.checks += usize::from(is_check);
            if self.denies {
                return (403, r#"{"errors":["permission denied"]}"#.to_owned());
            }
            if is_check {
                let data = format!(
                    r#"{{"type":"kv","path":"kv/","options":{{"version":"2"}},"uuid":"{}"}}"#,
                    self.id
                );
                return (200, format!(r#"{{"request_id":"1","data":{data}}}"#));
            }
            if self.has_value {
                return (
                    200,
                    r#"{"request_id":"1","data":{"data":{"a":"1"},"metadata":{"version":1}}}"#.to_owned(),
                );
            }
            (404, r#"{"errors":[]}"#.to_owned())
        }
    }

    fn serve() -> (Arc<Mutex<Bao>>, Reader) {
        sample::serve(Bao { id: "one", has_value: true, denies: false, checks: 0 }, Bao::answer)
    }

    fn request(inline: bool) -> Request {
        let login = sample::login("role", inline);
        let (mount, path) = ("kv".to_owned(), "app".to_owned());
        Request { login, namespace: NamespacePath::default(), mount, path, kind: KvType::V2, version: None }
    }

    /// Reads the value now. Returns the ID of the mount.
    async fn id(
        readings: &Readings,
        reader: &Reader,
        source: &Request,
        mount: Option<&str>,
    ) -> Option<String> {
        let asked = Asked { held: None, oldest: Instant::now(), mount, accepted: None, dedicated: None };
        readings.read(reader, source, &asked).await.ok().unwrap().mount
    }

    #[rstest]
    #[case::token(false, 1)]
    #[case::inline(true, 0)]
    #[tokio::test]
    async fn the_id_of_a_mount_is_asked_once_and_again_before_a_value_counts_as_absent(
        #[case] inline: bool,
        #[case] checks_after_a_restart: usize,
    ) {
        let ((bao, reader), source) = (serve(), request(inline));
        let readings = Readings::new(Arc::default());
        for mount in [None, Some("one"), Some("one"), None] {
            assert_eq!(id(&readings, &reader, &source, mount).await.as_deref(), Some("one"));
        }
        assert_eq!(bao.lock().unwrap().checks, 1);

        let restarted = Readings::new(Arc::default());
        bao.lock().unwrap().checks = 0;
        for _ in 0..3 {
            id(&restarted, &reader, &source, Some("one")).await;
        }
        assert_eq!(bao.lock().unwrap().checks, checks_after_a_restart);

        // Recreated without the value: each read states the current mount.
        *bao.lock().unwrap() = Bao { id: "two", has_value: false, denies: false, checks: 0 };
        for _ in 0..2 {
            assert_eq!(id(&restarted, &reader, &source, Some("one")).await.as_deref(), Some("two"));
        }
        // Restored: the new mount is known.
        bao.lock().unwrap().has_value = true;
        assert_eq!(id(&restarted, &reader, &source, Some("one")).await.as_deref(), Some("two"));
    }

    #[rstest]
    #[case::token(false)]
    #[case::inline(true)]
    #[tokio::test]
    async fn a_login_that_becomes_permitted_records_the_id_of_the_mount(#[case] inline: bool) {
        let ((bao, reader), source) = (serve(), request(inline));
        let readings = Readings::new(Arc::default());
        bao.lock().unwrap().denies = true;
        let asked =
            || Asked { held: None, oldest: Instant::now(), mount: None, accepted: None, dedicated: None };
        assert!(readings.read(&reader, &source, &asked()).await.is_err());
        bao.lock().unwrap().denies = false;
        assert_eq!(id(&readings, &reader, &source, None).await.as_deref(), Some("one"));
    }

    #[rstest]
    #[case::first_read(None, None, true)]
    #[case::same_mount(Some("new"), None, true)]
    #[case::recreated(Some("old"), None, false)]
    #[case::accepted(Some("old"), Some("new"), true)]
    #[case::another_one_accepted(Some("old"), Some("newer"), false)]
    fn a_missing_value_of_a_recreated_mount_is_not_deleted(
        #[case] mount: Option<&str>,
        #[case] accepted: Option<&str>,
        #[case] expected: bool,
    ) {
        let asked = Asked { held: None, oldest: Instant::now(), mount, accepted, dedicated: None };
        assert_eq!(asked.recognizes("new"), expected);
    }
}
