//! Comparison of a certificate with the spec.

use steamer_api::PKIIssuerSpec;
use steamer_core::error::Error;

use super::certificate::Certificate;
use super::request;

/// How a certificate differs from the spec. A changed type of key applies to the next certificate.
pub(super) fn mismatch(
    spec: &PKIIssuerSpec,
    certificate: &Certificate,
    is_recorded: bool,
) -> Result<Option<String>, Error> {
    let wanted = request::certificate(spec)?;
    let (name, key_type) = (&certificate.common_name, certificate.key_type);
    Ok(match certificate.is_self_signed {
        _ if *name != wanted.common_name => {
            Some(format!("has the common name {name} instead of {}", wanted.common_name))
        }
        true if spec.root.is_none() => Some("is a root".to_owned()),
        false if spec.root.is_some() => Some("is an intermediate".to_owned()),
        _ if !is_recorded && key_type != wanted.key_type.as_str() => {
            Some(format!("has a key of type {key_type} instead of {}", wanted.key_type.as_str()))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn spec(kind: &str, key_type: &str) -> PKIIssuerSpec {
        let authority =
            json!({"commonName": "CA", "ttl": "1h", "keyType": key_type, "parentRef": {"name": "root"}});
        serde_json::from_value(json!({"clusterRef": {"name": "main"}, "mount": "pki", kind: authority}))
            .unwrap()
    }

    #[rstest]
    #[case::root("root", "ec", ("CA", true, "ec"), None)]
    #[case::intermediate("intermediate", "rsa", ("CA", false, "rsa"), None)]
    #[case::name("root", "ec", ("Other", true, "ec"), Some("has the common name Other instead of CA"))]
    #[case::no_root("root", "ec", ("CA", false, "ec"), Some("is an intermediate"))]
    #[case::no_intermediate("intermediate", "ec", ("CA", true, "ec"), Some("is a root"))]
    #[case::key("root", "ec", ("CA", true, "rsa"), Some("has a key of type rsa instead of ec"))]
    fn an_adopted_issuer_must_be_the_one_of_the_spec(
        #[case] kind: &str,
        #[case] key_type: &str,
        #[case] (name, is_self_signed, found): (&str, bool, &'static str),
        #[case] expected: Option<&str>,
    ) {
        let certificate = Certificate {
            serial: "01:02".to_owned(),
            common_name: name.to_owned(),
            not_before: Timestamp::UNIX_EPOCH,
            not_after: Timestamp::MAX,
            is_self_signed,
            key_type: found,
        };
        let wrong = mismatch(&spec(kind, key_type), &certificate, false).unwrap();
        assert_eq!(wrong.as_deref(), expected);
        // A changed type of key applies to the next certificate.
        let wrong = mismatch(&spec(kind, key_type), &certificate, true).unwrap();
        assert_eq!(wrong.as_deref(), expected.filter(|text| !text.contains("key of type")));
    }
}
