//! BaoRateLimitQuota: a rate limit.

use kube::ResourceExt;
use serde_json::{Map, Value, json};
use steamer_api::{BaoRateLimitQuota, BaoRateLimitQuotaSpec, rules};
use steamer_core::error::Error;

use crate::general::{Found, General, Resource, Site, seconds, typed};

impl General for BaoRateLimitQuota {
    const NAME: &'static str = "baoratelimitquota";

    fn site(&self) -> Site<'_> {
        Site::Placed(&self.spec.placement)
    }

    fn title(&self) -> String {
        format!("rate limit quota {}", name(self))
    }

    async fn resources(&self, found: &Found<'_>) -> Result<Vec<Resource>, Error> {
        let name = name(self);
        if !found.session.namespace().is_root() {
            return Err(Error::Invalid(format!(
                "OpenBao has quotas in its root namespace only, and the root of the cluster is namespace {}: use a cluster \
                 without external.namespace",
                found.session.namespace()
            )));
        }
        if rules::is_no_entry_name(&name) {
            return Err(Error::Invalid(format!(
                "OpenBao does not accept {name} as the name of a quota: set name"
            )));
        }
        let path = format!("sys/quotas/rate-limit/{name}");
        // OpenBao ignores another role of an existing quota.
        let fixed = vec!["role"];
        Ok(vec![Resource { read, fixed, ..Resource::at(self.title(), path, parameters(&self.spec)) }])
    }
}

fn name(quota: &BaoRateLimitQuota) -> String {
    quota.spec.name.clone().unwrap_or_else(|| quota.name_any())
}

/// All parameters: OpenBao resets those that a request does not contain.
fn parameters(spec: &BaoRateLimitQuotaSpec) -> Map<String, Value> {
    typed([
        ("rate", json!(spec.rate)),
        ("path", json!(spec.path.as_deref().unwrap_or_default())),
        ("interval", json!(spec.interval.as_ref().map_or(1, seconds))),
        ("block_interval", json!(spec.block_interval.as_ref().map_or(0, seconds))),
        ("role", json!(spec.role.as_deref().unwrap_or_default())),
        // OpenBao accepts it for namespaces only.
        ("inheritable", json!(spec.inheritable.unwrap_or(spec.path.is_none()))),
    ])
}

/// OpenBao adds a slash to the path of a namespace or mount.
fn read(mut answer: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::String(path)) = answer.get_mut("path") {
        path.truncate(path.trim_end_matches('/').len());
    }
    answer
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn quota(spec: Value) -> BaoRateLimitQuotaSpec {
        let mut all = json!({"clusterRef": {"name": "main"}});
        all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[rstest]
    #[case::all_requests(
        json!({"rate": 100}),
        json!({"rate": 100.0, "path": "", "interval": 1, "block_interval": 0, "role": "", "inheritable": true})
    )]
    #[case::role(
        json!({"rate": 0.5, "path": "auth/approle", "role": "web", "interval": "2m", "blockInterval": "1h"}),
        json!({"rate": 0.5, "path": "auth/approle", "interval": 120, "block_interval": 3600, "role": "web", "inheritable": false})
    )]
    #[case::namespace(
        json!({"rate": 5, "path": "team-a", "inheritable": true}),
        json!({"rate": 5.0, "path": "team-a", "interval": 1, "block_interval": 0, "role": "", "inheritable": true})
    )]
    fn every_parameter_is_written(#[case] spec: Value, #[case] expected: Value) {
        assert_eq!(Value::Object(parameters(&quota(spec))), expected);
    }

    #[rstest]
    #[case::namespace("team-a/", "team-a")]
    #[case::path("kv/data/app*", "kv/data/app*")]
    #[case::all_requests("", "")]
    fn the_path_is_compared_without_the_slash_of_openbao(#[case] path: &str, #[case] expected: &str) {
        let answer = read(Map::from_iter([("path".to_owned(), Value::from(path))]));
        assert_eq!(answer["path"], expected);
    }
}
