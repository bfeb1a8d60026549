//! Mounts of secrets engines and auth methods, and the configuration of their plugins.

pub(crate) mod certificates;
pub(crate) mod configuration;
pub(crate) mod tuning;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use steamer_api::{AuthTune, BoundedDuration, MountTune, UserLockout};

use crate::general::{self, Resource, completed, stated};

/// Path of the mounts of secrets engines.
pub(crate) const ENGINES: &str = "sys/mounts";
/// Path of the auth mounts.
pub(crate) const AUTH: &str = "sys/auth";
/// Prefix of the names of options among the parameters of a mount.
const OPTION: &str = "options/";
/// Type `token` as OpenBao returns it in every namespace except for root.
const TOKENS_OF_A_NAMESPACE: &str = "ns_token";

/// Desired state of a mount.
pub(crate) struct Mount<'a> {
    /// The mount as messages name it.
    pub(crate) title: String,
    /// [`ENGINES`] or [`AUTH`].
    pub(crate) family: &'static str,
    /// Path of the mount.
    pub(crate) path: &'a str,
    /// Type, with the version of a KV engine.
    pub(crate) type_: &'a str,
    /// Description, if the spec states one.
    pub(crate) description: Option<&'a str>,
    /// Options that the spec states.
    pub(crate) options: &'a BTreeMap<String, String>,
    /// Settings that the spec states, under the names of OpenBao's API.
    pub(crate) tune: Map<String, Value>,
    /// Encryption with the seal.
    pub(crate) seal_wrap: Option<bool>,
    /// Exclusion from replication.
    pub(crate) local: Option<bool>,
}

impl Mount<'_> {
    /// The mount as a resource. Its description, options and settings are changed at another path than the one that is read.
    pub(crate) fn resource(&self) -> Resource {
        let path = format!("{}/{}", self.family, self.path);
        Resource {
            creation: Some((path.clone(), self.creation())),
            changed_at: Some(format!("{path}/tune")),
            fixed: vec!["type", "seal_wrap", "local", "force_no_cache"],
            read: flat,
            write: nested,
            is_complete: true,
            ..Resource::at(self.title.clone(), path, self.parameters())
        }
    }

    fn parameters(&self) -> Map<String, Value> {
        let mut parameters = self.identity(self.type_);
        parameters.extend(self.tune.clone());
        let options = self.options.iter().map(|(name, value)| (format!("{OPTION}{name}"), json!(value)));
        parameters.extend(options);
        completed(parameters, closed())
    }

    fn creation(&self) -> Map<String, Value> {
        let (type_, version) = plugin(self.type_);
        let mut request = self.identity(type_);
        let options = self.options.iter().filter(|(_, value)| !value.is_empty());
        let mut options: Map<String, Value> =
            options.map(|(name, value)| (name.clone(), json!(value))).collect();
        options.extend(version.map(|version| ("version".to_owned(), json!(version))));
        for (name, fields) in [("options", options), ("config", self.tune.clone())] {
            if !fields.is_empty() {
                request.insert(name.to_owned(), Value::Object(fields));
            }
        }
        request
    }

    fn identity(&self, type_: &str) -> Map<String, Value> {
        stated([
            ("type", Some(json!(type_))),
            ("description", self.description.map(|text| json!(text))),
            ("seal_wrap", self.seal_wrap.map(Value::from)),
            ("local", self.local.map(Value::from)),
        ])
    }
}

/// Name of the plugin of a type, and the option that states the version of a KV engine.
fn plugin(type_: &str) -> (&str, Option<&'static str>) {
    match type_ {
        "kv-v1" => ("kv", Some("1")),
        "kv-v2" => ("kv", Some("2")),
        other => (other, None),
    }
}

