//! Ports that nobody uses.

use std::net::TcpListener;
use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result};

/// Below what the kernel gives to connections that go out (from 32768): a port looked up here is not taken by one of
/// them before its server listens.
const PORTS: Range<u16> = 12_000..32_000;

/// Where this process looks next; processes begin at places of their own.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
    let places = u32::from(PORTS.end - PORTS.start);
    AtomicU16::new(u16::try_from(std::process::id().wrapping_mul(997) % places).unwrap_or_default())
});

/// A free port of the loopback; none is given twice by one process.
///
/// # Errors
/// When there is none.
pub fn free() -> Result<u16> {
    PORTS
        .map(|_| PORTS.start + NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .context("no port is free")
}
