//! The field manager of an annotation. A client chooses this name: only the audit log of the API server contains the user.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::Api;
use serde_json::Value;
use steamer_api::OpenBaoCluster;
use steamer_core::error::Error;

/// Field manager that set an annotation of a cluster. Read from the API server: the cache has no field managers.
pub(crate) async fn requester(
    api: &Api<OpenBaoCluster>,
    name: &str,
    annotation: &str,
) -> Result<Option<String>, Error> {
    let metadata = api.get_metadata(name).await?.metadata;
    Ok(manager(&metadata.managed_fields.unwrap_or_default(), annotation))
}

/// The field manager of an annotation.
fn manager(entries: &[ManagedFieldsEntry], annotation: &str) -> Option<String> {
    let key = format!("f:{annotation}");
    let owns = |entry: &&ManagedFieldsEntry| {
        let fields: Option<&Value> = entry.fields_v1.as_ref().map(|fields| &fields.0);
        fields.and_then(|fields| fields.get("f:metadata")?.get("f:annotations")?.get(&key)).is_some()
    };
    entries.iter().find(owns)?.manager.clone()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_requester_is_the_manager_of_the_annotation() {
        let entry = |manager: &str, fields: Value| {
            serde_json::from_value(json!({"manager": manager, "operation": "Update", "fieldsV1": fields}))
                .unwrap()
        };
        let entries = [
            entry("kubectl-client-side-apply", json!({"f:spec": {"f:managed": {}}})),
            entry("kubectl-annotate", json!({"f:metadata": {"f:annotations": {"f:steamer.dev/fence": {}}}})),
        ];
        assert_eq!(manager(&entries, "steamer.dev/fence").as_deref(), Some("kubectl-annotate"));
        assert_eq!(manager(&entries, "steamer.dev/step-down"), None);
    }
}
