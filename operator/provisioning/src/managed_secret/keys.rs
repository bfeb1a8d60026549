//! Custom metadata of a secret. The keys without the prefix `steamer_` are those of GitLab Secrets Manager.

use std::collections::BTreeMap;

use steamer_api::ManagedSecretSpec;
use steamer_core::ownership::Mark;

/// Custom metadata of an entry.
pub(crate) type Custom = BTreeMap<String, String>;

/// Time at which the secret got its first value.
pub(super) const CREATED: &str = "create_completed_at";
/// Time at which a replacement of the value began.
pub(super) const STARTED: &str = "update_started_at";
/// Time at which it ended. A replacement is unfinished if this time is missing, or before its beginning.
pub(super) const COMPLETED: &str = "update_completed_at";

/// Number of the version that Steamer has written or accepted.
pub(super) const VERSION: &str = "steamer_version";
/// Source of that version.
pub(super) const ORIGIN: &str = "steamer_origin";
/// Time of the last rotation.
pub(super) const ROTATED_AT: &str = "steamer_rotated_at";
/// Digest of the request for a rotation that was carried out last.
pub(super) const REQUEST: &str = "steamer_rotate_request";
/// Expiration that the current version is scheduled for.
pub(super) const EXPIRES_AT: &str = "steamer_expires_at";

/// Number and occasion of the version that Steamer is writing.
pub(super) const PENDING: &str = "steamer_pending";

/// Keys that describe the current value. They change only when the value is complete.
pub(super) const OF_VALUE: [&str; 5] = [VERSION, ORIGIN, ROTATED_AT, REQUEST, EXPIRES_AT];
/// Keys of the state.
pub(super) const OF_STATE: [&str; 4] = [CREATED, STARTED, COMPLETED, PENDING];
/// Keys that a spec states.
const DESCRIBED: [&str; 4] = ["description", "environment", "branch", "protected"];
/// Keys whose values differ between two equal states.
const VOLATILE: [&str; 6] = [CREATED, STARTED, COMPLETED, PENDING, VERSION, ROTATED_AT];

/// The mark, and what the spec states.
pub(super) fn described(spec: &ManagedSecretSpec, mark: &Mark) -> Custom {
    let protected = spec.protected.map(|it| it.to_string());
    let values = [&spec.description, &spec.environment, &spec.branch, &protected];
    let stated = DESCRIBED.iter().zip(values);
    let stated = stated.filter_map(|(key, value)| Some(((*key).to_owned(), value.clone()?)));
    mark.metadata().into_iter().chain(stated).collect()
}

/// The custom metadata that belong to other clients. They stay.
pub(super) fn foreign(custom: &Custom, described: &Custom) -> Custom {
    let is_own = |key: &str| {
        let own = OF_VALUE.iter().chain(&OF_STATE).chain(&DESCRIBED);
        own.copied().any(|it| it == key) || described.contains_key(key)
    };
    custom.iter().filter(|(key, _)| !is_own(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The custom metadata without counters and times.
pub(crate) fn stable(custom: &Custom) -> Custom {
    let mut stable = custom.clone();
    stable.retain(|key, _| !VOLATILE.contains(&key.as_str()));
    stable
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use steamer_api::KindId;
    use steamer_core::ownership::Owner;
    use steamer_runtime::ObjectName;

    use super::*;

    fn custom(pairs: &[(&str, &str)]) -> Custom {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_metadata_state_the_spec_and_the_owner() {
        let spec = json!({
            "projectRef": {"name": "web"}, "name": "DB", "description": "login", "environment": "prod/*", "branch": "main",
        });
        let spec: ManagedSecretSpec = serde_json::from_value(spec).unwrap();
        let owner = Owner::Object(KindId::ManagedSecret);
        let mark = Mark { installation: "i".to_owned(), owner, name: ObjectName::new("ns", "db") };
        let expected = custom(&[
            ("branch", "main"),
            ("description", "login"),
            ("environment", "prod/*"),
            ("managed-by", "steamer"),
            ("owner", "i/ManagedSecret/ns/db"),
        ]);
        assert_eq!(described(&spec, &mark), expected);
        let group = ManagedSecretSpec { protected: Some(false), branch: None, ..spec };
        assert_eq!(described(&group, &mark)["protected"], "false");
    }

    #[test]
    fn the_metadata_of_other_clients_stay_and_the_own_ones_are_replaced() {
        let found = custom(&[
            ("team", "payments"),
            ("secret_rotation_info_id", "7"),
            ("branch", "main"),
            ("owner", "x"),
            (VERSION, "3"),
            (CREATED, "t"),
            (PENDING, "4 generated"),
        ]);
        let described = custom(&[("owner", "i/ManagedSecret/ns/db")]);
        let expected = custom(&[("secret_rotation_info_id", "7"), ("team", "payments")]);
        assert_eq!(foreign(&found, &described), expected);
        assert_eq!(
            stable(&found).keys().collect::<Vec<_>>(),
            ["branch", "owner", "secret_rotation_info_id", "team"]
        );
    }
}
