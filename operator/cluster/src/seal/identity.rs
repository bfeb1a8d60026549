//! Checks before the first node starts that the seal of the spec names the key that seals the data, as after a restore or an
//! adoption. Pure.
//!
//! OpenBao stores the ID of the key beside each value that the seal wraps, in plain text:
//!
//! | Seal | Stored ID | Compared with |
//! |---|---|---|
//! | `static` | ID of the key | The keys in the Secret: `seal::keys` |
//! | `transit` | Version of the key | The version that encrypts now: a higher one is that of another key (`seal::check`) |
//! | `awsKms` | ARN of the key | `kmsKeyId` unless that is an alias, and `region` |
//! | `gcpKms` | Name of the version of the key | `project`, `region`, `keyRing` and `cryptoKey` |
//! | `kmip` | ID of the key | Nothing: the seal opens the data with the key in `keyId` |
//! | `pkcs11` | Label and ID of the key | `keyLabel` |
//! | `azureKeyVault`, `ociKms` | Version of the key | Nothing: it does not name the key |
//!
//! Some of these seals could open the data with the stored key and seal it with that of the spec. No node starts like that: the
//! difference is a mistake, or the key was changed after the backup, which the user can repeat once the nodes serve.

use std::collections::BTreeMap;

use steamer_api::{AwsKmsSeal, GcpKmsSeal, Pkcs11Seal, Seal};
use steamer_core::error::Error;

/// A seal of a spec.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpecSeal<'a> {
    pub(crate) seal: &'a Seal,
    /// Its field, for messages.
    pub(crate) field: &'static str,
}

/// Refuses a seal if none of the values in storage can be wrapped by its key. `stored` are the IDs of the keys that wrap them:
/// two different ones after an interrupted change of the key. `environment` are the variables of the nodes: if one of them can
/// override the key of the spec, nothing is compared.
pub(crate) fn check(
    SpecSeal { seal, field }: SpecSeal<'_>,
    environment: &BTreeMap<String, String>,
    stored: &[String],
) -> Result<(), Error> {
    if environment.keys().any(|variable| overrides(seal, variable)) {
        return Ok(());
    }
    let differences: Option<Vec<String>> = stored.iter().map(|id| difference(seal, id)).collect();
    match differences.and_then(|all| all.into_iter().next()) {
        None => Ok(()),
        Some(difference) => Err(Error::Invalid(format!(
            "storage is sealed with a key other than that of the spec: set {field}.{difference}, or restore a backup that is sealed \
             with the key of the spec. No node starts until then"
        ))),
    }
}

/// Returns true if a variable can override the key of a seal, or the region or project of the key.
fn overrides(seal: &Seal, variable: &str) -> bool {
    let is_one_of = |names: &[&str], part: &str| names.contains(&variable) || variable.contains(part);
    seal.aws_kms.is_some() && is_one_of(&["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_KMS_ENDPOINT"], "AWSKMS_")
        || seal.gcp_kms.is_some() && is_one_of(&["GOOGLE_PROJECT", "GOOGLE_REGION"], "GCPCKMS_")
        || seal.pkcs11.is_some() && is_one_of(&[], "HSM_")
}

/// What to set in the seal so that it has the key with this ID. None if it has that key, or this cannot be known.
fn difference(seal: &Seal, id: &str) -> Option<String> {
    let Seal { r#static: _, transit: _, kmip: _, aws_kms, gcp_kms, azure_key_vault: _, oci_kms: _, pkcs11 } =
        seal;
    let aws = || aws(aws_kms.as_ref()?, id);
    let gcp = || gcp(gcp_kms.as_ref()?, id);
    let hsm = || hsm(pkcs11.as_ref()?, id);
    aws().or_else(gcp).or_else(hsm)
}

fn aws(seal: &AwsKmsSeal, arn: &str) -> Option<String> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, "kms", region, _, resource] = parts.as_slice() else { return None };
    let key = resource.strip_prefix("key/")?;
    let is_alias = seal.kms_key_id.contains("alias/");
    if !is_alias && seal.kms_key_id.rsplit('/').next() != Some(key) {
        return Some(format!("awsKms.kmsKeyId to `{arn}`"));
    }
    // Replicas of a key in several regions have the same ID.
    let is_elsewhere = seal.endpoint.is_none() && !key.starts_with("mrk-") && seal.region != *region;
    is_elsewhere.then(|| format!("awsKms.region to `{region}`"))
}

