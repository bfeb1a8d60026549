//! One resource for each mechanism of the general kinds, with the specs of two installations and the request of a person.

use serde_json::{Value, json};

/// A resource that two installations, or an installation and a person, want in different states.
pub struct Contest {
    pub kind: &'static str,
    /// Name of the objects and of the resource.
    pub name: String,
    pub path: String,
    /// Specs of the first and the second installation, without the cluster.
    pub specs: [Value; 2],
    /// Text that only the state of the first spec contains.
    pub mark: &'static str,
    /// Path and body of the request of a person.
    pub edit: (String, Value),
}

/// The specs, and the text that only the state of the first one contains.
type Wanted = ([Value; 2], &'static str);

impl Contest {
    /// `end` is what the path of the request of a person has after the path of the resource.
    fn new(
        prefix: &str,
        (kind, folder): (&'static str, &str),
        wanted: Wanted,
        (end, edit): (&str, Value),
    ) -> Self {
        let name = name(prefix, kind);
        let path = format!("{folder}/{name}");
        let (specs, mark) = wanted;
        Self { kind, edit: (format!("{path}{end}"), edit), name, path, specs, mark }
    }
}

fn name(prefix: &str, kind: &str) -> String {
    format!("{prefix}-{}", kind.to_lowercase())
}

/// The resources. Their names begin with the prefix. `transit` and `auth/approle` must be mounted.
pub fn contests(prefix: &str) -> Vec<Contest> {
    [mounts(prefix), access(prefix), others(prefix)].into_iter().flatten().collect()
}

fn mounts(prefix: &str) -> Vec<Contest> {
    let engine = |ttl: &str| json!({"type": "totp", "tune": {"maxLeaseTTL": ttl}});
    let space = |team: &str| json!({"customMetadata": {"team": team}});
    vec![
        Contest::new(
            prefix,
            ("SecretEngine", "sys/mounts"),
            (["2h", "3h"].map(engine), "\"max_lease_ttl\":7200"),
            ("/tune", json!({"max_lease_ttl": "5h"})),
        ),
        Contest::new(
            prefix,
            ("BaoNamespace", "sys/namespaces"),
            (["first", "second"].map(space), "\"team\":\"first\""),
            ("", json!({"custom_metadata": {"team": "person"}})),
        ),
    ]
}

fn access(prefix: &str) -> Vec<Contest> {
    let policy = |path: &str| json!({"rules": [{"path": path, "capabilities": ["read"]}]});
    let role = |ttl: &str| json!({"mount": "approle", "appRole": {"secretIDTTL": ttl}});
    let group = |policy: &str| json!({"policies": [policy]});
    vec![
        Contest::new(
            prefix,
            ("BaoPolicy", "sys/policies/acl"),
            (["kv/first/*", "kv/second/*"].map(policy), "kv/first/"),
            ("", json!({"policy": "path \"other\" { capabilities = [\"deny\"] }"})),
        ),
        Contest::new(
            prefix,
            ("BaoAuthRole", "auth/approle/role"),
            (["1h", "2h"].map(role), "\"secret_id_ttl\":3600"),
            ("", json!({"secret_id_ttl": "5h"})),
        ),
        Contest::new(
            prefix,
            ("IdentityGroup", "identity/group/name"),
            (["first", "second"].map(group), "\"policies\":[\"first\"]"),
            ("", json!({"policies": ["person"]})),
        ),
    ]
}

fn others(prefix: &str) -> Vec<Contest> {
    let key = |period: &str| json!({"mount": "transit", "autoRotatePeriod": period});
    // OpenBao accepts one quota for each path.
    let limited = format!("transit/encrypt/{}", name(prefix, "BaoRateLimitQuota"));
    let quota = |rate: i64| json!({"rate": rate, "path": limited});
    vec![
        Contest::new(
            prefix,
            ("TransitKey", "transit/keys"),
            (["720h", "48h"].map(key), "\"auto_rotate_period\":2592000"),
            ("/config", json!({"auto_rotate_period": "96h"})),
        ),
        Contest::new(
            prefix,
            ("BaoRateLimitQuota", "sys/quotas/rate-limit"),
            ([5000, 6000].map(quota), "\"rate\":5000"),
            ("", quota(7000)),
        ),
    ]
}
