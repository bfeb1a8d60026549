//! The spec of a BaoAuth together with the defaults of its BaoAuthGlobal.

use std::collections::BTreeMap;

use steamer_api::{
    AppRoleMethod, AwsMethod, BaoAuthGlobalSpec, BaoAuthSpec, CertMethod, GcpMethod, JwtMethod,
    KubernetesMethod, LoginDefaults, LoginMethod, MergeStrategy, MethodDefaults, PasswordMethod, TokenMethod,
};

/// Settings that can replace those of a BaoAuthGlobal one by one.
trait Settings: Clone {
    /// These settings, and those of `base` that these do not state.
    fn over(&self, base: &Self) -> Self;
}

/// The spec with all defaults. Server, method, namespace, mount and each setting are those of the BaoAuth, if it states
/// them.
pub(super) fn merged(auth: &BaoAuthSpec, global: &BaoAuthGlobalSpec) -> BaoAuthSpec {
    let method = auth.method.or(global.default_auth_method);
    let none = LoginDefaults::default();
    let login = method.and_then(|method| login_of(global, method)).unwrap_or(&none);
    let strategy = auth.auth_global_ref.clone().unwrap_or_default().merge_strategy;
    let has_server = auth.connection_ref.is_some() || auth.cluster_ref.is_some();
    let server = if has_server {
        (&auth.connection_ref, &auth.cluster_ref)
    } else {
        (&global.connection_ref, &global.cluster_ref)
    };
    BaoAuthSpec {
        connection_ref: server.0.clone(),
        cluster_ref: server.1.clone(),
        namespace: first([&auth.namespace, &login.namespace, &global.default_namespace]),
        mount: first([&auth.mount, &login.mount, &global.default_mount]),
        params: entries(strategy.params, [&auth.params, &login.params, &global.params]),
        headers: entries(strategy.headers, [&auth.headers, &login.headers, &global.headers]),
        method,
        ..with_settings(auth, global)
    }
}

fn with_settings(auth: &BaoAuthSpec, global: &BaoAuthGlobalSpec) -> BaoAuthSpec {
    BaoAuthSpec {
        kubernetes: layered(auth.kubernetes.as_ref(), global.kubernetes.as_ref()),
        jwt: layered(auth.jwt.as_ref(), global.jwt.as_ref()),
        app_role: layered(auth.app_role.as_ref(), global.app_role.as_ref()),
        cert: layered(auth.cert.as_ref(), global.cert.as_ref()),
        user_pass: layered(auth.user_pass.as_ref(), global.user_pass.as_ref()),
        ldap: layered(auth.ldap.as_ref(), global.ldap.as_ref()),
        token: layered(auth.token.as_ref(), global.token.as_ref()),
        aws: layered(auth.aws.as_ref(), global.aws.as_ref()),
        gcp: layered(auth.gcp.as_ref(), global.gcp.as_ref()),
        ..auth.clone()
    }
}

fn login_of(global: &BaoAuthGlobalSpec, method: LoginMethod) -> Option<&LoginDefaults> {
    match method {
        LoginMethod::Kubernetes => global.kubernetes.as_ref().map(|method| &method.login),
        LoginMethod::JWT => global.jwt.as_ref().map(|method| &method.login),
        LoginMethod::AppRole => global.app_role.as_ref().map(|method| &method.login),
        LoginMethod::Cert => global.cert.as_ref().map(|method| &method.login),
        LoginMethod::UserPass => global.user_pass.as_ref().map(|method| &method.login),
        LoginMethod::LDAP => global.ldap.as_ref().map(|method| &method.login),
        LoginMethod::Token => global.token.as_ref().map(|method| &method.login),
        LoginMethod::AWS => global.aws.as_ref().map(|method| &method.login),
        LoginMethod::GCP => global.gcp.as_ref().map(|method| &method.login),
    }
}

fn layered<T: Settings>(own: Option<&T>, base: Option<&MethodDefaults<T>>) -> Option<T> {
    match (own, base) {
        (Some(own), Some(base)) => Some(own.over(&base.settings)),
        (own, base) => own.or(base.map(|base| &base.settings)).cloned(),
    }
}

fn first<T: Clone, const N: usize>(sources: [&Option<T>; N]) -> Option<T> {
    sources.into_iter().flatten().next().cloned()
}

