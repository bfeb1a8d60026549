//! ID of the installation. Other installations of Steamer can use the same OpenBao.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};

use crate::error::Error;

/// ConfigMap in the operator's namespace that contains the ID.
const INSTALLATION: &str = "steamer-installation";

/// The ID of this installation: `chosen`, or the uid of the `kube-system` namespace. It is stored in a ConfigMap of the
/// operator's `namespace`, so that a restored Kubernetes cluster still owns its resources.
///
/// # Errors
/// Any error of the API server.
pub async fn installation(client: &Client, namespace: &str, chosen: Option<&str>) -> Result<String, Error> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let kept = |map: ConfigMap| map.data.and_then(|mut data| data.remove("id"));
    if let Some(id) = api.get_opt(INSTALLATION).await?.and_then(kept) {
        return Ok(id);
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let id = match chosen {
        Some(id) => id.to_owned(),
        None => namespaces.get("kube-system").await?.uid().unwrap_or_default(),
    };
    let map = ConfigMap {
        metadata: ObjectMeta { name: Some(INSTALLATION.to_owned()), ..ObjectMeta::default() },
        data: Some([("id".to_owned(), id.clone())].into()),
        ..ConfigMap::default()
    };
    match api.create(&PostParams::default(), &map).await {
        Ok(_) => Ok(id),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            Ok(api.get(INSTALLATION).await.map(kept)?.unwrap_or(id))
        }
        Err(error) => Err(error.into()),
    }
}
