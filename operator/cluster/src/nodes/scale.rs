//! Number of nodes. Pure.

/// Facts that determine the number of nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Number of replicas of the live StatefulSet.
    pub(crate) live: Option<i32>,
    /// Number in the spec.
    pub(crate) desired: i32,
    /// The operator has logged in to the initialized OpenBao.
    pub(crate) initialized: bool,
    /// Storage contains an initialized OpenBao.
    pub(crate) has_data: bool,
    pub(crate) seal_opens: bool,
}

/// Number of replicas of the StatefulSet.
///
/// The node that initializes storage must become the leader, so it starts alone. While the seal cannot be opened, no
/// node is removed: it could not rejoin.
pub(crate) fn replicas(scale: Scale) -> i32 {
    let Scale { live, desired, initialized, has_data, seal_opens } = scale;
    let wanted = match live {
        _ if initialized => desired,
        None if has_data => desired,
        // A cluster that was hibernated before its first start has none.
        live => live.filter(|live| *live > 0).unwrap_or(1),
    };
    live.filter(|live| !seal_opens && wanted < *live).unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// `i` initialized, `d` storage has data, `o` the seal opens.
    #[rstest]
    #[case::first_start(None, 3, "o", 1)]
    #[case::first_start_goes_on(Some(1), 3, "do", 1)]
    #[case::initialized(Some(1), 3, "ido", 3)]
    #[case::existing_data(None, 3, "do", 3)]
    #[case::recreated_set(None, 3, "ido", 3)]
    #[case::after_a_restore(Some(0), 3, "ido", 3)]
    #[case::first_start_after_a_hibernation(Some(0), 3, "o", 1)]
    #[case::scale_down(Some(5), 3, "ido", 3)]
    #[case::scale_down_with_a_closed_seal(Some(5), 3, "id", 5)]
    #[case::scale_up_with_a_closed_seal(Some(3), 5, "id", 5)]
    fn the_first_node_starts_alone_and_no_node_is_removed_while_the_seal_is_closed(
        #[case] live: Option<i32>,
        #[case] desired: i32,
        #[case] facts: &str,
        #[case] expected: i32,
    ) {
        let has = |letter| facts.contains(letter);
        let scale = Scale { live, desired, initialized: has('i'), has_data: has('d'), seal_opens: has('o') };
        assert_eq!(replicas(scale), expected);
    }
}
