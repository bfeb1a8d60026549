//! HTTP clients for the documents of servers that are not OpenBao. All objects share them.

use std::sync::Arc;
use std::time::Duration;

use steamer_openbao::{InvalidSetting, Outgoing, Settings, Transport};

use crate::digest::digest;

/// How long a client is kept without use.
const IDLE: Duration = Duration::from_secs(3600);
/// Most clients. Each keeps its connections and CA certificates in memory.
const CLIENTS: u64 = 512;
/// Timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Clients by the digest of the CA that they trust.
pub struct Transports {
    outgoing: Outgoing,
    clients: moka::sync::Cache<String, Arc<Transport>>,
}

impl Transports {
    /// No clients. `outgoing` are the rules for their connections.
    #[must_use]
    pub fn new(outgoing: Outgoing) -> Self {
        let clients = moka::sync::Cache::builder().time_to_idle(IDLE).max_capacity(CLIENTS).build();
        Self { outgoing, clients }
    }

    /// The client for servers with certificates of this CA, in PEM. Empty: the CA certificates of the system.
    ///
    /// # Errors
    /// [`InvalidSetting`] if the CA is not valid.
    pub fn trusting(&self, ca: &[u8]) -> Result<Arc<Transport>, InvalidSetting> {
        let key = digest(ca);
        if let Some(client) = self.clients.get(&key) {
            return Ok(client);
        }
        let (ca, outgoing) = (ca.to_vec(), self.outgoing);
        let settings = Settings { ca, timeout: Some(TIMEOUT), outgoing, ..Settings::default() };
        let client = Arc::new(Transport::new(&settings)?);
        Ok(self.clients.entry(key).or_insert(client).into_value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_fetch_builds_no_client() {
        let transports = Transports::new(Outgoing::default());
        let first = transports.trusting(&[]).unwrap();
        assert!(Arc::ptr_eq(&first, &transports.trusting(&[]).unwrap()));
        assert!(transports.trusting(b"no certificate").is_err());
    }
}
