//! The ServiceAccount that logs in.

use anyhow::{Context, Result, bail};
use clap::Args as Arguments;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use secrecy::SecretString;
use steamer_api::{Administrator, OpenBaoCluster};
use steamer_core::access::server_audience::server_audience;
use steamer_core::layout::OPERATOR_MOUNT;

use crate::connection::Cluster;

/// Lifetime of the token of the ServiceAccount, in seconds.
const SECONDS: i64 = 600;

/// Options of the login.
#[derive(Arguments)]
pub(crate) struct Account {
    /// Administrator of a managed cluster to log in as. Not needed if the cluster has one administrator.
    #[arg(long)]
    administrator: Option<String>,
    /// ServiceAccount of the namespace to log in with. Default: that of the administrator.
    #[arg(long)]
    service_account: Option<String>,
    /// Role of OpenBao. Default: the name of the administrator.
    #[arg(long)]
    role: Option<String>,
    /// Auth mount of OpenBao.
    #[arg(long, default_value = OPERATOR_MOUNT)]
    mount: String,
}

/// A complete login.
pub(super) struct Chosen {
    pub(super) mount: String,
    pub(super) role: String,
    namespace: String,
    name: String,
    audience: String,
}

impl Account {
    /// The login at a cluster.
    ///
    /// # Errors
    /// When the options and the cluster do not determine one.
    pub(super) fn of(&self, cluster: &OpenBaoCluster) -> Result<Chosen> {
        let own = cluster.metadata.namespace.clone().unwrap_or_default();
        let (mount, audience) = (self.mount.clone(), server_audience(cluster));
        if let (Some(name), Some(role)) = (&self.service_account, &self.role) {
            return Ok(Chosen { mount, role: role.clone(), namespace: own, name: name.clone(), audience });
        }
        let administrator = self.administrator(cluster)?;
        let account = administrator.service_account.as_ref();
        let account = account.with_context(|| {
            format!(
                "administrator {} logs in with a token of a JWTIssuer: use `bao login`",
                administrator.name
            )
        })?;
        Ok(Chosen {
            mount,
            role: self.role.clone().unwrap_or_else(|| administrator.name.clone()),
            namespace: account.namespace.clone().unwrap_or(own),
            name: self.service_account.clone().unwrap_or_else(|| account.name.clone()),
            audience,
        })
    }

    fn administrator<'a>(&self, cluster: &'a OpenBaoCluster) -> Result<&'a Administrator> {
        let all = &cluster.spec.administrators;
        let names: Vec<&str> = all.iter().map(|it| it.name.as_str()).collect();
        match (&self.administrator, all.as_slice()) {
            (Some(name), _) => all.iter().find(|it| it.name == *name).with_context(|| {
                format!("the cluster has no administrator {name}, only: {}", names.join(", "))
            }),
            (None, [one]) => Ok(one),
            (None, []) => bail!("the cluster states no administrator: use --service-account and --role"),
            (None, _) => bail!(
                "the cluster has several administrators: choose one with --administrator: {}",
                names.join(", ")
            ),
        }
    }
}

impl Chosen {
    /// A token of the ServiceAccount for OpenBao.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub(super) async fn token(&self, cluster: &Cluster) -> Result<SecretString> {
        let spec = TokenRequestSpec {
            audiences: vec![self.audience.clone()],
            expiration_seconds: Some(SECONDS),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let api = cluster.api_in::<ServiceAccount>(&self.namespace);
        let answer = api.create_token_request(&self.name, &PostParams::default(), &request).await;
        let answer = answer.map_err(|error| cluster.refusal(error))?;
        Ok(answer.status.context("the API server returned no token")?.token.into())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn options(administrator: Option<&str>, account: Option<&str>, role: Option<&str>) -> Account {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Account {
            administrator: text(administrator),
            service_account: text(account),
            role: text(role),
            mount: OPERATOR_MOUNT.to_owned(),
        }
    }

    fn cluster(administrators: Value) -> OpenBaoCluster {
        let auth = json!({"kubernetes": {"role": "steamer", "audience": "openbao"}});
        let spec = json!({"external": {"address": "https://bao", "managementAuth": auth}, "administrators": administrators});
        serde_json::from_value(json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": "OpenBaoCluster", "metadata": {"name": "main", "namespace": "openbao"}, "spec": spec,
        }))
        .unwrap()
    }

    #[rstest]
    #[case::only_one(options(None, None, None), &["admin"], "openbao/admin as admin")]
    #[case::chosen(options(Some("b"), None, None), &["a", "b"], "openbao/b as b")]
    #[case::several(options(None, None, None), &["a", "b"], "the cluster has several administrators: choose one with --administrator: a, b")]
    #[case::unknown(options(Some("c"), None, None), &["a"], "the cluster has no administrator c, only: a")]
    #[case::none(options(None, None, None), &[], "the cluster states no administrator: use --service-account and --role")]
    #[case::stated(options(None, Some("x"), Some("r")), &[], "openbao/x as r")]
    fn the_options_and_the_cluster_determine_the_login(
        #[case] options: Account,
        #[case] administrators: &[&str],
        #[case] expected: &str,
    ) {
        let administrators =
            administrators.iter().map(|name| json!({"name": name, "serviceAccount": {"name": name}}));
        let found = match options.of(&cluster(administrators.collect())) {
            Ok(chosen) => format!("{}/{} as {}", chosen.namespace, chosen.name, chosen.role),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }
}
