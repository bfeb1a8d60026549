//! The stamp: the state of the engine that survives a restart. It is an annotation of the Secret, written in the same
//! request as the data, and a field of the status, which an editor of the Secret cannot change. With `create: false`, the Secret
//! has that of an issued value only.

use jiff::Timestamp;
use kube::Resource;
use serde::{Deserialize, Serialize};
use steamer_core::digest::digest;
use steamer_core::mac::Mac;
use steamer_core::served::GROUP;

use super::held::Held;

/// Most values of a stamp that remain to be revoked, before another value is requested.
const MOST_FORMER: usize = 64;
/// Longest text of such a stamp, in bytes. Statuses and annotations are limited, and IDs of leases can be long.
const MOST_BYTES: usize = 48 * 1024;

/// What a Secret contains, without its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Digest of the request for the value. A different request obtains a new value.
    pub(crate) request: String,
    /// Digest of the server, the OpenBao namespace and the mount. Empty in stamps of earlier versions of Steamer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) mount: String,
    /// Digest of the address of the server that issued the value. Empty for values that are read, and in stamps of earlier
    /// versions of Steamer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) server: String,
    /// Digest of the transformation. A different one renders the value again. Empty without a transformation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) rendering: String,
    /// Keyed digest of the content.
    pub(crate) content: String,
    /// The value that was obtained.
    pub(crate) held: Held,
    /// Issued values that this one replaced and that are not revoked yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) former: Vec<Held>,
    /// Keyed digest of a stamp with issued values: an editor of the Secret, or of the status of a served object, must not
    /// choose what is revoked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) seal: String,
    /// Digest of the reconcile annotation that was handled when the value was issued.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) nudge: String,
    /// Number of the last change of the content. The creation of the Secret is change 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) change: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(change: &i64) -> bool {
    *change == 0
}

impl Stamp {
    /// Reads what [`Self::text`] wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Reads the stamp in the status of an object of a kind. Users can edit the status of a served object, so that a stamp with
    /// issued values requires a seal there: it states what is revoked.
    pub(crate) fn of_status<K: Resource<DynamicType = ()>>(text: Option<&str>, mac: &Mac) -> Option<Self> {
        let stamp = Self::parse(text?)?;
        let is_trusted = K::group(&()) != GROUP || !stamp.has_issued() || stamp.is_sealed(mac);
        is_trusted.then_some(stamp)
    }

    /// Whether the stamp states issued values.
    fn has_issued(&self) -> bool {
        self.held.is_issued() || !self.former.is_empty()
    }

    /// Returns true if both belong to the same request and content. Versions and transformations can differ.
    pub(crate) fn is_same_value(&self, other: &Self) -> bool {
        self.request == other.request && self.content == other.content
    }

    /// Returns true if both belong to the same versions and transformation, and false without versions. After a crash, the
    /// keys in a Secret of another client can be newer than the stamp in the status: then the versions differ.
    pub(crate) fn is_same_version(&self, other: &Self) -> bool {
        let Held::Read { versions } = &self.held else { return false };
        let is_known = !versions.is_empty() && versions.iter().all(Option::is_some);
        is_known
            && self.held == other.held
            && self.request == other.request
            && self.rendering == other.rendering
    }

    /// The stamp with its seal, if it states issued values.
    pub(crate) fn sealed(mut self, mac: &Mac) -> Self {
        self.seal.clear();
        if self.has_issued() {
            self.seal = mac.of([("stamp", self.text().as_bytes())]);
        }
        self
    }

    /// Returns true if Steamer wrote this stamp.
    pub(crate) fn is_sealed(&self, mac: &Mac) -> bool {
        !self.seal.is_empty() && self.clone().sealed(mac).seal == self.seal
    }

