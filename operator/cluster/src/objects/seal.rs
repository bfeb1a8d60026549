//! The seal, as OpenBao's configuration has it, and what a pod needs for it.

use serde_json::{Map, Value, json};
use steamer_api::{LocalReference, RotationPhase, Seal, SealPlugin, SealRotation, StaticSeal};
use steamer_core::error::Error;

use crate::cluster::{Cluster, Version};

/// Where a Secret's keys are found in a pod.
pub(crate) const FOLDER: &str = "/openbao/seal";

/// A seal, ready to be configured.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SealSettings {
    /// Its kind, as OpenBao names it.
    pub(crate) kind: &'static str,
    /// Its stanza.
    pub(crate) stanza: Map<String, Value>,
    /// While storage is sealed with another seal, that one: kind and stanza.
    pub(crate) before: Option<(&'static str, Map<String, Value>)>,
    /// The plugins it needs, by kind.
    pub(crate) plugins: Map<String, Value>,
    /// Secrets that are mounted: name, keys.
    pub(crate) files: Vec<(String, Vec<String>)>,
    /// Environment variables from Secrets: variable, name, key.
    pub(crate) variables: Vec<(&'static str, String, String)>,
    /// Secrets whose keys are environment variables.
    pub(crate) credentials: Vec<String>,
    /// Every Secret's key that a node reads only when it starts.
    pub(crate) read_at_start: Vec<(String, String)>,
    /// Ports that it talks to.
    pub(crate) ports: Vec<u16>,
}

impl SealSettings {
    fn new(kind: &'static str, stanza: Value) -> Self {
        let stanza = match stanza {
            Value::Object(stanza) => stanza.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            _ => Map::new(),
        };
        Self {
            kind,
            stanza,
            before: None,
            plugins: Map::new(),
            files: Vec::new(),
            variables: Vec::new(),
            credentials: Vec::new(),
            read_at_start: Vec::new(),
            ports: vec![443],
        }
    }

    /// With the seal before beside it: a node then opens only with recovery keys, and a leader wraps everything anew.
    pub(crate) fn after(mut self, before: Self) -> Self {
        let mut stanza = before.stanza;
        stanza.insert("disabled".to_owned(), json!("true"));
        self.before = Some((before.kind, stanza));
        self.plugins.extend(before.plugins);
        for (name, keys) in before.files {
            match self.files.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => known.extend(keys),
                None => self.files.push((name, keys)),
            }
        }
        self.variables.extend(before.variables);
        self.credentials.extend(before.credentials);
        self.read_at_start.extend(before.read_at_start);
        self.ports.extend(before.ports);
        self
    }

    /// Nodes that run have read its Secrets.
    fn reading_at_start(mut self) -> Self {
        let files =
            self.files.iter().flat_map(|(name, keys)| keys.iter().map(|key| (name.clone(), key.clone())));
        let variables = self.variables.iter().map(|(_, name, key)| (name.clone(), key.clone()));
        self.read_at_start = files.chain(variables).collect();
        self
    }

    fn with_plugin(
        mut self,
        version: Version,
        plugin: Option<&SealPlugin>,
        credentials: Option<String>,
    ) -> Result<Self, Error> {
        if plugin.is_none() && version.needs_seal_plugins() {
            return Err(Error::Invalid(format!(
                "OpenBao {version} has no seal {} built in: give seal.*.plugin with image or command, version and sha256",
                self.kind
            )));
        }
        self.plugins = plugin.map(|plugin| (self.kind.to_owned(), stanza_of(plugin))).into_iter().collect();
        self.credentials = credentials.into_iter().collect();
        Ok(self)
    }
}

/// A plugin as the configuration has it.
pub(crate) fn stanza_of(plugin: &SealPlugin) -> Value {
    let SealPlugin { image, command, binary_name, version, sha256 } = plugin;
    let mut stanza = json!({"version": version, "sha256sum": sha256});
    if let Some(image) = image {
        stanza["image"] = json!(image);
    }
    if let Some(command) = command {
        stanza["command"] = json!(command);
    }
    if let Some(name) = binary_name {
        stanza["binary_name"] = json!(name);
    }
    stanza
}

/// The kind of a seal as OpenBao names it.
pub(crate) fn openbao_kind(seal: &Seal) -> &'static str {
    match seal.kind() {
        "awsKms" => "awskms",
        "gcpKms" => "gcpckms",
        "azureKeyVault" => "azurekeyvault",
        "ociKms" => "ocikms",
        kind => kind,
    }
}

/// The Secret of a static seal.
pub(crate) fn static_secret(cluster: &Cluster, seal: &StaticSeal) -> String {
    let given = seal.secret_ref.as_ref().map(|reference| reference.name.clone());
    given.unwrap_or_else(|| cluster.child("-seal"))
}