/// Parameters or headers of sources, the most specific first.
fn entries(strategy: MergeStrategy, sources: [&BTreeMap<String, String>; 3]) -> BTreeMap<String, String> {
    match strategy {
        MergeStrategy::None => sources[0].clone(),
        MergeStrategy::Replace => {
            sources.into_iter().find(|source| !source.is_empty()).cloned().unwrap_or_default()
        }
        MergeStrategy::Union => sources.into_iter().rev().flat_map(BTreeMap::clone).collect(),
    }
}

fn list(own: &[String], base: &[String]) -> Vec<String> {
    if own.is_empty() { base.to_vec() } else { own.to_vec() }
}

/// One of two settings that exclude each other: those of the BaoAuth, if it states one.
fn either<T: Clone>(own: (&Option<T>, &Option<T>), base: (&Option<T>, &Option<T>)) -> (Option<T>, Option<T>) {
    let (one, other) = if own.0.is_some() || own.1.is_some() { own } else { base };
    (one.clone(), other.clone())
}

impl Settings for KubernetesMethod {
    fn over(&self, base: &Self) -> Self {
        Self {
            role: first([&self.role, &base.role]),
            service_account: first([&self.service_account, &base.service_account]),
            audiences: list(&self.audiences, &base.audiences),
            token_expiration_seconds: self.token_expiration_seconds.or(base.token_expiration_seconds),
        }
    }
}

impl Settings for JwtMethod {
    fn over(&self, base: &Self) -> Self {
        let (service_account, secret_ref) =
            either((&self.service_account, &self.secret_ref), (&base.service_account, &base.secret_ref));
        Self {
            role: first([&self.role, &base.role]),
            service_account,
            secret_ref,
            audiences: list(&self.audiences, &base.audiences),
            token_expiration_seconds: self.token_expiration_seconds.or(base.token_expiration_seconds),
        }
    }
}

impl Settings for AppRoleMethod {
    fn over(&self, base: &Self) -> Self {
        let (secret_ref, secret_id_path) =
            either((&self.secret_ref, &self.secret_id_path), (&base.secret_ref, &base.secret_id_path));
        Self { role_id: first([&self.role_id, &base.role_id]), secret_ref, secret_id_path }
    }
}

impl Settings for CertMethod {
    fn over(&self, base: &Self) -> Self {
        Self {
            role: first([&self.role, &base.role]),
            secret_ref: first([&self.secret_ref, &base.secret_ref]),
        }
    }
}

impl Settings for PasswordMethod {
    fn over(&self, base: &Self) -> Self {
        Self {
            username: first([&self.username, &base.username]),
            secret_ref: first([&self.secret_ref, &base.secret_ref]),
        }
    }
}

impl Settings for TokenMethod {
    fn over(&self, base: &Self) -> Self {
        Self { secret_ref: first([&self.secret_ref, &base.secret_ref]) }
    }
}

impl Settings for AwsMethod {
    fn over(&self, base: &Self) -> Self {
        let (secret_ref, irsa_service_account) = either(
            (&self.secret_ref, &self.irsa_service_account),
            (&base.secret_ref, &base.irsa_service_account),
        );
        Self {
            role: first([&self.role, &base.role]),
            region: first([&self.region, &base.region]),
            header_value: first([&self.header_value, &base.header_value]),
            session_name: first([&self.session_name, &base.session_name]),
            sts_endpoint: first([&self.sts_endpoint, &base.sts_endpoint]),
            secret_ref,
            irsa_service_account,
        }
    }
}

impl Settings for GcpMethod {
    fn over(&self, base: &Self) -> Self {
        Self {
            role: first([&self.role, &base.role]),
            workload_identity_service_account: first([
                &self.workload_identity_service_account,
                &base.workload_identity_service_account,
            ]),
            region: first([&self.region, &base.region]),
            cluster_name: first([&self.cluster_name, &base.cluster_name]),
            project_id: first([&self.project_id, &base.project_id]),
            sts_endpoint: first([&self.sts_endpoint, &base.sts_endpoint]),
            iam_endpoint: first([&self.iam_endpoint, &base.iam_endpoint]),
        }
    }
}

#[cfg(test)]
mod tests;