    /// All values, the current one last.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Held> {
        self.former.iter().chain([&self.held])
    }

    /// The values that remain to be revoked when another value replaces this one. Each states its server.
    pub(crate) fn replaced(&self, now: Timestamp) -> Vec<Held> {
        let live = self.values().filter(|held| held.is_issued() && !held.has_ended(now)).cloned();
        live.map(|held| held.moved(&self.server, &self.server)).collect()
    }

    /// The stamp when the server that issued the value has another address. Former values of other servers stay as they are.
    pub(crate) fn moved(self, server: &str) -> Self {
        let Self { server: last, held, former, .. } = &self;
        let held = held.clone().moved(last, server);
        let former = former.iter().map(|held| held.clone().moved(last, server)).collect();
        Self { server: server.to_owned(), held, former, ..self }
    }

    /// Returns true if no value may replace this one, because too many remain to be revoked.
    pub(crate) fn is_full(&self, now: Timestamp) -> bool {
        self.replaced(now).len() > MOST_FORMER || (!self.former.is_empty() && self.text().len() > MOST_BYTES)
    }

    /// Returns true if the value is from the mount of a source, which another path, version and login do not change.
    pub(crate) fn is_of_mount(&self, request: &str, mount: &str) -> bool {
        self.request == request || (!mount.is_empty() && self.mount == mount)
    }

    /// Text of the annotation.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Digest of a request for a value.