/// A seal of a cluster; of a static one, with the key in use and the rotation under way.
pub(crate) fn seal(
    cluster: &Cluster,
    seal: &Seal,
    rotation: Option<(&str, &SealRotation)>,
) -> Result<SealSettings, Error> {
    let kind = openbao_kind(seal);
    let Seal { r#static, transit, kmip, aws_kms, gcp_kms, azure_key_vault, oci_kms, pkcs11 } = seal;
    if let Some(seal) = r#static {
        return Ok(static_seal(&static_secret(cluster, seal), &seal.key_id, rotation));
    }
    if let Some(seal) = transit {
        let mut settings = SealSettings::new(
            kind,
            json!({
                "address": seal.address, "mount_path": format!("{}/", seal.mount.trim_matches('/')), "key_name": seal.key_name,
                "namespace": seal.namespace,
                "tls_ca_cert": seal.ca_secret_ref.as_ref().map(|ca| format!("{FOLDER}/{}/{}", ca.name, ca.key)),
            }),
        );
        settings.variables =
            vec![("VAULT_TOKEN", seal.token_secret_ref.name.clone(), seal.token_secret_ref.key.clone())];
        settings.files =
            seal.ca_secret_ref.iter().map(|ca| (ca.name.clone(), vec![ca.key.clone()])).collect();
        settings.ports = vec![port_of(&seal.address)];
        return Ok(settings.reading_at_start());
    }
    if let Some(seal) = kmip {
        let client = &seal.client_cert_secret_ref.name;
        let mut settings = SealSettings::new(
            kind,
            json!({
                "endpoint": seal.endpoint, "kms_key_id": seal.key_id, "server_name": seal.server_name,
                "client_cert": format!("{FOLDER}/{client}/tls.crt"), "client_key": format!("{FOLDER}/{client}/tls.key"),
                "ca_cert": format!("{FOLDER}/{}/{}", seal.ca_secret_ref.name, seal.ca_secret_ref.key),
            }),
        );
        settings.files = vec![
            (client.clone(), vec!["tls.crt".to_owned(), "tls.key".to_owned()]),
            (seal.ca_secret_ref.name.clone(), vec![seal.ca_secret_ref.key.clone()]),
        ];
        settings.ports = vec![port_of(&seal.endpoint)];
        return Ok(settings.reading_at_start());
    }
    let given = |reference: &Option<LocalReference>| reference.as_ref().map(|secret| secret.name.clone());
    let (stanza, plugin, credentials) = if let Some(seal) = aws_kms {
        let stanza = json!({"region": seal.region, "kms_key_id": seal.kms_key_id, "endpoint": seal.endpoint});
        (stanza, &seal.plugin, given(&seal.credentials_secret_ref))
    } else if let Some(seal) = gcp_kms {
        let stanza = json!({"project": seal.project, "region": seal.region, "key_ring": seal.key_ring, "crypto_key": seal.crypto_key});
        (stanza, &seal.plugin, given(&seal.credentials_secret_ref))
    } else if let Some(seal) = azure_key_vault {
        let stanza =
            json!({"tenant_id": seal.tenant_id, "vault_name": seal.vault_name, "key_name": seal.key_name});
        (stanza, &seal.plugin, given(&seal.credentials_secret_ref))
    } else if let Some(seal) = oci_kms {
        let stanza = json!({
            "key_id": seal.key_id, "crypto_endpoint": seal.crypto_endpoint, "management_endpoint": seal.management_endpoint,
        });
        (stanza, &seal.plugin, given(&seal.credentials_secret_ref))
    } else if let Some(seal) = pkcs11 {
        let stanza = json!({"lib": seal.lib, "token_label": seal.token_label, "key_label": seal.key_label});
        (stanza, &seal.plugin, Some(seal.credentials_secret_ref.name.clone()))
    } else {
        return Err(Error::Invalid("seal needs exactly one kind".to_owned()));
    };
    SealSettings::new(kind, stanza).with_plugin(cluster.version, plugin.as_ref(), credentials)
}

/// The stanza of a static seal; while it is rotated, with the other key beside it.
fn static_seal(secret: &str, wanted: &str, rotation: Option<(&str, &SealRotation)>) -> SealSettings {
    let (current, other) = match rotation {
        Some((in_use, SealRotation { to, phase: RotationPhase::Distribute })) => (in_use, Some(to.as_str())),
        Some((in_use, SealRotation { to, phase: RotationPhase::Rewrap })) => (to.as_str(), Some(in_use)),
        Some((_, SealRotation { to, phase: RotationPhase::Retire })) => (to.as_str(), None),
        None => (wanted, None),
    };
    let file = |key: &str| format!("file://{FOLDER}/{secret}/{key}");
    let mut settings = SealSettings::new(
        "static",
        json!({
            "current_key_id": current, "current_key": file(current),
            "previous_key_id": other, "previous_key": other.map(file),
        }),
    );
    let keys = std::iter::once(current).chain(other).map(str::to_owned).collect();
    settings.files = vec![(secret.to_owned(), keys)];
    settings.ports = Vec::new();
    settings
}

fn port_of(address: &str) -> u16 {
    let given = address.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok());
    given.unwrap_or(if address.starts_with("http:") { 80 } else { 443 })
}
