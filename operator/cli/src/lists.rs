//! Lists of objects of every kind, in chunks and concurrently.

use anyhow::{Result, anyhow};
use futures::{StreamExt, TryStreamExt};
use kube::api::ListParams;
use kube::core::Request;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use steamer_api::{GROUP, KindId, VERSION};

use crate::connection::{Cluster, is_missing_kind};

/// Objects in one answer of the API server.
const PAGE: u32 = 500;
/// Concurrent lists.
const AT_ONCE: usize = 8;

/// The objects of a kind.
#[derive(Debug)]
pub(crate) struct Listed<T> {
    pub(crate) kind: KindId,
    pub(crate) answer: Answer<T>,
}

/// Result of a list.
#[derive(Debug)]
pub(crate) enum Answer<T> {
    /// All objects.
    Objects(Vec<T>),
    /// You may not list them.
    Denied,
    /// The API server does not serve the kind.
    NotInstalled,
}

#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    items: Vec<T>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

/// Lists kinds in a namespace, or in all with the kinds that have no namespace.
///
/// # Errors
/// When the API server does not answer, or when it serves none of the kinds, or when you may list none of them.
pub(crate) async fn lists<T: DeserializeOwned>(
    cluster: &Cluster,
    kinds: &[KindId],
    namespace: Option<&str>,
) -> Result<Vec<Listed<T>>> {
    let of_kind = async |kind: &KindId| {
        let answer = list(cluster, *kind, namespace).await?;
        Ok::<_, kube::Error>(Listed { kind: *kind, answer })
    };
    // An object without a namespace belongs to no namespace.
    let kinds = kinds.iter().filter(|kind| namespace.is_none() || is_namespaced(**kind));
    let stream = futures::stream::iter(kinds.map(of_kind)).buffered(AT_ONCE);
    let listed: Vec<Listed<T>> = stream.try_collect().await.map_err(|error| cluster.refusal(error))?;
    if listed.iter().all(|it| matches!(it.answer, Answer::NotInstalled)) {
        return Err(anyhow!(
            "the API server {} serves no kind of steamer.dev/v1alpha1: install the CustomResourceDefinitions of Steamer (chart steamer-crds), or choose another --context",
            cluster.url
        ));
    }
    if !listed.iter().any(|it| matches!(it.answer, Answer::Objects(_))) {
        let place = namespace.map_or("in all namespaces".to_owned(), |it| format!("in namespace {it}"));
        return Err(anyhow!(
            "you may not list the objects of Steamer {place}: choose a namespace with --namespace, or request the role `view` there"
        ));
    }
    Ok(listed)
}

async fn list<T: DeserializeOwned>(
    cluster: &Cluster,
    kind: KindId,
    namespace: Option<&str>,
) -> Result<Answer<T>, kube::Error> {
    let namespace = namespace.map(|it| format!("namespaces/{it}/"));
    let path = format!("/apis/{GROUP}/{VERSION}/{}{}", namespace.unwrap_or_default(), kind.plural());
    let (mut objects, mut next) = (Vec::new(), None::<String>);
    loop {
        let mut parameters = ListParams::default().limit(PAGE);
        parameters.continue_token = next;
        let request = Request::new(&path).list(&parameters).map_err(kube::Error::BuildRequest)?;
        let page: Page<T> = match cluster.client.request(request).await {
            Err(kube::Error::Api(status)) if status.code == 403 => return Ok(Answer::Denied),
            Err(kube::Error::Api(status)) if is_missing_kind(&status) => return Ok(Answer::NotInstalled),
            page => page?,
        };
        objects.extend(page.items);
        next = page.metadata.next.filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(Answer::Objects(objects));
        }
    }
}

/// Returns true for a kind whose objects are in namespaces.
pub(crate) fn is_namespaced(kind: KindId) -> bool {
    kind != KindId::ClusterBaoStaticSecret
}
