//! Seals of cloud KMSs and HSMs. Since OpenBao 2.7 they are plugins.

use serde_json::{Value, json};
use steamer_api::{
    AwsKmsSeal, AzureKeyVaultSeal, GcpKmsSeal, LocalReference, OciKmsSeal, Pkcs11Seal, Seal, SealPlugin,
};
use steamer_core::error::Error;

use super::settings::SealSettings;
use crate::cluster::Version;

/// Stanza, plugin and credentials of a seal.
struct Kms<'a> {
    stanza: Value,
    plugin: Option<&'a SealPlugin>,
    credentials: Option<&'a LocalReference>,
}

/// Settings of a seal of type `kind`, if it is a KMS or an HSM.
pub(super) fn kms(kind: &'static str, seal: &Seal, version: Version) -> Option<Result<SealSettings, Error>> {
    let Kms { stanza, plugin, credentials } = parts(seal)?;
    let mut settings = SealSettings::new(kind, stanza);
    settings.credentials = credentials.map(|secret| secret.name.clone()).into_iter().collect();
    Some(settings.with_plugin(version, plugin))
}

fn parts(seal: &Seal) -> Option<Kms<'_>> {
    let Seal { r#static: _, transit: _, kmip: _, aws_kms, gcp_kms, azure_key_vault, oci_kms, pkcs11 } = seal;
    let cloud = aws_kms.as_ref().map(aws).or_else(|| gcp_kms.as_ref().map(gcp));
    let cloud = cloud.or_else(|| azure_key_vault.as_ref().map(azure)).or_else(|| oci_kms.as_ref().map(oci));
    cloud.or_else(|| pkcs11.as_ref().map(hsm))
}

fn aws(seal: &AwsKmsSeal) -> Kms<'_> {
    let AwsKmsSeal { region, kms_key_id, endpoint, credentials_secret_ref, plugin } = seal;
    Kms {
        stanza: json!({"region": region, "kms_key_id": kms_key_id, "endpoint": endpoint}),
        plugin: plugin.as_ref(),
        credentials: credentials_secret_ref.as_ref(),
    }
}

fn gcp(seal: &GcpKmsSeal) -> Kms<'_> {
    let GcpKmsSeal { project, region, key_ring, crypto_key, credentials_secret_ref, plugin } = seal;
    Kms {
        stanza: json!({"project": project, "region": region, "key_ring": key_ring, "crypto_key": crypto_key}),
        plugin: plugin.as_ref(),
        credentials: credentials_secret_ref.as_ref(),
    }
}

fn azure(seal: &AzureKeyVaultSeal) -> Kms<'_> {
    let AzureKeyVaultSeal { tenant_id, vault_name, key_name, credentials_secret_ref, plugin } = seal;
    Kms {
        stanza: json!({"tenant_id": tenant_id, "vault_name": vault_name, "key_name": key_name}),
        plugin: plugin.as_ref(),
        credentials: credentials_secret_ref.as_ref(),
    }
}

fn oci(seal: &OciKmsSeal) -> Kms<'_> {
    let OciKmsSeal { key_id, crypto_endpoint, management_endpoint, credentials_secret_ref, plugin } = seal;
    Kms {
        stanza: json!({
            "key_id": key_id, "crypto_endpoint": crypto_endpoint, "management_endpoint": management_endpoint,
        }),
        plugin: plugin.as_ref(),
        credentials: credentials_secret_ref.as_ref(),
    }
}

fn hsm(seal: &Pkcs11Seal) -> Kms<'_> {
    let Pkcs11Seal { lib, token_label, key_label, credentials_secret_ref, plugin } = seal;
    Kms {
        stanza: json!({"lib": lib, "token_label": token_label, "key_label": key_label}),
        plugin: plugin.as_ref(),
        credentials: Some(credentials_secret_ref),
    }
}
