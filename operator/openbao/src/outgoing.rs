//! Rules of a process for all outgoing connections.

use std::net::IpAddr;

/// Rules of a process for all outgoing connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// `true` permits connections to loopback addresses. Default: `false`.
    pub loopback: bool,
    /// `true` uses the proxies of `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. Default: `false`.
    pub proxy: bool,
}

impl Outgoing {
    /// Permits connections to loopback addresses, for servers on the same machine.
    pub const LOOPBACK: Self = Self { loopback: true, proxy: false };

    /// Returns whether a connection to an address is permitted. Link-local addresses, which serve the credentials of a
    /// cloud machine, never are.
    pub(crate) fn permits(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if address.is_loopback() || address.is_unspecified() {
            return self.loopback;
        }
        match address {
            IpAddr::V4(address) => !address.is_link_local(),
            IpAddr::V6(address) => {
                let [first, second, ..] = address.segments();
                // AWS: fd00:ec2::/32. Google Cloud: fd20:ce::/32. Translation of IPv4 addresses: 64:ff9b::/96.
                let reserved = matches!((first, second), (0xfd00, 0xec2) | (0xfd20, 0xce) | (0x64, 0xff9b));
                !address.is_unicast_link_local() && !reserved
            }
        }
    }
}