fn gcp(seal: &GcpKmsSeal, name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('/').collect();
    let ["projects", project, "locations", region, "keyRings", ring, "cryptoKeys", key, ..] =
        parts.as_slice()
    else {
        return None;
    };
    // A project has an ID and a number.
    let is_project = seal.project == *project || is_number(project) != is_number(&seal.project);
    let is_key = is_project && seal.region == *region && seal.key_ring == *ring && seal.crypto_key == *key;
    (!is_key).then(|| {
        format!(
            "gcpKms.project to `{project}`, region to `{region}`, keyRing to `{ring}` and cryptoKey to `{key}`"
        )
    })
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn hsm(seal: &Pkcs11Seal, id: &str) -> Option<String> {
    let (label, _) = id.rsplit_once(':')?;
    let differs = !label.is_empty() && label != seal.key_label;
    differs.then(|| format!("pkcs11.keyLabel to `{label}`"))
}

/// The highest version of a transit key in storage, if the key that returned this ciphertext does not have it: then it is
/// another key.
pub(super) fn missing_version(stored: &[String], ciphertext: &str) -> Option<u64> {
    let number = |version: &str| version.strip_prefix('v')?.parse::<u64>().ok();
    let latest = ciphertext.split(':').nth(1).and_then(number)?;
    stored.iter().filter_map(|version| number(version)).max().filter(|highest| *highest > latest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd";
    const VERSION: &str = "projects/p/locations/r/keyRings/ring/cryptoKeys/k/cryptoKeyVersions/3";

    fn of(kind: Value) -> Seal {
        serde_json::from_value(kind).unwrap()
    }

    fn in_spec(seal: &Seal) -> SpecSeal<'_> {
        SpecSeal { seal, field: "seal" }
    }

    fn kmip(id: &str) -> Seal {
        let ca = json!({"name": "ca", "key": "ca.crt"});
        of(json!({"kmip": {
            "endpoint": "kmip:5696", "keyId": id, "clientCertSecretRef": {"name": "c"}, "caSecretRef": ca,
        }}))
    }

    fn aws(id: &str, region: &str) -> Seal {
        of(json!({"awsKms": {"region": region, "kmsKeyId": id}}))
    }

    fn gcp(project: &str, key: &str) -> Seal {
        of(json!({"gcpKms": {"project": project, "region": "r", "keyRing": "ring", "cryptoKey": key}}))
    }

    fn pkcs11(label: &str) -> Seal {
        let pin = json!({"name": "pin"});
        of(json!({"pkcs11": {
            "lib": "l", "tokenLabel": "t", "keyLabel": label, "credentialsSecretRef": pin,
        }}))
    }

    fn azure() -> Seal {
        of(json!({"azureKeyVault": {"tenantId": "t", "vaultName": "v", "keyName": "k"}}))
    }

    #[rstest]
    #[case::empty_storage(kmip("1"), &[], "")]
    #[case::kmip(kmip("1"), &["1", "1"], "")]
    #[case::kmip_ignores_the_stored_id(kmip("2"), &["1", "1"], "")]
    #[case::interrupted_change(pkcs11("b"), &["a:", "b:"], "")]
    #[case::aws_id(aws("1234abcd", "eu-west-1"), &[ARN], "")]
    #[case::aws_arn(aws(ARN, "eu-west-1"), &[ARN], "")]
    #[case::aws_alias(aws("alias/openbao", "eu-west-1"), &[ARN], "")]
    #[case::another_aws_key(aws("5678", "eu-west-1"), &[ARN], "set seal.awsKms.kmsKeyId to `arn:aws:kms:eu-west-1:111122223333:key/1234abcd`")]
    #[case::another_aws_region(aws("alias/openbao", "us-east-1"), &[ARN], "set seal.awsKms.region to `eu-west-1`")]
    #[case::replica_of_an_aws_key(aws("mrk-1", "us-east-1"), &["arn:aws:kms:eu-west-1:1:key/mrk-1"], "")]
    #[case::another_format(aws("1", "r"), &["not an ARN"], "")]
    #[case::gcp(gcp("p", "k"), &[VERSION], "")]
    #[case::gcp_number_of_the_project(gcp("123", "k"), &[VERSION], "")]
    #[case::another_gcp_project(gcp("q", "k"), &[VERSION], "set seal.gcpKms.project to `p`")]
    #[case::another_gcp_key(gcp("p", "other"), &[VERSION], "cryptoKey to `k`")]
    #[case::pkcs11(pkcs11("label"), &["label:"], "")]
    #[case::pkcs11_with_an_id(pkcs11("a:b"), &["a:b:0x1"], "")]
    #[case::pkcs11_without_a_label(pkcs11("label"), &[":0x1"], "")]
    #[case::another_pkcs11_key(pkcs11("label"), &["before:"], "set seal.pkcs11.keyLabel to `before`")]
    #[case::version_only(azure(), &["0123456789abcdef"], "")]
    #[case::static_key(of(json!({"static": {}})), &["k9"], "")]
    fn no_node_starts_with_another_key_than_that_of_the_data(
        #[case] seal: Seal,
        #[case] stored: &[&str],
        #[case] expected: &str,
    ) {
        let stored: Vec<String> = stored.iter().map(|id| (*id).to_owned()).collect();
        let checked = check(in_spec(&seal), &BTreeMap::new(), &stored);
        let text = checked.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains(expected) && text.is_empty() == expected.is_empty(), "{text}");
    }

    #[rstest]
    #[case::seal("seal", "set seal.pkcs11.keyLabel to `before`")]
    #[case::previous_seal("sealMigration.from", "set sealMigration.from.pkcs11.keyLabel to `before`")]
    fn a_message_names_the_field_of_the_seal(#[case] field: &'static str, #[case] expected: &str) {
        let seal = pkcs11("label");
        let checked = check(SpecSeal { seal: &seal, field }, &BTreeMap::new(), &["before:".to_owned()]);
        let text = checked.unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    }

    #[rstest]
    #[case::another_variable(aws("5678", "r"), "AWS_ACCESS_KEY_ID", false)]
    #[case::aws_key(aws("5678", "r"), "AWSKMS_WRAPPER_KEY_ID", true)]
    #[case::aws_region(aws("5678", "r"), "AWS_REGION", true)]
    #[case::variable_of_another_seal(aws("5678", "r"), "GOOGLE_PROJECT", false)]
    #[case::gcp_project(gcp("q", "k"), "GOOGLE_PROJECT", true)]
    #[case::gcp_key(gcp("q", "k"), "VAULT_GCPCKMS_SEAL_CRYPTO_KEY", true)]
    #[case::label(pkcs11("a"), "BAO_HSM_KEY_LABEL", true)]
    fn a_key_that_a_variable_can_override_is_not_compared(
        #[case] seal: Seal,
        #[case] variable: &str,
        #[case] expected: bool,
    ) {
        let environment = BTreeMap::from([(variable.to_owned(), "x".to_owned())]);
        let stored = match &seal {
            Seal { aws_kms: Some(_), .. } => ARN,
            Seal { gcp_kms: Some(_), .. } => VERSION,
            _ => "before:",
        };
        assert_eq!(check(in_spec(&seal), &environment, &[stored.to_owned()]).is_ok(), expected);
    }

    #[rstest]
    #[case::the_same(&["v3", "v3"], "vault:v3:x", None)]
    #[case::rotated_since(&["v1"], "vault:v3:x", None)]
    #[case::another_key(&["v3", "v2"], "vault:v1:x", Some(3))]
    #[case::prefix(&["east-v3"], "vault:v1:x", None)]
    #[case::another_format(&["v3"], "x", None)]
    fn a_transit_key_without_the_version_of_the_data_is_another_one(
        #[case] stored: &[&str],
        #[case] ciphertext: &str,
        #[case] expected: Option<u64>,
    ) {
        let stored: Vec<String> = stored.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(missing_version(&stored, ciphertext), expected);
    }

    proptest! {
        #[test]
        fn any_stored_id_is_judged(id in ".{0,80}") {
            for seal in [kmip("1"), aws("1", "r"), gcp("p", "k"), pkcs11("l"), azure()] {
                let _ = check(in_spec(&seal), &BTreeMap::new(), std::slice::from_ref(&id));
            }
            prop_assert!(check(in_spec(&kmip("1")), &BTreeMap::new(), &[id]).is_ok());
        }
    }
}
