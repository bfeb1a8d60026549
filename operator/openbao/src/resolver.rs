//! Resolution of host names for each new connection, and the addresses that Steamer may connect to.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::fault::Fault;
use crate::outgoing::Outgoing;

/// Resolves some names to addresses.
#[derive(Clone)]
pub struct Resolver(Arc<Known>);

type Known = dyn Fn(&str) -> Option<IpAddr> + Send + Sync;

impl Resolver {
    /// Returns a resolver that calls `known`. Names for which it returns `None` are resolved by DNS.
    #[must_use]
    pub fn new(known: impl Fn(&str) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        Self(Arc::new(known))
    }
}

/// All names of a connection.
#[derive(Clone, Default)]
pub(crate) struct Names {
    /// Queried before DNS.
    pub(crate) resolver: Option<Resolver>,
    /// Name of the certificate, and the hosts that it is an alias for. rustls verifies the name in the URL, so the URL
    /// contains the certificate's name.
    pub(crate) alias: Option<(String, Vec<String>)>,
    pub(crate) outgoing: Outgoing,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move { Ok(names.addresses(name.as_str()).await?) })
    }
}

impl Names {
    async fn addresses(&self, name: &str) -> Result<Addrs, Fault> {
        let hosts = match &self.alias {
            Some((alias, hosts)) if alias.eq_ignore_ascii_case(name) => hosts.clone(),
            _ => vec![name.to_owned()],
        };
        let (mut addresses, mut fault) = (Vec::new(), None);
        for host in &hosts {
            match self.host(host).await {
                Ok(found) => addresses.extend(found),
                Err(problem) => fault = Some(problem),
            }
        }
        match fault {
            Some(fault) if addresses.is_empty() => Err(fault),
            _ => Ok(Box::new(addresses.into_iter())),
        }
    }

    async fn host(&self, host: &str) -> Result<Vec<SocketAddr>, Fault> {
        let known = self.resolver.as_ref().and_then(|resolver| (resolver.0)(host));
        let found = match known.or_else(|| host.parse().ok()) {
            Some(address) => vec![SocketAddr::new(address, 0)],
            None => lookup(host).await?,
        };
        let forbidden = found.iter().find(|address| !self.outgoing.permits(address.ip()));
        match forbidden {
            Some(address) => Err(Fault::Forbidden(address.ip())),
            None => Ok(found),
        }
    }
}

async fn lookup(host: &str) -> Result<Vec<SocketAddr>, Fault> {
    let found = tokio::net::lookup_host((host, 0)).await.map(Iterator::collect).unwrap_or_default();
    let found: Vec<SocketAddr> = found;
    if found.is_empty() { Err(Fault::Unresolved(host.to_owned())) } else { Ok(found) }
}

/// Returns the host of a URL without brackets.
pub(crate) fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::public("192.0.2.1", true)]
    #[case::private("10.0.0.1", true)]
    #[case::unique_local("fd00::1", true)]
    #[case::loopback("127.0.0.53", false)]
    #[case::loopback_6("::1", false)]
    #[case::mapped_loopback("::ffff:127.0.0.1", false)]
    #[case::unspecified("0.0.0.0", false)]
    #[case::metadata("169.254.169.254", false)]
    #[case::mapped_metadata("::ffff:169.254.169.254", false)]
    #[case::link_local_6("fe80::1", false)]
    #[case::metadata_6("fd00:ec2::254", false)]
    #[tokio::test]
    async fn addresses_of_the_machine_and_the_link_are_refused_after_resolution(
        #[case] address: IpAddr,
        #[case] permitted: bool,
    ) {
        let names = Names { resolver: Some(Resolver::new(move |_| Some(address))), ..Names::default() };
        assert_eq!(names.addresses("bao.example.com").await.is_ok(), permitted);
        let outgoing = Outgoing { loopback: true, ..Outgoing::default() };
        let names = Names { outgoing, ..names };
        let loopback = permitted || address.to_canonical().is_loopback() || address.is_unspecified();
        assert_eq!(names.addresses("bao.example.com").await.is_ok(), loopback);
    }

    #[tokio::test]
    async fn an_alias_is_resolved_again_for_each_connection() {
        let count = Arc::new(std::sync::atomic::AtomicU8::new(0));
        let seen = count.clone();
        let resolver = Resolver::new(move |host| {
            let last = seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            (host == "edge").then(|| IpAddr::from([192, 0, 2, last]))
        });
        let alias = Some(("bao.case.test".to_owned(), vec!["edge".to_owned()]));
        let names = Names { resolver: Some(resolver), alias, ..Names::default() };
        for last in 0..2 {
            let found: Vec<_> = names.addresses("bao.case.test").await.unwrap().collect();
            assert_eq!(found, [SocketAddr::from(([192, 0, 2, last], 0))]);
        }
    }
}
