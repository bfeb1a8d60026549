//! Consent to the use of credentials of a namespace. An object of another namespace (a shared BaoAuth) can name account,
//! audience and server; the owner of the account decides for which audiences its tokens are requested.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::ResourceExt;
use steamer_runtime::ObjectName;

use crate::error::Error;

/// Annotation of a ServiceAccount: audiences of its tokens, separated by commas.
pub const AUDIENCES: &str = "steamer.dev/audiences";
/// Label of a Secret that holds a JWT for logins to OpenBao.
pub const JWT: &str = "steamer.dev/jwt";
/// Label of a Secret that holds another credential for logins to OpenBao.
pub const LOGIN: &str = "steamer.dev/login";

/// Audiences that the installation allows for every ServiceAccount.
#[derive(Clone, Debug, Default)]
pub struct Consent(BTreeSet<String>);

/// Audiences that a login asks of a ServiceAccount.
pub struct Asked<'a> {
    /// Audiences of the token.
    pub audiences: &'a [String],
    /// Audiences of the OpenBaoCluster that receives the token, if the namespace of the ServiceAccount may use it.
    pub of_server: &'a [String],
}

impl Consent {
    /// The audiences of a list. Blank entries are ignored.
    pub fn new(audiences: impl IntoIterator<Item = String>) -> Self {
        let audiences = audiences.into_iter().map(|audience| audience.trim().to_owned());
        Self(audiences.filter(|audience| !audience.is_empty()).collect())
    }

    /// Checks that a ServiceAccount, the installation or the receiving cluster allows each audience.
    ///
    /// # Errors
    /// [`Error::NotAllowed`] with the command that allows them.
    pub fn check(&self, account: &ServiceAccount, asked: &Asked<'_>) -> Result<(), Error> {
        let stated = account.annotations().get(AUDIENCES).map(String::as_str).unwrap_or_default();
        let mut allowed: Vec<&str> =
            stated.split(',').map(str::trim).filter(|text| !text.is_empty()).collect();
        let is_allowed = |audience: &&String| {
            allowed.contains(&audience.as_str())
                || self.0.contains(*audience)
                || asked.of_server.contains(audience)
        };
        let refused: Vec<&str> =
            asked.audiences.iter().filter(|audience| !is_allowed(audience)).map(String::as_str).collect();
        if refused.is_empty() {
            return Ok(());
        }
        let name = ObjectName::of(account);
        let text = refused.join("`, `");
        allowed.extend(&refused);
        Err(Error::NotAllowed(format!(
            "ServiceAccount {name} does not allow tokens for audience `{text}`: run `kubectl annotate serviceaccount {} \
             --namespace {} --overwrite {AUDIENCES}={}`",
            name.name,
            name.namespace,
            allowed.join(",")
        )))
    }
}

/// Checks that the JWT of a Secret may be used for logins.
///
/// # Errors
/// [`Error::NotAllowed`] with the command that allows it.
pub fn check_secret(secret: &Secret) -> Result<(), Error> {
    check_label(secret, JWT, "with its JWT")
}

/// Checks that the password, secret ID, token or client key of a Secret may be used for logins.
///
/// # Errors
/// [`Error::NotAllowed`] with the command that allows it.
pub fn check_login(secret: &Secret) -> Result<(), Error> {
    check_label(secret, LOGIN, "to OpenBao")
}

fn check_label(secret: &Secret, label: &str, what: &str) -> Result<(), Error> {
    if secret.labels().get(label).is_some_and(|value| value == "true") {
        return Ok(());
    }
    let name = ObjectName::of(secret);
    Err(Error::NotAllowed(format!(
        "Secret {name} does not allow logins {what}: run `kubectl label secret {} --namespace {} {label}=true`",
        name.name, name.namespace
    )))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn account(annotation: Option<&str>) -> ServiceAccount {
        let annotations = annotation.map(|text| json!({AUDIENCES: text}));
        let object = json!({"metadata": {"name": "app", "namespace": "web", "annotations": annotations}});
        serde_json::from_value(object).unwrap()
    }

    const NONE: &[&str] = &[];

    #[rstest]
    #[case::nothing(None, NONE, NONE, &["a"], Some("steamer.dev/audiences=a`"))]
    #[case::annotation(Some("a"), NONE, NONE, &["a"], None)]
    #[case::annotation_with_spaces(Some(" b , a "), NONE, NONE, &["a"], None)]
    #[case::other_annotation(Some("b"), NONE, NONE, &["a"], Some("steamer.dev/audiences=b,a`"))]
    #[case::prefix_of_an_annotation(Some("aa"), NONE, NONE, &["a"], Some("steamer.dev/audiences=aa,a`"))]
    #[case::empty_annotation(Some(","), NONE, NONE, &[""], Some("audience ``"))]
    #[case::flag(None, &["a"], NONE, &["a"], None)]
    #[case::server(None, NONE, &["a"], &["a"], None)]
    #[case::one_of_two(None, NONE, &["a"], &["a", "sts"], Some("steamer.dev/audiences=sts`"))]
    #[case::all_sources(Some("a"), &["b"], &["c"], &["a", "b", "c"], None)]
    fn tokens_are_requested_only_with_consent(
        #[case] annotation: Option<&str>,
        #[case] flag: &[&str],
        #[case] of_server: &[&str],
        #[case] audiences: &[&str],
        #[case] expected: Option<&str>,
    ) {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let (audiences, of_server) = (owned(audiences), owned(of_server));
        let asked = Asked { audiences: &audiences, of_server: &of_server };
        let refused = Consent::new(owned(flag)).check(&account(annotation), &asked).err();
        match (refused.map(|error| error.to_string()), expected) {
            (None, None) => {}
            (Some(text), Some(expected)) => {
                assert!(
                    text.contains(expected) && text.contains("kubectl annotate serviceaccount app"),
                    "{text}"
                );
            }
            other => panic!("{other:?}"),
        }
    }

    #[rstest]
    #[case(json!({}), false, false)]
    #[case(json!({JWT: "false", LOGIN: "false"}), false, false)]
    #[case(json!({JWT: "true"}), true, false)]
    #[case(json!({LOGIN: "true"}), false, true)]
    fn the_credential_of_a_secret_is_used_only_with_its_label(
        #[case] labels: serde_json::Value,
        #[case] jwt: bool,
        #[case] login: bool,
    ) {
        let secret = json!({"metadata": {"name": "jwt", "namespace": "web", "labels": labels}});
        let secret = serde_json::from_value(secret).unwrap();
        assert_eq!((check_secret(&secret).is_ok(), check_login(&secret).is_ok()), (jwt, login));
    }
}
