//! Secrets engines that the paths of an application are in.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::Value;
use steamer_core::error::Error;

use crate::auth_mounts::ABSENT;
use crate::general::Found;

/// Engines of OpenBao itself, which contain no secrets of an application.
const BUILT_IN: [&str; 5] = ["system", "ns_system", "identity", "ns_identity", "cubbyhole"];

/// The secrets engines of the root namespace: path without slashes at its ends, and settings.
pub(super) struct Engines(BTreeMap<String, Value>);

impl Engines {
    /// Reads the engines.
    ///
    /// # Errors
    /// Any error of the request.
    pub(super) async fn read(found: &Found<'_>) -> Result<Self, Error> {
        let answer = found.session.request_any(Method::GET, "sys/mounts", None).await?;
        Ok(Self::of(answer.get("data").unwrap_or(&Value::Null)))
    }

    fn of(data: &Value) -> Self {
        let entries = data.as_object().into_iter().flatten();
        let engines = entries.filter(|(_, engine)| !BUILT_IN.contains(&type_of(engine)));
        Self(engines.map(|(path, engine)| (path.trim_matches('/').to_owned(), engine.clone())).collect())
    }

    /// Checks that a KV engine of version 2 is mounted at a path.
    ///
    /// # Errors
    /// [`Error::SourceMissing`] without an engine, [`Error::Invalid`] for another one.
    pub(super) fn check_kv(&self, mount: &str) -> Result<(), Error> {
        let Some(engine) = self.0.get(mount) else {
            return Err(missing(
                &format!("kv.mount: no secrets engine is mounted at {mount}"),
                "correct kv.mount",
            ));
        };
        if type_of(engine) == "kv" && is_version_2(engine) {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "kv.mount: {mount} is not a KV engine of version 2: name one, such as a SecretEngine of type kv-v2, and list paths of other \
             engines in ops.extraPaths"
        )))
    }

    /// Checks that a path of a policy is in a KV engine: otherwise it could be a path of another OpenBao namespace, or give rights
    /// to roles and keys of other applications.
    ///
    /// # Errors
    /// [`Error::SourceMissing`] outside of an engine, [`Error::Invalid`] for another engine and for a path that contains the
    /// secrets of every application.
    pub(super) fn check_path(&self, path: &str) -> Result<(), Error> {
        let inside = |mount: &String| path.strip_prefix(mount.as_str())?.strip_prefix('/');
        let Some((engine, rest)) = self.0.iter().find_map(|(mount, engine)| Some((engine, inside(mount)?)))
        else {
            let text = format!("ops.extraPaths: {path} is in no secrets engine of the root namespace");
            return Err(missing(&text, "remove the path"));
        };
        let invalid = |problem: &str| Err(Error::Invalid(format!("ops.extraPaths: {path} {problem}")));
        if type_of(engine) != "kv" {
            return invalid(
                "is not in a KV engine: remove the path, or write a BaoPolicy and list it in ops.extraPolicies",
            );
        }
        let segments: Vec<&str> = rest.split('/').collect();
        let folder = if is_version_2(engine) { &segments[1..] } else { &segments[..] };
        if matches!(folder, [] | ["" | "*", ..]) {
            return invalid("contains the secrets of every application: name a folder of the engine");
        }
        Ok(())
    }
}

fn is_version_2(engine: &Value) -> bool {
    engine.pointer("/options/version").and_then(Value::as_str) == Some("2")
}

fn type_of(engine: &Value) -> &str {
    engine.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn missing(problem: &str, remedy: &str) -> Error {
    Error::SourceMissing(format!("{problem}: create it, such as with a SecretEngine, or {remedy}"), ABSENT)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn engines() -> Engines {
        Engines::of(&json!({
            "kvv2/": {"type": "kv", "options": {"version": "2"}}, "kvv1/": {"type": "kv", "options": null},
            "teams/kv/": {"type": "kv", "options": {"version": "2"}}, "postgres/": {"type": "database"},
            "sys/": {"type": "system"}, "identity/": {"type": "identity"}, "cubbyhole/": {"type": "cubbyhole"},
        }))
    }

    #[rstest]
    #[case("kvv2", None)]
    #[case("teams/kv", None)]
    #[case("kvv1", Some("is not a KV engine of version 2"))]
    #[case("postgres", Some("is not a KV engine of version 2"))]
    #[case("teams", Some("no secrets engine is mounted at teams"))]
    #[case("identity", Some("no secrets engine is mounted"))]
    fn secrets_are_in_a_kv_engine_of_version_2(#[case] mount: &str, #[case] problem: Option<&str>) {
        let message = engines().check_kv(mount).err().map(|error| error.to_string());
        assert_eq!(message.is_some(), problem.is_some(), "{message:?}");
        assert!(message.unwrap_or_default().contains(problem.unwrap_or_default()));
    }

    #[rstest]
    #[case("kvv1/google/credentials", true)]
    #[case("teams/kv/data/x/*", true)]
    #[case("kvv1/cloudflare/*", true)]
    #[case("kvv2/data/shared", true)]
    #[case::every_value("kvv2/data/*", false)]
    #[case::every_name("teams/kv/metadata/*", false)]
    #[case::engine("kvv2/*", false)]
    #[case::configuration("kvv2/config", false)]
    #[case::engine_of_version_1("kvv1/*", false)]
    #[case::roles("postgres/roles/*", false)]
    #[case::connection("postgres/config/db", false)]
    #[case("teams/other/x", false)]
    #[case::no_separator("kvv10/x", false)]
    #[case::namespace("team/sys/policies/acl/x", false)]
    #[case::built_in("cubbyhole/x", false)]
    fn a_path_outside_of_a_folder_of_a_kv_engine_is_refused(#[case] path: &str, #[case] accepted: bool) {
        assert_eq!(engines().check_path(path).is_ok(), accepted);
    }
}