pub(crate) fn request_digest(parts: &[&str]) -> String {
    digest(format!("{parts:?}").as_bytes())[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use steamer_api::BaoDynamicSecret;
    use steamer_core::served::Served;

    use super::super::held::LeaseHeld;
    use super::*;

    #[test]
    fn a_stamp_survives_writing_and_reading() {
        let held = Held::Read { versions: vec![Some(3), None] };
        let (request, mount) = (request_digest(&["a", "b"]), String::new());
        let (rendering, content) = (String::new(), "mac".to_owned());
        let stamp = Stamp { request, mount, rendering, content, held, ..Stamp::default() };
        assert_eq!(Stamp::parse(&stamp.text()), Some(stamp.clone()));
        assert_eq!(stamp.held.version(), None, "two sources");
        assert_eq!(Held::Read { versions: vec![Some(3)] }.version(), Some(3));
        assert_eq!(Stamp::parse("{}"), None);
        assert_eq!(
            stamp.text(),
            format!(
                r#"{{"request":"{}","content":"mac","held":{{"read":{{"versions":[3,null]}}}}}}"#,
                stamp.request
            )
        );
    }

    #[test]
    fn the_mount_of_another_request_can_be_the_same() {
        let stamp = |mount: &str| Stamp {
            request: "r".to_owned(),
            mount: mount.to_owned(),
            content: "mac".to_owned(),
            change: 3,
            ..Stamp::default()
        };
        assert_eq!(Stamp::parse(&stamp("m").text()), Some(stamp("m")));
        assert!(stamp("m").is_of_mount("other", "m"));
        assert!(!stamp("m").is_of_mount("other", "n"));
        assert!(stamp("").is_of_mount("r", "m"));
        assert!(!stamp("").is_of_mount("other", ""));
    }

    #[test]
    fn the_version_of_a_value_differs_with_its_source_and_transformation() {
        let stamp = |request: &str, rendering: &str, version: Option<i64>| Stamp {
            request: request.to_owned(),
            rendering: rendering.to_owned(),
            content: version.map_or("old".to_owned(), |version| version.to_string()),
            held: Held::Read { versions: vec![version] },
            ..Stamp::default()
        };
        let is_same = |other: Stamp| stamp("r", "t", Some(3)).is_same_version(&other);
        assert!(is_same(stamp("r", "t", Some(3))));
        assert!(!is_same(stamp("r", "t", Some(4))));
        assert!(!is_same(stamp("q", "t", Some(3))));
        assert!(!is_same(stamp("r", "u", Some(3))));
        assert!(!stamp("r", "t", None).is_same_version(&stamp("r", "t", None)));
    }

    fn lease(id: &str, ends: i64) -> Held {
        let at = Timestamp::from_second(1_000_000).unwrap();
        let ends = Timestamp::from_second(1_000_000 + ends).unwrap();
        let id = id.to_owned();
        let namespace = None;
        Held::Lease(LeaseHeld {
            id,
            namespace,
            server: String::new(),
            issued: at,
            at,
            ends,
            seconds: 60,
            renewable: true,
            token: None,
            accessor: None,
        })
    }

    #[test]
    fn a_stamp_that_another_client_edited_is_not_sealed() {
        let (mac, other) = (Mac::new(&[7; 32]), Mac::new(&[8; 32]));
        let stamp = Stamp { held: lease("a", 60), content: "c".to_owned(), ..Stamp::default() }.sealed(&mac);
        let read = Stamp::parse(&stamp.text()).unwrap();
        assert!(read.is_sealed(&mac) && !read.is_sealed(&other));
        assert!(!Stamp { former: vec![lease("b", 60)], ..read.clone() }.is_sealed(&mac));
        assert!(!Stamp { held: lease("b", 60), ..read.clone() }.is_sealed(&mac));
        assert!(!Stamp { seal: String::new(), ..read }.is_sealed(&mac));
        assert_eq!(Stamp::default().sealed(&mac).seal, "", "stamps of values that are read stay as they are");
    }

    #[test]
    fn a_stamp_in_the_status_of_a_served_object_counts_only_with_its_seal() {
        let mac = Mac::new(&[7; 32]);
        let stated = |stamp: &Stamp| {
            let text = stamp.text();
            let native = Stamp::of_status::<BaoDynamicSecret>(Some(&text), &mac).is_some();
            (native, Stamp::of_status::<Served<BaoDynamicSecret>>(Some(&text), &mac).is_some())
        };
        let read = Stamp::default();
        let issued = Stamp { held: lease("a", 60), ..Stamp::default() };
        let former = Stamp { former: vec![lease("a", 60)], ..Stamp::default() };
        assert_eq!(stated(&read), (true, true));
        for forged in [&issued, &former] {
            assert_eq!(stated(forged), (true, false));
            assert_eq!(stated(&forged.clone().sealed(&mac)), (true, true));
            assert_eq!(stated(&forged.clone().sealed(&Mac::new(&[8; 32]))), (true, false));
        }
    }

    #[test]
    fn a_replaced_value_remains_to_be_revoked_until_it_ends() {
        let now = Timestamp::from_second(1_000_010).unwrap();
        let stamp = Stamp {
            held: lease("now", 60),
            former: vec![lease("ended", 5), lease("before", 60)],
            ..Stamp::default()
        };
        assert_eq!(stamp.replaced(now), [lease("before", 60), lease("now", 60)]);
        assert_eq!(Stamp::default().replaced(now), []);
    }

    fn issued_at(server: &str) -> Held {
        lease("a", 60).moved("", server)
    }

    #[test]
    fn a_former_lease_is_not_of_a_server_that_did_not_issue_it() {
        let now = Timestamp::from_second(1_000_010).unwrap();
        let of_an_earlier_version =
            Stamp { server: "a".to_owned(), held: lease("a", 60), ..Stamp::default() };
        for stamp in [of_an_earlier_version.clone(), Stamp { held: issued_at("a"), ..of_an_earlier_version }]
        {
            let former = stamp.replaced(now);
            assert_eq!(former, [issued_at("a")]);
            assert!(former[0].is_of_server("a") && !former[0].is_of_server("b"));
        }
        assert!(lease("a", 60).is_of_server("b"), "no server is recorded");
        assert_eq!((issued_at("a").server_or("b"), lease("a", 60).server_or("b")), ("a", "b"));
    }

    #[test]
    fn the_leases_of_a_server_move_with_its_address() {
        let stamp = Stamp {
            server: "a".to_owned(),
            held: lease("a", 60),
            former: vec![issued_at("a"), issued_at("other")],
            ..Stamp::default()
        };
        let moved = stamp.moved("b");
        assert_eq!((moved.server.as_str(), moved.held), ("b", issued_at("b")));
        assert_eq!(moved.former, [issued_at("b"), issued_at("other")]);
    }

    #[rstest]
    #[case::empty(0, "x", 60, false)]
    #[case::five_during_a_paused_rollout(5, "x", 60, false)]
    #[case::most(MOST_FORMER - 1, "x", 60, false)]
    #[case::too_many(MOST_FORMER, "x", 60, true)]
    #[case::ended(MOST_FORMER, "x", 5, false)]
    #[case::long(MOST_FORMER - 1, &"x".repeat(2048), 60, true)]
    fn no_live_value_is_forgotten_and_a_full_stamp_is_not_replaced(
        #[case] former: usize,
        #[case] id: &str,
        #[case] ends: i64,
        #[case] full: bool,
    ) {
        let now = Timestamp::from_second(1_000_010).unwrap();
        let stamp =
            Stamp { held: lease("now", 60), former: vec![lease(id, ends); former], ..Stamp::default() };
        let live = if ends > 10 { former } else { 0 };
        assert_eq!((stamp.replaced(now).len(), stamp.is_full(now)), (live + 1, full));
    }

    #[test]
    fn moving_a_character_between_parts_changes_the_digest_of_a_request() {
        assert_ne!(request_digest(&["ab", "c"]), request_digest(&["a", "bc"]));
    }
}
