//! SecretEngine: a secrets engine.

use kube::ResourceExt;
use serde_json::{Value, json};
use steamer_api::{KvEngineConfig, MountTune, SecretEngine, is_no_engine_path};
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

use crate::general::{Found, General, Resource, Site, stated};
use crate::mounts::configuration::Configuration;
use crate::mounts::tuning::{OF_ENGINES, tuning};
use crate::mounts::{ENGINES, Mount, seconds, settings};

impl General for SecretEngine {
    const NAME: &'static str = "secretengine";

    fn site(&self) -> Site<'_> {
        Site::Placed(&self.spec.placement)
    }

    fn title(&self) -> String {
        format!("secrets engine {}", path(self))
    }

    async fn resources(&self, found: &Found<'_>) -> Result<Vec<Resource>, Error> {
        let path = path(self);
        if is_no_engine_path(&path) {
            return Err(Error::Invalid(format!(
                "OpenBao mounts no secrets engine at {path}: create a SecretEngine whose path is not auth, sys, identity, \
                 cubbyhole or below one of them"
            )));
        }
        let mount = mount(self, &path);
        let tuning = match &self.spec.tune {
            Some(tune) => tuning(&mount, &tune.parameters, OF_ENGINES)?,
            None => None,
        };
        let mount = found.read(mount).await?;
        refuse_nested(&path, &mount, found).await?;
        let (owner, mut resources) = (ObjectName::of(self), vec![mount]);
        resources.extend(tuning);
        for (below, configuration) in configurations(self)? {
            let path = format!("{path}/{below}");
            resources.push(configuration.resource(path, &owner, found).await?);
        }
        Ok(resources)
    }
}

/// Path of the mount in OpenBao.
fn path(engine: &SecretEngine) -> String {
    engine.spec.path.clone().unwrap_or_else(|| engine.name_any())
}

/// OpenBao answers for a path below a mount as for the mount, and also changes the settings of the mount there.
async fn refuse_nested(path: &str, mount: &Resource, found: &Found<'_>) -> Result<(), Error> {
    let Some(accessor) = mount.found().and_then(|it| it.get("accessor")?.as_str()) else {
        return Ok(());
    };
    for (end, _) in path.match_indices('/') {
        let outer = &path[..end];
        let existing = found.session.mount(outer).await?;
        if existing.is_some_and(|it| it.accessor == accessor) {
            return Err(Error::Conflict(format!(
                "OpenBao cannot mount a secrets engine at {path}, because {outer} in namespace {} is one: choose a path that is \
                 not below {outer}",
                found.session.namespace()
            )));
        }
    }
    Ok(())
}

fn mount(engine: &SecretEngine, path: &str) -> Resource {
    let spec = &engine.spec;
    let mut tune = settings(spec.tune.as_ref().unwrap_or(&MountTune::default()));
    tune.extend(stated([
        ("plugin_version", spec.plugin_version.as_ref().map(|it| json!(it))),
        ("force_no_cache", spec.force_no_cache.map(Value::from)),
    ]));
    let mount = Mount {
        title: engine.title(),
        family: ENGINES,
        path,
        type_: &spec.type_,
        description: spec.description.as_deref(),
        options: &spec.options,
        tune,
        seal_wrap: spec.seal_wrap,
        local: spec.local,
    };
    Resource { holds_values: true, ..mount.resource() }
}

/// The configurations and their paths within the mount.
fn configurations(engine: &SecretEngine) -> Result<Vec<(String, Configuration)>, Error> {
    let spec = &engine.spec;
    let kv = spec.config.as_ref().map(kv).unwrap_or_default();
    let first = kv.joined(&spec.parameters, &spec.secret_parameters)?;
    let mut found = vec![("config".to_owned(), first)];
    for config in &spec.configs {
        let configuration = Configuration::default().joined(&config.parameters, &config.secret_parameters)?;
        found.push((format!("config/{}", config.path), configuration));
    }
    found.retain(|(_, configuration)| !configuration.is_empty());
    match found.iter().find_map(|(path, _)| mistake(&spec.type_, path)) {
        Some(mistake) => Err(Error::Invalid(mistake)),
        None => Ok(found),
    }
}

fn kv(config: &KvEngineConfig) -> Configuration {
    let parameters = stated([
        ("max_versions", config.max_versions.map(Value::from)),
        ("cas_required", config.cas_required.map(|it| json!(it))),
        ("delete_version_after", config.delete_version_after.as_ref().map(seconds)),
    ]);
    Configuration { parameters, ..Configuration::default() }
}

