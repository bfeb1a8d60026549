//! Settings of a seal: its stanza in OpenBao's configuration, and what it needs in a pod.

use serde_json::{Map, Value, json};
use steamer_api::SealPlugin;
use steamer_core::error::Error;

use crate::cluster::Version;

/// Folder of a seal's Secrets in a pod.
pub(crate) const FOLDER: &str = "/openbao/seal";

/// A seal in the form that OpenBao's configuration and the pods need.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SealSettings {
    /// Its type, as OpenBao names it.
    pub(crate) kind: &'static str,
    /// Its stanza.
    pub(crate) stanza: Map<String, Value>,
    /// Type and stanza of the previous seal, during a seal migration.
    pub(crate) before: Option<(&'static str, Map<String, Value>)>,
    /// The plugins it needs, by type of seal.
    pub(crate) plugins: Map<String, Value>,
    /// Secrets that are mounted: name, keys.
    pub(crate) files: Vec<(String, Vec<String>)>,
    /// Environment variables from Secrets: variable, name, key.
    pub(crate) variables: Vec<(&'static str, String, String)>,
    /// Secrets whose keys are environment variables.
    pub(crate) credentials: Vec<String>,
    /// Secret keys (name, key) that a node reads only when it starts.
    pub(crate) read_at_start: Vec<(String, String)>,
    /// Ports that it connects to.
    pub(crate) ports: Vec<u16>,
}

impl SealSettings {
    /// A seal that needs nothing but a stanza. Null values of the stanza are left out.
    pub(super) fn new(kind: &'static str, stanza: Value) -> Self {
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

    /// Adds the previous seal for a migration: nodes are then unsealed with recovery keys only, and the leader rewraps
    /// all keys with the new seal.
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

    /// Marks its Secrets as read at the start: a change of one restarts the nodes.
    pub(super) fn reading_at_start(mut self) -> Self {
        let files =
            self.files.iter().flat_map(|(name, keys)| keys.iter().map(|key| (name.clone(), key.clone())));
        let variables = self.variables.iter().map(|(_, name, key)| (name.clone(), key.clone()));
        self.read_at_start = files.chain(variables).collect();
        self
    }

    /// Adds its plugin, which some versions of OpenBao require.
    pub(super) fn with_plugin(
        mut self,
        version: Version,
        plugin: Option<&SealPlugin>,
    ) -> Result<Self, Error> {
        if plugin.is_none() && version.needs_seal_plugins() {
            return Err(Error::Invalid(format!(
                "OpenBao {version} has no seal {} built in: set plugin of the seal, with image or command, version and \
                 sha256",
                self.kind
            )));
        }
        self.plugins = plugin.map(|plugin| (self.kind.to_owned(), stanza_of(plugin))).into_iter().collect();
        Ok(self)
    }
}

/// Stanza of a plugin in OpenBao's configuration.
pub(crate) fn stanza_of(plugin: &SealPlugin) -> Value {
    let SealPlugin { image, command, binary_name, version, sha256 } = plugin;
    let mut stanza = json!({"version": version, "sha256sum": sha256});
    for (field, value) in [("image", image), ("command", command), ("binary_name", binary_name)] {
        if let Some(value) = value {
            stanza[field] = json!(value);
        }
    }
    stanza
}
