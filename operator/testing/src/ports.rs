//! Ports that nobody uses.

use std::net::TcpListener;

use anyhow::Result;

/// A free port of the loopback, as the kernel gives it.
///
/// # Errors
/// When there is none.
pub fn free() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