/// A mount as OpenBao returns it, as parameters: the settings without their folder, the options with a prefix, and the
/// type as a spec states it.
fn flat(mut answer: Map<String, Value>) -> Map<String, Value> {
    let fields = |value: Option<Value>| match value {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let mut options = fields(answer.remove("options"));
    let config = fields(answer.remove("config"));
    if answer.get("type").is_some_and(|type_| type_ == "kv") {
        let is_versioned = options.remove("version").is_some_and(|version| version == "2");
        answer.insert("type".to_owned(), json!(if is_versioned { "kv-v2" } else { "kv-v1" }));
    }
    if answer.get("type").is_some_and(|type_| type_ == TOKENS_OF_A_NAMESPACE) {
        answer.insert("type".to_owned(), json!("token"));
    }
    answer.extend(config);
    answer.extend(options.into_iter().map(|(name, value)| (format!("{OPTION}{name}"), value)));
    with_version(answer)
}

/// The parameters with the version of the plugin that runs, if OpenBao recorded none: it does not record that of a built-in plugin
/// when it creates the mount.
fn with_version(mut parameters: Map<String, Value>) -> Map<String, Value> {
    let recorded = parameters.get("plugin_version").and_then(Value::as_str).unwrap_or_default();
    let running = parameters.get("running_plugin_version").filter(|_| recorded.is_empty()).cloned();
    if let Some(running) = running {
        parameters.insert("plugin_version".to_owned(), running);
    }
    parameters
}

/// The request that changes a mount.
fn nested(parameters: Map<String, Value>) -> Map<String, Value> {
    let (options, mut request): (Map<_, _>, Map<_, _>) =
        parameters.into_iter().partition(|(name, _)| name.starts_with(OPTION));
    let options: Map<String, Value> =
        options.into_iter().map(|(name, value)| (name[OPTION.len()..].to_owned(), value)).collect();
    if !options.is_empty() {
        request.insert("options".to_owned(), Value::Object(options));
    }
    request
}

/// A duration as OpenBao reads it: in whole seconds.
pub(crate) fn seconds<const HOURS: u64>(duration: &BoundedDuration<HOURS>) -> Value {
    json!(format!("{}s", general::seconds(duration)))
}

/// Settings that show a mount to clients without a token, or let values pass, and their defaults: one that is removed from the
/// spec is also removed from the mount.
fn closed() -> [(&'static str, Value); 5] {
    [
        ("listing_visibility", json!("")),
        ("audit_non_hmac_request_keys", json!([])),
        ("audit_non_hmac_response_keys", json!([])),
        ("passthrough_request_headers", json!([])),
        ("allowed_response_headers", json!([])),
    ]
}

/// Settings of a mount under the names of OpenBao's API.
pub(crate) fn settings(tune: &MountTune) -> Map<String, Value> {
    stated([
        ("default_lease_ttl", tune.default_lease_ttl.as_ref().map(seconds)),
        ("max_lease_ttl", tune.max_lease_ttl.as_ref().map(seconds)),
        ("listing_visibility", tune.listing_visibility.map(|it| json!(it))),
        ("audit_non_hmac_request_keys", tune.audit_non_hmac_request_keys.as_ref().map(|it| json!(it))),
        ("audit_non_hmac_response_keys", tune.audit_non_hmac_response_keys.as_ref().map(|it| json!(it))),
        ("passthrough_request_headers", tune.passthrough_request_headers.as_ref().map(|it| json!(it))),
        ("allowed_response_headers", tune.allowed_response_headers.as_ref().map(|it| json!(it))),
    ])
}

/// Settings of an auth mount, without the lockout of users.
pub(crate) fn auth_settings(tune: &AuthTune) -> Map<String, Value> {
    let mut settings = settings(&tune.mount);
    settings.extend(stated([("token_type", tune.token_type.map(|it| json!(it)))]));
    settings
}

/// Prefix of the settings of a lockout in an answer.
const LOCKOUT: &str = "user_lockout_";

/// Path of the lockout of users of an auth mount.
pub(crate) fn lockout_path(path: &str) -> String {
    format!("{AUTH}/{path}/tune")
}

/// The lockout of users of an auth mount. OpenBao accepts it only for an existing mount, and returns it under other names.
pub(crate) fn lockout(path: &str, lockout: &UserLockout) -> Resource {
    let parameters = stated([
        ("threshold", lockout.threshold.map(Value::from)),
        ("duration", lockout.duration.as_ref().map(seconds)),
        ("counter_reset_duration", lockout.counter_reset.as_ref().map(seconds)),
        ("disable", Some(json!(lockout.disable.unwrap_or_default()))),
    ]);
    let is_disabled = lockout.disable == Some(true);
    let parameters = if is_disabled { parameters } else { completed(parameters, lockout_defaults()) };
    Resource {
        deleted_at: None,
        is_complete: true,
        read: lockout_in,
        write: lockout_request,
        ..Resource::at(format!("user lockout of auth mount {path}"), lockout_path(path), parameters)
    }
}

/// OpenBao's defaults of a lockout: a setting that is removed from the spec is also removed from the mount.
fn lockout_defaults() -> [(&'static str, Value); 3] {
    [("threshold", json!(5)), ("duration", json!("900s")), ("counter_reset_duration", json!("900s"))]
}

/// The settings of a lockout in the answer for an auth mount.
fn lockout_in(answer: Map<String, Value>) -> Map<String, Value> {
    let field = |(name, value): (String, Value)| Some((name.strip_prefix(LOCKOUT)?.to_owned(), value));
    answer.into_iter().filter_map(field).collect()
}

/// The request that changes a lockout.
fn lockout_request(parameters: Map<String, Value>) -> Map<String, Value> {
    let field = |(name, value)| (format!("lockout_{name}"), value);
    let lockout = Value::Object(parameters.into_iter().map(field).collect());
    Map::from_iter([("user_lockout_config".to_owned(), lockout)])
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::general::differences;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn mount<'a>(type_: &'a str, options: &'a BTreeMap<String, String>) -> Resource {
        let tune: MountTune =
            serde_json::from_value(json!({"maxLeaseTTL": "1h30m", "passthroughRequestHeaders": []})).unwrap();
        let mount = Mount {
            title: "secrets engine a/b".to_owned(),
            family: ENGINES,
            path: "a/b",
            type_,
            description: Some("text"),
            options,
            tune: settings(&tune),
            seal_wrap: None,
            local: Some(true),
        };
        mount.resource()
    }

    #[test]
    fn a_mount_is_created_with_nested_settings_and_changed_with_flat_ones() {
        let options = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("gone".to_owned(), String::new())]);
        let resource = mount("kv-v2", &options);
        assert_eq!(
            Value::Object(resource.creation_body().parameters),
            json!({
                "type": "kv", "description": "text", "local": true, "options": {"version": "2", "a": "1"},
                "config": {"max_lease_ttl": "5400s", "passthrough_request_headers": []},
            })
        );
        assert_eq!(
            Value::Object(resource.change_body().parameters),
            json!({
                "description": "text", "max_lease_ttl": "5400s", "passthrough_request_headers": [],
                "options": {"a": "1", "gone": ""}, "listing_visibility": "", "audit_non_hmac_request_keys": [],
                "audit_non_hmac_response_keys": [], "allowed_response_headers": [],
            })
        );
        let paths = (resource.path.as_str(), resource.changed_at.as_deref(), resource.deleted_at.as_deref());
        assert_eq!(paths, ("sys/mounts/a/b", Some("sys/mounts/a/b/tune"), Some("sys/mounts/a/b")));
    }

    #[test]
    fn a_new_mount_has_the_settings_that_no_spec_states() {
        let none = BTreeMap::new();
        let mount = Mount {
            title: "auth mount users".to_owned(),
            family: AUTH,
            path: "users",
            type_: "userpass",
            description: None,
            options: &none,
            tune: Map::new(),
            seal_wrap: None,
            local: None,
        };
        let resource = mount.resource();
        assert_eq!(Value::Object(resource.creation_body().parameters), json!({"type": "userpass"}));
        let differs = |answer: Value| !differences(&resource.body.parameters, &flat(map(answer))).is_empty();
        assert!(!differs(json!({"type": "userpass", "config": {"default_lease_ttl": 0}})));
        for open in [
            json!({"listing_visibility": "unauth"}),
            json!({"audit_non_hmac_request_keys": ["x"]}),
            json!({"audit_non_hmac_response_keys": ["x"]}),
            json!({"passthrough_request_headers": ["x"]}),
            json!({"allowed_response_headers": ["x"]}),
        ] {
            assert!(differs(json!({"type": "userpass", "config": open})), "{open}");
        }
    }

    #[test]
    fn a_lockout_is_enabled_unless_the_spec_disables_it() {
        let resource = lockout("users", &UserLockout::default());
        assert_eq!(
            Value::Object(resource.body.parameters),
            json!({"threshold": 5, "duration": "900s", "counter_reset_duration": "900s", "disable": false})
        );
        let disabled = UserLockout { disable: Some(true), ..UserLockout::default() };
        assert_eq!(Value::Object(lockout("users", &disabled).body.parameters), json!({"disable": true}));
    }

    #[rstest]
    #[case::version_2(json!({"type": "kv", "options": {"version": "2"}}), json!({"type": "kv-v2"}))]
    #[case::version_1(json!({"type": "kv", "options": {"version": "1"}}), json!({"type": "kv-v1"}))]
    #[case::no_version(json!({"type": "kv", "options": {}}), json!({"type": "kv-v1"}))]
    #[case::no_options(json!({"type": "kv", "options": null}), json!({"type": "kv-v1"}))]
    #[case::tokens(json!({"type": "token", "options": null}), json!({"type": "token"}))]
    #[case::tokens_of_a_namespace(json!({"type": "ns_token", "options": null}), json!({"type": "token"}))]
    #[case::other(
        json!({"type": "pki", "options": {"version": "2"}, "config": {"max_lease_ttl": 60}}),
        json!({"type": "pki", "options/version": "2", "max_lease_ttl": 60})
    )]
    #[case::plugin(
        json!({"type": "p", "plugin_version": "v1.1.0", "running_plugin_version": "v1.0.0"}),
        json!({"type": "p", "plugin_version": "v1.1.0", "running_plugin_version": "v1.0.0"})
    )]
    #[case::plugin_without_recorded_version(
        json!({"type": "p", "plugin_version": "", "running_plugin_version": "v1.0.0"}),
        json!({"type": "p", "plugin_version": "v1.0.0", "running_plugin_version": "v1.0.0"})
    )]
    fn an_answer_becomes_parameters(#[case] answer: Value, #[case] expected: Value) {
        assert_eq!(Value::Object(flat(map(answer))), expected);
    }

    #[test]
    fn a_lockout_is_written_and_read_under_different_names() {
        let spec = json!({"threshold": 3, "duration": "10m", "counterReset": "5m", "disable": false});
        let resource = lockout("users", &serde_json::from_value(spec).unwrap());
        assert_eq!(
            Value::Object(resource.change_body().parameters),
            json!({"user_lockout_config": {
                "lockout_threshold": 3, "lockout_duration": "600s", "lockout_counter_reset_duration": "300s",
                "lockout_disable": false,
            }})
        );
        let answer = json!({"user_lockout_threshold": 3, "user_lockout_duration": 600, "description": "x"});
        let read = (resource.read)(map(answer));
        assert_eq!(Value::Object(read), json!({"threshold": 3, "duration": 600}));
        assert_eq!(resource.deleted_at, None);
    }
}
