//! The seal in OpenBao's configuration, and what a pod needs for it.

mod kms;
mod settings;

use serde_json::json;
use steamer_api::{KmipSeal, RotationPhase, Seal, SealRotation, StaticSeal, TransitSeal};
use steamer_core::error::Error;

use crate::cluster::Cluster;
use kms::kms;

pub(crate) use settings::{FOLDER, SealSettings, stanza_of};

/// The type of a seal as OpenBao names it.
pub(crate) fn openbao_kind(seal: &Seal) -> &'static str {
    match seal.kind() {
        "awsKms" => "awskms",
        "gcpKms" => "gcpckms",
        "azureKeyVault" => "azurekeyvault",
        "ociKms" => "ocikms",
        kind => kind,
    }
}

/// Name of the Secret of a static seal.
pub(crate) fn static_secret(cluster: &Cluster, seal: &StaticSeal) -> String {
    let given = seal.secret_ref.as_ref().map(|reference| reference.name.clone());
    given.unwrap_or_else(|| cluster.child("-seal"))
}

/// Settings of a seal of a cluster. `rotation` is the key in use and the rotation in progress, of a static seal.
pub(crate) fn seal(
    cluster: &Cluster,
    seal: &Seal,
    rotation: Option<(&str, &SealRotation)>,
) -> Result<SealSettings, Error> {
    if let Some(seal) = &seal.r#static {
        return Ok(static_seal(&static_secret(cluster, seal), &seal.key_id, rotation));
    }
    if let Some(seal) = &seal.transit {
        return Ok(transit_seal(seal));
    }
    if let Some(seal) = &seal.kmip {
        return Ok(kmip_seal(seal));
    }
    let kms = kms(openbao_kind(seal), seal, cluster.version);
    kms.unwrap_or_else(|| Err(Error::Invalid("seal requires exactly one type".to_owned())))
}

/// The static seal. During a rotation it has two keys.
fn static_seal(secret: &str, wanted: &str, rotation: Option<(&str, &SealRotation)>) -> SealSettings {
    let (current, other) = match rotation {
        Some((in_use, SealRotation { to, phase: RotationPhase::Distribute })) => (in_use, Some(to.as_str())),
        Some((in_use, SealRotation { to, phase: RotationPhase::Rewrap })) => (to.as_str(), Some(in_use)),
        Some((_, SealRotation { to, phase: RotationPhase::Retire })) => (to.as_str(), None),
        None => (wanted, None),
    };
    let file = |key: &str| path(secret, key);
    let mut settings = SealSettings::new(
        "static",
        json!({
            "current_key_id": current, "current_key": format!("file://{}", file(current)),
            "previous_key_id": other, "previous_key": other.map(|key| format!("file://{}", file(key))),
        }),
    );
    let keys = std::iter::once(current).chain(other).map(str::to_owned).collect();
    settings.files = vec![(secret.to_owned(), keys)];
    settings.ports = Vec::new();
    settings
}

fn transit_seal(seal: &TransitSeal) -> SealSettings {
    let TransitSeal { address, mount, key_name, namespace, token_secret_ref: token, ca_secret_ref: ca } =
        seal;
    let mut settings = SealSettings::new(
        "transit",
        json!({
            "address": address, "mount_path": format!("{}/", mount.trim_matches('/')), "key_name": key_name,
            "namespace": namespace, "tls_ca_cert": ca.as_ref().map(|ca| path(&ca.name, &ca.key)),
        }),
    );
    settings.variables = vec![("VAULT_TOKEN", token.name.clone(), token.key.clone())];
    settings.files = ca.iter().map(|ca| (ca.name.clone(), vec![ca.key.clone()])).collect();
    settings.ports = vec![port_of(address)];
    settings.reading_at_start()
}

fn kmip_seal(seal: &KmipSeal) -> SealSettings {
    let KmipSeal { endpoint, key_id, client_cert_secret_ref: client, ca_secret_ref: ca, server_name } = seal;
    let mut settings = SealSettings::new(
        "kmip",
        json!({
            "endpoint": endpoint, "kms_key_id": key_id, "server_name": server_name,
            "client_cert": path(&client.name, "tls.crt"), "client_key": path(&client.name, "tls.key"),
            "ca_cert": path(&ca.name, &ca.key),
        }),
    );
    settings.files = vec![
        (client.name.clone(), vec!["tls.crt".to_owned(), "tls.key".to_owned()]),
        (ca.name.clone(), vec![ca.key.clone()]),
    ];
    settings.ports = vec![port_of(endpoint)];
    settings.reading_at_start()
}

/// Path of a Secret's key in a pod.
fn path(secret: &str, key: &str) -> String {
    format!("{FOLDER}/{secret}/{key}")
}

