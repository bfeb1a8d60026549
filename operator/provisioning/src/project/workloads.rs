//! Access of Kubernetes workloads: auth mount, roles and policies.

use std::collections::BTreeMap;

use steamer_api::{OpenBaoCluster, Workload};
use steamer_core::access::server_audience::server_audience;
use steamer_core::access::service_accounts::ApiIssuer;
use steamer_core::error::Error;
use steamer_core::layout::{WORKLOAD_MOUNT, workload_policy};
use steamer_openbao::{JwtConfig, JwtKeys, JwtRole};

use super::desired::{Access, Auth};
use super::pipelines::PolicyNames;
use crate::engine::Setting;
use crate::pipelines::workload_policy_text;

/// Signature algorithms of ServiceAccount tokens.
const ALGORITHMS: [&str; 2] = ["RS256", "ES256"];
/// Lifetime of the tokens of workloads, in seconds.
const TOKEN_SECONDS: i64 = 300;

/// Where the workloads log in.
pub(crate) struct Target<'a> {
    /// Issuer of their tokens.
    pub(crate) api_issuer: &'a ApiIssuer,
    /// Cluster of the project.
    pub(crate) cluster: &'a OpenBaoCluster,
    pub(crate) names: &'a PolicyNames<'a>,
}

/// The audience of the tokens of a workload.
fn audience(workload: &Workload, cluster: &OpenBaoCluster) -> String {
    workload.audience.clone().unwrap_or_else(|| server_audience(cluster))
}

pub(crate) fn access(
    workloads: &[Workload],
    Target { api_issuer, cluster, names }: Target<'_>,
    setting: &Setting<'_>,
) -> Result<Access, Error> {
    for workload in workloads {
        (setting.safe_audiences)(&[audience(workload, cluster)])?;
    }
    let text = |workload: &Workload| workload_policy_text(names.owner, names.engine, &workload.secrets);
    let policies = workloads.iter().map(|workload| (workload_policy(&workload.name), text(workload)));
    let roles = workloads.iter().map(|workload| {
        let audience = audience(workload, cluster);
        (workload.name.clone(), role(workload, audience))
    });
    let auth = Auth {
        config: config(api_issuer),
        key_removals: None,
        cel_roles: BTreeMap::new(),
        jwt_roles: roles.collect(),
    };
    Ok(Access { mount: WORKLOAD_MOUNT.to_owned(), auth, policies: policies.collect() })
}

fn config(api_issuer: &ApiIssuer) -> JwtConfig {
    JwtConfig {
        keys: JwtKeys::Static(api_issuer.keys.clone()),
        ca: String::new(),
        bound_issuer: api_issuer.issuer.clone(),
        algorithms: ALGORITHMS.map(str::to_owned).to_vec(),
        skip_validation: true,
    }
}

fn role(workload: &Workload, audience: String) -> JwtRole {
    JwtRole {
        bound_subject: format!("system:serviceaccount:{}:{}", workload.namespace, workload.service_account),
        bound_audiences: vec![audience],
        user_claim: "sub".to_owned(),
        token_policies: vec![workload_policy(&workload.name)],
        token_ttl: TOKEN_SECONDS,
        token_max_ttl: TOKEN_SECONDS,
        token_no_default_policy: true,
        token_type: "batch".to_owned(),
    }
}
