//! Connection to the Kubernetes API server, with the kubeconfig of the caller.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};
use clap::Args as Arguments;
use k8s_openapi::NamespaceResourceScope;
use kube::api::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Resource};
use serde::de::DeserializeOwned;

/// Time after which a silent connection to the API server is replaced.
const SILENCE: Duration = Duration::from_secs(90);
/// Time within which the API server has to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Options of every command that reads a cluster.
#[derive(Arguments, Clone, Debug, Default)]
pub(crate) struct Connection {
    /// Namespace of the objects. Default: that of the context.
    #[arg(long, short)]
    pub(crate) namespace: Option<String>,
    /// Kubeconfig. Default: as kubectl.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig. Default: the current one.
    #[arg(long)]
    context: Option<String>,
}

/// A connection to the API server.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// Namespace of the option, or else that of the context.
    pub(crate) namespace: String,
    /// URL of the API server.
    pub(crate) url: String,
}

impl Connection {
    /// Connects, without a request.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub(crate) async fn cluster(&self) -> Result<Cluster> {
        let mut config = self.config().await.context("cannot read the kubeconfig")?;
        config.connect_timeout = Some(CONNECT);
        let url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = steamer_runtime::kubernetes::client(config, SILENCE, || {})?;
        Ok(Cluster { client, namespace, url })
    }

    async fn config(&self) -> Result<Config> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        match &self.kubeconfig {
            Some(path) => Ok(Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?),
            None if self.context.is_some() => Ok(Config::from_kubeconfig(&options).await?),
            None => Ok(Config::infer().await?),
        }
    }
}

impl Connection {
    /// The options that select the cluster, for kubectl.
    pub(crate) fn as_arguments(&self) -> Vec<String> {
        let kubeconfig = self.kubeconfig.iter().map(|path| format!("--kubeconfig={}", path.display()));
        kubeconfig.chain(self.context.iter().map(|context| format!("--context={context}"))).collect()
    }
}

impl Cluster {
    /// The API of a kind in a namespace.
    pub(crate) fn api_in<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// An object.
    ///
    /// # Errors
    /// When it does not exist or cannot be read. The message says what to do.
    pub(crate) async fn object<K>(&self, namespace: &str, name: &str) -> Result<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let (kind, plural) = (K::kind(&()), K::plural(&()));
        match self.api_in::<K>(namespace).get(name).await {
            Err(kube::Error::Api(status)) if status.code == 404 && status.message.contains(name) => {
                Err(anyhow!(
                    "{kind} {namespace}/{name} does not exist: see `kubectl get {plural} --all-namespaces`"
                ))
            }
            result => result.map_err(|error| self.refusal(error)),
        }
    }

    /// An error of the API server, as a sentence.
    pub(crate) fn refusal(&self, error: kube::Error) -> Error {
        match error {
            kube::Error::Api(status) if status.code == 401 => {
                anyhow!("the API server {} does not accept your credentials: log in again", self.url)
            }
            kube::Error::Api(status) if is_missing_kind(&status) => {
                anyhow!(
                    "the API server {} does not serve steamer.dev/v1alpha1: install the CustomResourceDefinitions of Steamer (chart steamer-crds), or choose another --context",
                    self.url
                )
            }
            kube::Error::Api(status) => anyhow!("the API server refuses the request: {}", status.message),
            other => Error::new(other).context(format!("cannot reach the API server {}", self.url)),
        }
    }
}

/// The answer for a kind that is not served has no details of an object.
pub(crate) fn is_missing_kind(status: &kube::core::Status) -> bool {
    let names_an_object = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
    status.code == 404 && !names_an_object
}
