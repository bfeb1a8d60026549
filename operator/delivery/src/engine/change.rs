//! Number of the last change of a Secret's content. It is part of the stamp and written in the same request as the data, so
//! that a crash loses no change. The creation of the Secret is change 0. A Secret that is taken over with other data is change 1:
//! pods may run with the former data.

use super::stamp::Stamp;

/// How far the stamp of a Secret can be ahead of the status. Another client can edit the stamp of the Secret, but not that
/// of the status.
const AHEAD: i64 = 1000;

/// The Secret before a write.
pub(super) struct Before {
    /// Stamp of the Secret.
    pub(super) own: Option<Stamp>,
    /// Keyed digest of the data that the Secret contains. For a Secret of another owner: of the data that the write replaces.
    pub(super) data: Option<String>,
    /// Stamp in the status.
    pub(super) recorded: Option<Stamp>,
    /// Number of the change in the status for which all workloads were restarted.
    pub(super) restarted: i64,
    /// Whether the stamp in the status belongs to a Secret of another name.
    pub(super) is_renamed: bool,
}

impl Before {
    /// Number of the last change. A number that falls behind the restarted one would lose the next restarts.
    pub(super) fn last(&self) -> i64 {
        let recorded = self.recorded.as_ref().map_or(0, |stamp| stamp.change).max(self.restarted);
        let own = self.own.as_ref().map_or(0, |stamp| stamp.change);
        if own <= recorded.saturating_add(AHEAD) { own.max(recorded) } else { recorded }
    }

    /// Number of the change that writes this content.
    pub(super) fn next(&self, request: &str, content: &str) -> i64 {
        let in_status = self.recorded.as_ref().filter(|_| !self.is_renamed);
        let Some(previous) = self.own.as_ref().or(in_status) else {
            let is_replaced = self.data.as_deref().is_some_and(|data| data != content);
            return self.last().saturating_add(i64::from(is_replaced));
        };
        // The stamp of an object that was deleted and left its Secret: the numbers of the new object start at 0.
        let is_former = self.recorded.is_none() && self.restarted == 0 && previous.request != request;
        let last = if is_former { 0 } else { self.last() };
        // The digests of all stamps differ if the key of the digests was replaced.
        let is_same = previous.content == content || self.data.as_deref() == Some(content);
        last.saturating_add(i64::from(!is_same))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn stamp((request, content, change): (&str, &str, i64)) -> Stamp {
        Stamp { request: request.to_owned(), content: content.to_owned(), change, ..Stamp::default() }
    }

    #[rstest]
    #[case::creation(None, None, false, 0)]
    #[case::same_content(Some(("r", "new", 3)), Some(("r", "new", 3)), false, 3)]
    #[case::other_content(Some(("r", "old", 3)), Some(("r", "old", 3)), false, 4)]
    #[case::other_request_with_the_same_content(Some(("q", "new", 3)), Some(("q", "new", 3)), false, 3)]
    #[case::other_request_with_other_content(Some(("q", "old", 3)), Some(("q", "old", 3)), false, 4)]
    #[case::crash_before_the_status(Some(("r", "new", 4)), Some(("r", "old", 3)), false, 4)]
    #[case::change_after_such_a_crash(Some(("r", "old", 4)), Some(("r", "older", 3)), false, 5)]
    #[case::back_to_the_first_content(Some(("r", "old", 4)), Some(("r", "new", 3)), false, 5)]
    #[case::a_deleted_secret_with_the_same_content(None, Some(("r", "new", 3)), false, 3)]
    #[case::a_deleted_secret_with_other_content(None, Some(("r", "old", 3)), false, 4)]
    #[case::a_renamed_destination_is_a_creation(None, Some(("r", "old", 3)), true, 3)]
    #[case::a_retained_secret_of_a_deleted_object(Some(("q", "new", 7)), None, false, 0)]
    #[case::a_retained_secret_with_other_content(Some(("q", "old", 7)), None, false, 1)]
    #[case::crash_after_the_takeover(Some(("r", "new", 1)), None, false, 1)]
    #[case::an_edited_stamp(Some(("r", "old", i64::MAX)), Some(("r", "old", 3)), false, 4)]
    #[case::a_stamp_that_was_set_back(Some(("r", "old", 0)), Some(("r", "old", 3)), false, 4)]
    fn a_change_gets_a_number(
        #[case] own: Option<(&str, &str, i64)>,
        #[case] recorded: Option<(&str, &str, i64)>,
        #[case] is_renamed: bool,
        #[case] expected: i64,
    ) {
        let (own, recorded) = (own.map(stamp), recorded.map(stamp));
        let before = Before { own, data: None, recorded, restarted: 0, is_renamed };
        assert_eq!(before.next("r", "new"), expected);
    }

    #[rstest]
    #[case::no_secret(None, 0)]
    #[case::same_data(Some("new"), 0)]
    #[case::other_data(Some("old"), 1)]
    fn a_secret_that_is_taken_over_with_other_data_has_changed(
        #[case] data: Option<&str>,
        #[case] expected: i64,
    ) {
        let data = data.map(str::to_owned);
        let before = Before { own: None, data, recorded: None, restarted: 0, is_renamed: false };
        assert_eq!(before.next("r", "new"), expected);
    }

    #[rstest]
    #[case::behind(Some(("r", "old", 1)), 8)]
    #[case::no_stamp(None, 8)]
    #[case::ahead(Some(("r", "old", 9)), 10)]
    fn a_change_gets_a_greater_number_than_the_restarted_one(
        #[case] recorded: Option<(&str, &str, i64)>,
        #[case] expected: i64,
    ) {
        let own = Some(stamp(("r", "old", 1)));
        let before =
            Before { own, data: None, recorded: recorded.map(stamp), restarted: 7, is_renamed: false };
        assert_eq!(before.next("r", "new"), expected);
    }

    #[rstest]
    #[case::own_secret(Some(("r", "old-key", 3)))]
    #[case::secret_of_another_client(None)]
    fn a_new_key_of_the_digests_is_no_change(#[case] own: Option<(&str, &str, i64)>) {
        let old = || Some(stamp(("r", "old-key", 3)));
        let before = |data: &str| Before {
            own: own.map(stamp),
            data: Some(data.to_owned()),
            recorded: old(),
            restarted: 0,
            is_renamed: false,
        };
        assert_eq!(before("new").next("r", "new"), 3);
        assert_eq!(before("edited").next("r", "new"), 4);
    }
}
