//! Free ports.

use std::net::TcpListener;
use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result};

/// Range below the node ports of Kubernetes (from 30000) and the kernel's ephemeral ports (from 32768), so that no
/// Service and no outgoing connection takes a port before its server listens.
const PORTS: Range<u16> = 12_000..30_000;

/// Next port of this process, as an offset in the range. Each process starts at a different offset.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
    let places = u32::from(PORTS.end - PORTS.start);
    AtomicU16::new(u16::try_from(std::process::id().wrapping_mul(997) % places).unwrap_or_default())
});

/// Returns a free port of the loopback device. A process gets the same port only after all others of the range.
///
/// # Errors
/// When no port is free.
pub fn free() -> Result<u16> {
    PORTS
        .map(|_| PORTS.start + NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .context("no port is free")
}