fn port_of(address: &str) -> u16 {
    let given = address.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok());
    given.unwrap_or(if address.starts_with("http:") { 80 } else { 443 })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::Version;
    use crate::tests::{cluster, cluster_with};

    fn plugin() -> Value {
        json!({"command": "x", "version": "v1", "sha256": "ab".repeat(32)})
    }

    fn transit() -> Value {
        json!({"transit": {
            "address": "https://seal.example.com", "mount": "/transit/", "keyName": "k", "namespace": "ns",
            "tokenSecretRef": {"name": "token"}, "caSecretRef": {"name": "ca", "key": "ca.crt"},
        }})
    }

    fn kmip() -> Value {
        json!({"kmip": {
            "endpoint": "kmip.example.com:5696", "keyId": "k", "clientCertSecretRef": {"name": "client"},
            "caSecretRef": {"name": "ca", "key": "ca.crt"},
        }})
    }

    fn aws(plugin: Value) -> Value {
        json!({"awsKms": {
            "region": "r", "kmsKeyId": "k", "credentialsSecretRef": {"name": "aws"}, "plugin": plugin,
        }})
    }

    fn of(kind: Value) -> Result<SealSettings, Error> {
        seal(&cluster(), &serde_json::from_value(kind).unwrap(), None)
    }

    #[rstest]
    #[case("static", json!({"static": {}}))]
    #[case("transit", transit())]
    #[case("kmip", kmip())]
    #[case("aws", aws(plugin()))]
    #[case("gcp", json!({"gcpKms": {
        "project": "p", "region": "r", "keyRing": "ring", "cryptoKey": "k", "plugin": plugin(),
    }}))]
    #[case("azure", json!({"azureKeyVault": {"tenantId": "t", "vaultName": "v", "keyName": "k", "plugin": plugin()}}))]
    #[case("oci", json!({"ociKms": {
        "keyId": "k", "cryptoEndpoint": "c", "managementEndpoint": "m", "plugin": plugin(),
    }}))]
    #[case("pkcs11", json!({"pkcs11": {
        "lib": "l", "tokenLabel": "t", "keyLabel": "k", "credentialsSecretRef": {"name": "pin"}, "plugin": plugin(),
    }}))]
    fn a_seal_has_a_stanza_and_its_secrets(#[case] name: &str, #[case] kind: Value) {
        insta::assert_debug_snapshot!(name, of(kind).unwrap());
    }

    #[test]
    fn a_migration_has_both_seals_and_the_secrets_of_both() {
        insta::assert_debug_snapshot!(of(kmip()).unwrap().after(of(transit()).unwrap()));
    }

    #[rstest]
    #[case("Distribute", &["k1", "k2"])]
    #[case("Rewrap", &["k2", "k1"])]
    #[case("Retire", &["k2"])]
    fn a_rotation_gives_nodes_both_keys_until_the_old_one_is_retired(
        #[case] phase: &str,
        #[case] expected: &[&str],
    ) {
        let rotation = serde_json::from_value(json!({"to": "k2", "phase": phase})).unwrap();
        let cluster = cluster();
        let settings = seal(&cluster, &cluster.spec.seal, Some(("k1", &rotation))).unwrap();
        assert_eq!(settings.files[0].1, expected);
        assert_eq!(settings.stanza["current_key_id"], expected[0]);
        assert_eq!(settings.stanza.get("previous_key_id").and_then(Value::as_str), expected.get(1).copied());
    }

    #[rstest]
    #[case(aws(Value::Null), Version(2, 7, 0), "has no seal awskms built in")]
    #[case(aws(Value::Null), Version(2, 6, 2), "")]
    #[case(aws(plugin()), Version(2, 7, 0), "")]
    #[case(json!({}), Version(2, 7, 0), "exactly one type")]
    fn a_cloud_seal_needs_a_plugin_where_it_is_not_built_in(
        #[case] kind: Value,
        #[case] version: Version,
        #[case] expected: &str,
    ) {
        let mut cluster = cluster_with(json!({"seal": kind}));
        cluster.version = version;
        let said = seal(&cluster, &cluster.spec.seal, None).err().map(|error| error.to_string());
        let said = said.unwrap_or_default();
        assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{said}");
    }

    #[rstest]
    #[case("https://seal:8200", 8200)]
    #[case("https://seal:8200/", 8200)]
    #[case("https://seal", 443)]
    #[case("http://seal", 80)]
    #[case("kmip:5696", 5696)]
    fn the_port_of_an_address_is_known(#[case] address: &str, #[case] expected: u16) {
        assert_eq!(port_of(address), expected);
    }
}
