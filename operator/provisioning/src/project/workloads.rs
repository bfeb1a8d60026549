//! Access of Kubernetes workloads: auth mount, roles and policies.

use std::collections::BTreeMap;

use steamer_api::Workload;
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

pub(crate) fn access(
    workloads: &[Workload],
    api_issuer: &ApiIssuer,
    names: &PolicyNames<'_>,
    setting: &Setting<'_>,
) -> Result<Access, Error> {
    for workload in workloads {
        (setting.safe_audiences)(std::slice::from_ref(&workload.audience))?;
    }
    let text = |workload: &Workload| workload_policy_text(names.owner, names.engine, &workload.secrets);
    let policies = workloads.iter().map(|workload| (workload_policy(&workload.name), text(workload)));
    let roles = workloads.iter().map(|workload| (workload.name.clone(), role(workload)));
    let auth = Auth { config: config(api_issuer), cel_roles: BTreeMap::new(), jwt_roles: roles.collect() };
    Ok(Access { mount: WORKLOAD_MOUNT, auth, policies: policies.collect() })
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

fn role(workload: &Workload) -> JwtRole {
    JwtRole {
        bound_subject: format!("system:serviceaccount:{}:{}", workload.namespace, workload.service_account),
        bound_audiences: vec![workload.audience.clone()],
        user_claim: "sub".to_owned(),
        token_policies: vec![workload_policy(&workload.name)],
        token_ttl: TOKEN_SECONDS,
        token_max_ttl: TOKEN_SECONDS,
        token_no_default_policy: true,
        token_type: "batch".to_owned(),
    }
}
