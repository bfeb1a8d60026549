//! Auth methods: from the settings of a BaoAuth to a login. Each method is a file.

mod app_role;
mod aws;
mod cert;
mod cloud_identity;
mod endpoint;
mod gcp;
mod jwt;
mod kubernetes;
mod ldap;
mod method;
mod token;
mod user_pass;

use steamer_api::{BaoAuthSpec, LoginMethod};

use crate::error::Error;

pub(super) use self::cloud_identity::{AwsKeySource, AwsSource, GcpSource};
pub(super) use self::method::ServiceAccountSource;
pub use self::method::{Method, MethodCredential};

/// The login that the settings of the method of a spec state. The spec has a method, and no project.
///
/// # Errors
/// [`Error::Invalid`] for missing or contradictory settings.
pub(super) fn method(spec: &BaoAuthSpec) -> Result<Method, Error> {
    let method = match spec.method {
        None => Err(Error::Invalid(
            "method is required: neither the login nor its global settings state one".to_owned(),
        )),
        Some(LoginMethod::Kubernetes) => kubernetes::method(spec),
        Some(LoginMethod::JWT) => jwt::method(spec),
        Some(LoginMethod::AppRole) => app_role::method(spec),
        Some(LoginMethod::Cert) => cert::method(spec),
        Some(LoginMethod::UserPass) => user_pass::method(spec),
        Some(LoginMethod::LDAP) => ldap::method(spec),
        Some(LoginMethod::Token) => token::method(spec),
        Some(LoginMethod::AWS) => aws::method(spec),
        Some(LoginMethod::GCP) => gcp::method(spec),
    }?;
    method.presented(spec.inline)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};
    use steamer_openbao::LoginKind;

    use super::*;

    fn resolved(spec: Value) -> Result<Method, String> {
        let spec: BaoAuthSpec = serde_json::from_value(spec).unwrap();
        method(&spec).map_err(|error| error.to_string())
    }

    #[rstest]
    #[case::kubernetes(
        json!({"method": "Kubernetes", "kubernetes": {"role": "r", "serviceAccount": "s"}}),
        LoginKind::Role, "kubernetes", "r", "account s 600"
    )]
    #[case::kubernetes_older_than_the_limit(
        json!({"method": "Kubernetes", "kubernetes": {"role": "r", "serviceAccount": "s", "tokenExpirationSeconds": 9000}}),
        LoginKind::Role, "kubernetes", "r", "account s 3600"
    )]
    #[case::jwt(
        json!({"method": "JWT", "jwt": {"role": "r", "serviceAccount": "s", "tokenExpirationSeconds": 700}}),
        LoginKind::Role, "jwt", "r", "inline account s 700"
    )]
    #[case::stored_jwt(json!({"method": "JWT", "jwt": {"role": "r", "secretRef": "s"}, "inline": "Never"}), LoginKind::Role, "jwt", "r", "jwt s")]
    #[case::app_role(json!({"method": "AppRole", "appRole": {"roleId": "r", "secretRef": "s"}}), LoginKind::AppRole, "approle", "r", "s key id")]
    #[case::app_role_file(json!({"method": "AppRole", "appRole": {"roleId": "r", "secretIDPath": "/id"}}), LoginKind::AppRole, "approle", "r", "file /id")]
    #[case::cert(json!({"method": "Cert", "cert": {"secretRef": "s"}}), LoginKind::Certificate, "cert", "", "certificate s")]
    #[case::cert_of_the_connection(json!({"method": "Cert", "cert": {"role": "r"}}), LoginKind::Certificate, "cert", "r", "connection")]
    #[case::user_pass(json!({"method": "UserPass", "userPass": {"username": "u", "secretRef": "s"}}), LoginKind::Password, "userpass", "u", "s key password")]
    #[case::ldap(json!({"method": "LDAP", "ldap": {"username": "u", "secretRef": "s"}}), LoginKind::Password, "ldap", "u", "s key password")]
    #[case::token(json!({"method": "Token", "token": {"secretRef": "s"}}), LoginKind::Token, "token", "", "s key token")]
    #[case::aws(
        json!({"method": "AWS", "aws": {"role": "r", "secretRef": "s"}}),
        LoginKind::Aws, "aws", "r", "s https://sts.amazonaws.com us-east-1"
    )]
    #[case::aws_region(
        json!({"method": "AWS", "aws": {"role": "r", "irsaServiceAccount": "a", "region": "eu-west-1"}}),
        LoginKind::Aws, "aws", "r", "a as steamer https://sts.eu-west-1.amazonaws.com eu-west-1"
    )]
    #[case::aws_in_china(
        json!({"method": "AWS", "aws": {"role": "r", "irsaServiceAccount": "a", "region": "cn-north-1", "sessionName": "n"}}),
        LoginKind::Aws, "aws", "r", "a as n https://sts.cn-north-1.amazonaws.com.cn cn-north-1"
    )]
    #[case::aws_endpoint(
        json!({"method": "AWS", "aws": {"role": "r", "secretRef": "s", "region": "x", "stsEndpoint": "https://sts.example.com"}}),
        LoginKind::Aws, "aws", "r", "s https://sts.example.com x"
    )]
    #[case::gcp(
        json!({"method": "GCP", "gcp": {
            "role": "r", "workloadIdentityServiceAccount": "a", "projectID": "p", "region": "x", "clusterName": "c",
        }}),
        LoginKind::Role, "gcp", "r", "a vault/r https://sts.googleapis.com https://iamcredentials.googleapis.com"
    )]
    #[case::own_mount(
        json!({"method": "LDAP", "mount": "/corp/ldap/", "ldap": {"username": "u", "secretRef": "s"}}),
        LoginKind::Password, "corp/ldap", "u", "s key password"
    )]
    fn each_method_becomes_a_login(
        #[case] spec: Value,
        #[case] kind: LoginKind,
        #[case] mount: &str,
        #[case] role: &str,
        #[case] credential: &str,
    ) {
        let Method { mount: found, role: as_role, kind: of_kind, inline, credential: from, .. } =
            resolved(spec).unwrap();
        let text = match from {
            MethodCredential::ServiceAccount(ServiceAccountSource { name, expiration_seconds, .. }) => {
                format!("account {name} {expiration_seconds}")
            }
            MethodCredential::Jwt(secret) => format!("jwt {secret}"),
            MethodCredential::Secret { name, key } => format!("{name} key {key}"),
            MethodCredential::File(path) => format!("file {path}"),
            MethodCredential::Certificate(secret) => format!("certificate {secret}"),
            MethodCredential::Connection => "connection".to_owned(),
            MethodCredential::Aws(AwsSource { endpoint, region, session, key, .. }) => match key {
                AwsKeySource::Secret(secret) => format!("{secret} {endpoint} {region}"),
                AwsKeySource::Account(account) => format!("{account} as {session} {endpoint} {region}"),
            },
            MethodCredential::Gcp(source) => {
                format!("{} {} {} {}", source.account, source.audience, source.sts, source.iam)
            }
        };
        let text = if inline { format!("inline {text}") } else { text };
        assert_eq!(
            (found.as_str(), as_role.as_str(), of_kind, text.as_str()),
            (mount, role, kind, credential)
        );
    }

    #[rstest]
    #[case::method(json!({}), "method is required")]
    #[case::block(json!({"method": "AppRole"}), "method AppRole requires the block appRole")]
    #[case::role(json!({"method": "Kubernetes", "kubernetes": {"serviceAccount": "s"}}), "kubernetes.role is required")]
    #[case::account(json!({"method": "Kubernetes", "kubernetes": {"role": "s"}}), "kubernetes.serviceAccount is required")]
    #[case::jwt(json!({"method": "JWT", "jwt": {"role": "r"}}), "jwt requires exactly one of serviceAccount and secretRef")]
    #[case::role_id(json!({"method": "AppRole", "appRole": {"secretRef": "s"}}), "appRole.roleId is required")]
    #[case::secret_id(json!({"method": "AppRole", "appRole": {"roleId": "s"}}), "exactly one of secretRef and secretIDPath")]
    #[case::both(json!({"method": "AppRole", "appRole": {"roleId": "r", "secretRef": "s", "secretIDPath": "/a"}}), "exactly one of")]
    #[case::user(json!({"method": "UserPass", "userPass": {"secretRef": "s"}}), "userPass.username is required")]
    #[case::password(json!({"method": "LDAP", "ldap": {"username": "s"}}), "ldap.secretRef is required")]
    #[case::token(json!({"method": "Token", "token": {}}), "token.secretRef is required")]
    #[case::aws_identity(json!({"method": "AWS", "aws": {"role": "r"}}), "aws requires exactly one of secretRef and irsaServiceAccount")]
    #[case::aws_role(json!({"method": "AWS", "aws": {"secretRef": "s"}}), "aws.role is required")]
    #[case::aws_endpoint(
        json!({"method": "AWS", "aws": {"role": "r", "secretRef": "s", "stsEndpoint": r"https://evil.example\.amazonaws.com"}}),
        "aws.stsEndpoint does not result in a URL"
    )]
    #[case::aws_endpoint_without_encryption(
        json!({"method": "AWS", "aws": {"role": "r", "secretRef": "s", "stsEndpoint": "http://sts.amazonaws.com"}}),
        "aws.stsEndpoint does not result in a URL"
    )]
    #[case::aws_region(
        json!({"method": "AWS", "aws": {"role": "r", "secretRef": "s", "region": "evil.example/"}}),
        "aws.region does not result in a URL"
    )]
    #[case::gcp_endpoint(
        json!({"method": "GCP", "gcp": {
            "role": "r", "workloadIdentityServiceAccount": "a", "projectID": "p", "region": "x", "clusterName": "c",
            "iamEndpoint": "http://iamcredentials.googleapis.com",
        }}),
        "gcp.iamEndpoint does not result in a URL"
    )]
    #[case::gcp_account(json!({"method": "GCP", "gcp": {"role": "r"}}), "gcp.workloadIdentityServiceAccount is required")]
    #[case::gcp_cluster(
        json!({"method": "GCP", "gcp": {"role": "r", "workloadIdentityServiceAccount": "a", "projectID": "p", "region": "x"}}),
        "gcp.clusterName is required"
    )]
    #[case::inline(
        json!({"method": "UserPass", "inline": "Always", "userPass": {"username": "u", "secretRef": "s"}}),
        "inline: Always requires method Kubernetes or JWT"
    )]
    fn missing_settings_are_named(#[case] spec: Value, #[case] expected: &str) {
        let message = resolved(spec).err().unwrap_or_default();
        assert!(message.contains(expected), "{message}");
    }
}
