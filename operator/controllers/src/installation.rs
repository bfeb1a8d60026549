//! What tells this installation from others at the same OpenBao.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};

use crate::error::Error;
use crate::start::Settings;

/// The ConfigMap that holds the installation id.
const INSTALLATION: &str = "steamer-installation";

/// The id of this installation: given, or that of the cluster; kept, so that a restored cluster finds its things.
pub(crate) async fn installation(client: &Client, settings: &Settings) -> Result<String, Error> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &settings.namespace);
    let kept = |map: ConfigMap| map.data.and_then(|mut data| data.remove("id"));
    if let Some(id) = api.get_opt(INSTALLATION).await?.and_then(kept) {
        return Ok(id);
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let id = match &settings.installation {
        Some(id) => id.clone(),
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
