//! Places of connections. Their number is bounded, and for each peer that of connections without an authorized request, so that
//! one peer cannot keep the operator out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use steamer_runtime::Locked;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most connections at the same time. The operator needs one.
pub(crate) const CONNECTIONS: usize = 32;
/// Most connections of one address without an authorized request.
const OF_PEER: usize = 4;

type Peers = Arc<Locked<HashMap<IpAddr, usize>>>;

/// Places of all connections.
pub(crate) struct Places {
    all: Arc<Semaphore>,
    /// Number of connections without an authorized request, by address.
    peers: Peers,
}

/// A place for any peer.
pub(crate) struct Free {
    permit: OwnedSemaphorePermit,
    peers: Peers,
}

/// The place of a connection. Its end frees it.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    /// `None` after an authorized request.
    peer: Option<Counted>,
}

/// A connection that counts for its peer.
struct Counted {
    peers: Peers,
    peer: IpAddr,
}

impl Places {
    pub(crate) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(CONNECTIONS)), peers: Peers::default() }
    }

    /// Waits for a free place. `None` never happens: the places are not closed.
    pub(crate) async fn free(&self) -> Option<Free> {
        let permit = self.all.clone().acquire_owned().await.ok()?;
        Some(Free { permit, peers: self.peers.clone() })
    }
}

impl Free {
    /// Occupies the place. `None` if the peer has too many.
    pub(crate) fn occupy(self, peer: IpAddr) -> Option<Place> {
        let peer = peer.to_canonical();
        let mut peers = self.peers.lock();
        let count = peers.entry(peer).or_default();
        if *count >= OF_PEER {
            return None;
        }
        *count += 1;
        drop(peers);
        Some(Place { _permit: self.permit, peer: Some(Counted { peers: self.peers, peer }) })
    }
}

impl Place {
    /// Records an authorized request: the connection no longer counts for its peer.
    pub(crate) fn authorize(&mut self) {
        self.peer = None;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut peers = self.peers.lock();
        if let Some(count) = peers.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                peers.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_occupies_only_some_places() {
        let places = Places::new();
        let (one, mapped, other): (IpAddr, IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "::ffff:192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let mut occupied = Vec::new();
        for _ in 0..OF_PEER {
            occupied.push(places.free().await.unwrap().occupy(one).unwrap());
        }
        assert!(places.free().await.unwrap().occupy(mapped).is_none());
        assert!(places.free().await.unwrap().occupy(other).is_some());
        occupied[0].authorize();
        assert!(places.free().await.unwrap().occupy(one).is_some());
        drop(occupied);
        assert!(places.peers.lock().is_empty());
        assert_eq!(places.all.available_permits(), CONNECTIONS);
    }
}
