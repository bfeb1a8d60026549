//! Secrets that a pod template uses.

use serde_json::Value;

/// Returns true if the containers of a pod template get the Secret as environment variables or in a volume. Secrets of
/// `imagePullSecrets` do not count: a restart does not need them.
pub(super) fn uses(template: &Value, secret: &str) -> bool {
    let spec = &template["spec"];
    let containers = items(&spec["initContainers"]).chain(items(&spec["containers"]));
    containers
        .flat_map(of_container)
        .chain(items(&spec["volumes"]).flat_map(of_volume))
        .any(|name| name == secret)
}

fn of_container(container: &Value) -> impl Iterator<Item = &str> {
    let variables = items(&container["env"]).map(|variable| &variable["valueFrom"]["secretKeyRef"]["name"]);
    let sources = items(&container["envFrom"]).map(|source| &source["secretRef"]["name"]);
    variables.chain(sources).filter_map(Value::as_str)
}

fn of_volume(volume: &Value) -> impl Iterator<Item = &str> {
    let sources = items(&volume["projected"]["sources"]).map(|source| &source["secret"]["name"]);
    sources.chain(std::iter::once(&volume["secret"]["secretName"])).filter_map(Value::as_str)
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::env(json!({"containers": [{}, {"env": [{"name": "A", "value": "x"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "app", "key": "k"}}}]}]}), true)]
    #[case::env_from(json!({"containers": [{"envFrom": [{"configMapRef": {"name": "app"}}, {"secretRef": {"name": "app"}}]}]}), true)]
    #[case::init_container(json!({"initContainers": [{"envFrom": [{"secretRef": {"name": "app"}}]}]}), true)]
    #[case::volume(json!({"volumes": [{"name": "v", "secret": {"secretName": "app"}}]}), true)]
    #[case::projected(json!({"volumes": [{"projected": {"sources": [{"configMap": {"name": "x"}}, {"secret": {"name": "app"}}]}}]}), true)]
    #[case::config_map(json!({"containers": [{"envFrom": [{"configMapRef": {"name": "app"}}]}], "volumes": [{"configMap": {"name": "app"}}]}), false)]
    #[case::image_pull_secret(json!({"imagePullSecrets": [{"name": "app"}]}), false)]
    #[case::other_name(json!({"volumes": [{"secret": {"secretName": "app-2"}}]}), false)]
    #[case::nothing(json!({}), false)]
    fn a_template_uses_a_secret_in_its_environment_and_volumes(#[case] spec: Value, #[case] expected: bool) {
        assert_eq!(uses(&json!({"spec": spec}), "app"), expected);
    }
}
