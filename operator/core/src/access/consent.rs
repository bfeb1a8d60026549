//! Consent to the use of credentials of a namespace. An object of another namespace (a shared BaoAuth) can name account,
//! audience and server; the owner of the account decides for which audiences its tokens are requested.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::ResourceExt;
use steamer_runtime::ObjectName;

use crate::error::Error;

/// Annotation of a ServiceAccount: audiences of its tokens, separated by commas.
pub const AUDIENCES: &str = "steamer.dev/audiences";
/// Annotation of a ServiceAccount: audiences of its tokens for cloud providers, separated by commas. [`AUDIENCES`] would allow
/// every author of a BaoAuth to send such a token to a server.
pub const CLOUD_AUDIENCES: &str = "steamer.dev/cloud-audiences";
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
        let allowed = stated(account, AUDIENCES);
        let is_allowed = |audience: &&String| {
            allowed.contains(&audience.as_str())
                || self.0.contains(*audience)
                || asked.of_server.contains(audience)
        };
        let refused: Vec<&str> =
            asked.audiences.iter().filter(|audience| !is_allowed(audience)).map(String::as_str).collect();
        if refused.is_empty() { Ok(()) } else { Err(denied((account, AUDIENCES), &allowed, &refused)) }
    }
}

/// Checks that a ServiceAccount allows tokens for an audience of a cloud provider, which are exchanged there and never sent to
/// OpenBao.
///
/// # Errors
/// [`Error::NotAllowed`] with the command that allows it.
pub fn check_cloud(account: &ServiceAccount, audience: &str) -> Result<(), Error> {
    let allowed = stated(account, CLOUD_AUDIENCES);
    if allowed.contains(&audience) {
        return Ok(());
    }
    Err(denied((account, CLOUD_AUDIENCES), &allowed, &[audience]))
}

/// The audiences in an annotation.
fn stated<'a>(account: &'a ServiceAccount, annotation: &str) -> Vec<&'a str> {
    let stated = account.annotations().get(annotation).map(String::as_str).unwrap_or_default();
    stated.split(',').map(str::trim).filter(|text| !text.is_empty()).collect()
}

fn denied((account, annotation): (&ServiceAccount, &str), allowed: &[&str], refused: &[&str]) -> Error {
    let name = ObjectName::of(account);
    let all = [allowed, refused].concat();
    Error::NotAllowed(format!(
        "ServiceAccount {name} does not allow tokens for audience `{}`: run `kubectl annotate serviceaccount {} \
         --namespace {} --overwrite {annotation}={}`",
        refused.join("`, `"),
        name.name,
        name.namespace,
        all.join(",")
    ))
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
    #[case::nothing(json!({}), false, false)]
    #[case::openbao(json!({AUDIENCES: "sts"}), true, false)]
    #[case::cloud(json!({CLOUD_AUDIENCES: "b, sts"}), false, true)]
    #[case::other_cloud(json!({CLOUD_AUDIENCES: "b"}), false, false)]
    fn a_token_for_a_cloud_provider_is_never_sent_to_a_server(
        #[case] annotations: serde_json::Value,
        #[case] server: bool,
        #[case] cloud: bool,
    ) {
        let object = json!({"metadata": {"name": "app", "namespace": "web", "annotations": annotations}});
        let account = serde_json::from_value(object).unwrap();
        let audiences = ["sts".to_owned()];
        let asked = Asked { audiences: &audiences, of_server: &[] };
        assert_eq!(Consent::default().check(&account, &asked).is_ok(), server);
        let refused = check_cloud(&account, "sts").err().map(|error| error.to_string());
        assert_eq!(refused.is_none(), cloud);
        assert!(refused.is_none_or(|text| text.contains("steamer.dev/cloud-audiences=")));
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
