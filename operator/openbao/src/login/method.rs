//! Auth methods: endpoint and parameters of a login, and the effect of a rejection.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::Error;

/// Longest pause after a rejected login that cannot lock anything.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// Pause after a rejected token, which does not become valid later, but its policies can change. Pause after a login that
/// OpenBao denied without a check of the credential: the mount does not exist, or the user is locked.
const DENIED_PAUSE: Duration = Duration::from_secs(60);
/// Pause after a refused password or secret ID. OpenBao locks a user after five failures within 15 minutes.
const LOCKOUT_PAUSE: Duration = Duration::from_secs(1800);

/// Auth method of a login, as its endpoint requires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LoginKind {
    /// `login` with a role and a JWT.
    #[default]
    Role,
    /// `cel/login` with a role and a JWT.
    Cel,
    /// `login` with a role ID, which is the role, and a secret ID.
    AppRole,
    /// `login` with the client certificate of the connection. The role can be empty.
    Certificate,
    /// `login/<user>` with a password. The user is the role.
    Password,
    /// `login` with a role and the parameters in the secret, a JSON object: a request that an AWS identity has signed.
    Aws,
    /// No login: the credential is a token. It is looked up, renewed, and never revoked.
    Token,
}

/// Cause of a rejected login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Cause {
    /// OpenBao denied the login, without a message.
    #[default]
    Denied,
    /// OpenBao checked the credential and refused it.
    Refused,
}

impl Cause {
    pub(super) fn of(error: &Error) -> Self {
        if matches!(error, Error::Invalid { .. }) { Self::Refused } else { Self::Denied }
    }
}

impl LoginKind {
    /// Returns the path of the login in its namespace.
    pub(super) fn endpoint(self, mount: &str, role: &str) -> String {
        match self {
            Self::Role | Self::AppRole | Self::Certificate | Self::Aws => format!("auth/{mount}/login"),
            Self::Cel => format!("auth/{mount}/cel/login"),
            Self::Password => format!("auth/{mount}/login/{role}"),
            Self::Token => "auth/token/lookup-self".to_owned(),
        }
    }

    /// Returns the parameters of the login.
    pub(super) fn parameters(self, role: &str, secret: &SecretString) -> Vec<(String, String)> {
        let secret = secret.expose_secret();
        let parameters = match self {
            Self::Role | Self::Cel => vec![("role", role), ("jwt", secret)],
            Self::AppRole => vec![("role_id", role), ("secret_id", secret)],
            Self::Certificate if !role.is_empty() => vec![("name", role)],
            Self::Password => vec![("password", secret)],
            Self::Certificate | Self::Token => Vec::new(),
            Self::Aws => return signed(role, secret),
        };
        parameters.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Returns what to check after OpenBao denied a login without a message.
    pub(super) fn hint(self, role: &str) -> String {
        match self {
            Self::Role | Self::Cel => {
                format!("check that the auth mount and role `{role}` exist and accept this login")
            }
            Self::Aws => {
                format!("check that the auth mount and role `{role}` exist and accept this AWS identity")
            }
            Self::AppRole => "check that the auth mount and the role of this roleId exist".to_owned(),
            Self::Certificate => {
                "check that the auth mount exists and that one of its roles accepts the client certificate"
                    .to_owned()
            }
            Self::Password => {
                format!("check that the auth mount exists and that user `{role}` exists and is not locked")
            }
            Self::Token => {
                "the token is not valid, or its policies do not allow auth/token/lookup-self, which the \
                            policy `default` allows"
                    .to_owned()
            }
        }
    }

    /// Returns how long a login that was rejected a number of times in a row is not repeated: 1 s after the first two
    /// rejections, then longer. Much longer for a refused credential that further failures lock.
    pub(super) fn pause(self, times: u32, cause: Cause) -> Duration {
        match self {
            Self::Role | Self::Cel | Self::Certificate | Self::Aws => {
                Duration::from_secs(1 << (times / 3).min(3)).min(LONGEST_PAUSE)
            }
            Self::AppRole | Self::Password if cause == Cause::Refused => LOCKOUT_PAUSE,
            Self::AppRole | Self::Password | Self::Token => DENIED_PAUSE,
        }
    }

    /// Returns the notice about the pause that follows the message of a rejected login.
    pub(super) fn notice(self) -> &'static str {
        match self {
            Self::AppRole | Self::Password => {
                "; Steamer tries this credential again after 30 minutes, so that OpenBao does not lock the user: correct it"
            }
            Self::Role | Self::Cel | Self::Certificate | Self::Aws | Self::Token => "",
        }
    }
}

/// The parameters of a signed request.
fn signed(role: &str, secret: &str) -> Vec<(String, String)> {
    let signed: BTreeMap<String, String> = serde_json::from_str(secret).unwrap_or_default();
    std::iter::once(("role".to_owned(), role.to_owned())).chain(signed).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::role(LoginKind::Role, "auth/m/login", &["role=r", "jwt=s"])]
    #[case::cel(LoginKind::Cel, "auth/m/cel/login", &["role=r", "jwt=s"])]
    #[case::app_role(LoginKind::AppRole, "auth/m/login", &["role_id=r", "secret_id=s"])]
    #[case::certificate(LoginKind::Certificate, "auth/m/login", &["name=r"])]
    #[case::password(LoginKind::Password, "auth/m/login/r", &["password=s"])]
    #[case::token(LoginKind::Token, "auth/token/lookup-self", &[])]
    fn each_method_has_its_endpoint_and_parameters(
        #[case] kind: LoginKind,
        #[case] endpoint: &str,
        #[case] expected: &[&str],
    ) {
        assert_eq!(kind.endpoint("m", "r"), endpoint);
        let parameters = kind.parameters("r", &"s".to_owned().into());
        let parameters: Vec<String> =
            parameters.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(parameters, expected);
    }

    #[test]
    fn a_signed_request_becomes_parameters() {
        let secret = r#"{"iam_request_url": "u"}"#.to_owned().into();
        let parameters = LoginKind::Aws.parameters("r", &secret);
        assert_eq!(LoginKind::Aws.endpoint("m", "r"), "auth/m/login");
        let expected = [("role", "r"), ("iam_request_url", "u")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(parameters, expected);
    }

    #[test]
    fn a_certificate_without_role_is_tried_with_all_roles() {
        assert!(LoginKind::Certificate.parameters("", &SecretString::default()).is_empty());
    }

    #[rstest]
    #[case(LoginKind::Role, 1, Cause::Refused, 1)]
    #[case(LoginKind::Role, 2, Cause::Denied, 1)]
    #[case(LoginKind::Certificate, 4, Cause::Refused, 2)]
    #[case(LoginKind::Cel, 40, Cause::Refused, 8)]
    #[case(LoginKind::Token, 1, Cause::Denied, 60)]
    #[case(LoginKind::Password, 1, Cause::Refused, 1800)]
    #[case(LoginKind::Password, 1, Cause::Denied, 60)]
    #[case(LoginKind::AppRole, 9, Cause::Refused, 1800)]
    fn the_pause_after_rejected_logins_is_bounded_and_prevents_a_lockout(
        #[case] kind: LoginKind,
        #[case] times: u32,
        #[case] cause: Cause,
        #[case] seconds: u64,
    ) {
        assert_eq!(kind.pause(times, cause), Duration::from_secs(seconds));
    }
}