/// The mistake in the path of a configuration. None for a plugin whose paths are unknown.
fn mistake(type_: &str, path: &str) -> Option<String> {
    let known: &[&str] = match type_ {
        "kv-v1" | "totp" | "database" => &[],
        "kv-v2" | "kubernetes" => &["config"],
        "transit" => &["config/keys"],
        "ssh" => &["config/zeroaddress"],
        "rabbitmq" => &["config/connection", "config/lease"],
        "pki" => &["config/acme", "config/auto-tidy", "config/cluster", "config/crl", "config/urls"],
        _ => return None,
    };
    if known.contains(&path) {
        return None;
    }
    let below: Vec<&str> = known.iter().filter_map(|path| path.strip_prefix("config/")).collect();
    let change = match (type_, known) {
        ("database", _) => "create a DatabaseConnection for each connection".to_owned(),
        (_, []) => "remove parameters, secretParameters and configs".to_owned(),
        _ if below.is_empty() => "write it to parameters".to_owned(),
        _ => format!("write it to configs; their possible paths are {}", below.join(", ")),
    };
    Some(format!("a SecretEngine of type {type_} has no configuration at {path}: {change}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn engine(spec: Value) -> SecretEngine {
        SecretEngine::new("web", serde_json::from_value(spec).unwrap())
    }

    #[rstest]
    #[case::kv_v2("kv-v2", "config", None)]
    #[case::kv_v2_below("kv-v2", "config/x", Some("write it to parameters"))]
    #[case::kv_v1("kv-v1", "config", Some("remove parameters"))]
    #[case::totp("totp", "config", Some("remove parameters"))]
    #[case::database("database", "config/main", Some("create a DatabaseConnection"))]
    #[case::transit("transit", "config/keys", None)]
    #[case::transit_itself("transit", "config", Some("possible paths are keys"))]
    #[case::pki_urls("pki", "config/urls", None)]
    #[case::pki_ca("pki", "config/ca", Some("possible paths are acme, auto-tidy"))]
    #[case::pki_default_issuer("pki", "config/issuers", Some("possible paths are acme, auto-tidy"))]
    #[case::ssh_ca("ssh", "config/ca", Some("possible paths are zeroaddress"))]
    #[case::rabbitmq("rabbitmq", "config/connection", None)]
    #[case::plugin("my-plugin", "config/anything", None)]
    fn the_path_of_a_configuration_is_checked(
        #[case] type_: &str,
        #[case] path: &str,
        #[case] expected: Option<&str>,
    ) {
        let found = mistake(type_, path);
        assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
        assert!(found.unwrap_or_default().contains(expected.unwrap_or_default()));
    }

    #[test]
    fn typed_and_free_parameters_are_one_configuration() {
        let engine = engine(json!({
            "type": "kv-v2", "config": {"maxVersions": 5, "casRequired": true, "deleteVersionAfter": "1h30m"},
            "parameters": {"metadata_cas_required": true},
        }));
        let configurations = configurations(&engine).unwrap();
        assert_eq!(configurations.len(), 1);
        assert_eq!(configurations[0].0, "config");
        assert_eq!(
            Value::Object(configurations[0].1.parameters.clone()),
            json!({"max_versions": 5, "cas_required": true, "delete_version_after": "5400s", "metadata_cas_required": true})
        );
    }

    #[test]
    fn the_cache_is_determined_at_the_creation_and_the_version_can_change() {
        let engine = engine(json!({"type": "my-plugin", "pluginVersion": "v1.2.3", "forceNoCache": true}));
        let mount = mount(&engine, "web");
        let config = json!({"plugin_version": "v1.2.3", "force_no_cache": true});
        assert_eq!(mount.creation_body().parameters["config"], config);
        let change = mount.change_body().parameters;
        assert_eq!(
            (change.get("plugin_version"), change.get("force_no_cache")),
            (Some(&json!("v1.2.3")), None)
        );
    }

    #[test]
    fn an_engine_without_configuration_is_only_a_mount_that_holds_values() {
        let engine = engine(json!({"type": "transit"}));
        assert_eq!(configurations(&engine).unwrap(), []);
        assert!(mount(&engine, "web").holds_values);
    }
}
