//! Faults between Steamer and a server, classified by cause. They contain no text of a server or of a parser.

use std::error::Error as StdError;
use std::io::ErrorKind;
use std::net::IpAddr;

use reqwest::Url;
use rustls::{AlertDescription, CertificateError};

/// Reason why a request got no usable response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// DNS knows no address.
    #[error("the host name {0} cannot be resolved")]
    Unresolved(String),
    /// The address is not allowed as a destination.
    #[error("{0} is a loopback or link-local address, which Steamer does not connect to")]
    Forbidden(IpAddr),
    /// No process listens on the port.
    #[error("the connection is refused")]
    Refused,
    /// No route leads to the address.
    #[error("the network is unreachable")]
    Unroutable,
    /// The time for the request ended.
    #[error("no complete response within the timeout")]
    Silent,
    /// Earlier requests took all the time.
    #[error("the server answers too slowly: other requests of Steamer wait for it")]
    Busy,
    /// The connection broke.
    #[error("the connection ended before the response was complete")]
    Closed,
    /// The response is not HTTP.
    #[error("the server does not answer with HTTP: check the port and the scheme of the address")]
    Protocol,
    /// TLS failed.
    #[error("{0}")]
    Tls(&'static str),
    /// The server's certificate is not accepted.
    #[error("{0}")]
    Certificate(&'static str),
    /// The server's certificate has another name.
    #[error("the server's certificate is not valid for the name {0}")]
    Name(String),
    /// The server redirects. The target contains neither credentials nor a path.
    #[error("the server redirects to {0}: set that address")]
    Redirect(String),
    /// The response has an unsuccessful status.
    #[error("the server returned status {0}")]
    Status(u16),
    /// The response is too large.
    #[error("the response is larger than {} KiB", .0 / 1024)]
    TooLarge(usize),
}

impl Fault {
    /// Classifies an error of the HTTP client.
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Silent;
        }
        let causes =
            || std::iter::successors(Some(error as &(dyn StdError + 'static)), |error| cause(*error));
        causes().find_map(known).unwrap_or(if error.is_connect() { Self::Unroutable } else { Self::Closed })
    }

    /// Returns whether the server answers with a certificate that is not accepted. Neither side changes within seconds.
    pub(crate) fn is_of_certificate(&self) -> bool {
        matches!(self, Self::Certificate(_) | Self::Name(_))
    }

    /// Returns the fault of a redirect from `from` to `location`.
    pub(crate) fn redirect(from: &Url, location: Option<&str>) -> Self {
        let target = location.and_then(|location| from.join(location).ok()).filter(Url::has_host);
        let origin = target.map(|target| target.origin());
        Self::Redirect(origin.map_or_else(|| "another address".to_owned(), |it| it.ascii_serialization()))
    }
}

/// Returns the cause of an error. `io::Error` hides the error that it wraps.
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn known(error: &(dyn StdError + 'static)) -> Option<Fault> {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return Some(fault.clone());
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(tls(error));
    }
    if let Some(error) = error.downcast_ref::<std::io::Error>() {
        return network(error);
    }
    // The parser of hyper has no public kinds.
    error.to_string().starts_with("invalid HTTP").then_some(Fault::Protocol)
}

fn network(error: &std::io::Error) -> Option<Fault> {
    Some(match error.kind() {
        ErrorKind::ConnectionRefused => Fault::Refused,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Fault::Unroutable,
        ErrorKind::TimedOut => Fault::Silent,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Fault::Closed,
        _ => return None,
    })
}

fn tls(error: &rustls::Error) -> Fault {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};
    match error {
        InvalidCertificate(CertificateError::NotValidForNameContext { expected, .. }) => {
            Fault::Name(expected.to_str().into_owned())
        }
        InvalidCertificate(problem) => Fault::Certificate(certificate(problem)),
        InvalidMessage(_) => {
            Fault::Tls("the server does not answer with TLS: check the port, or use http://")
        }
        AlertReceived(alert) => Fault::Tls(rejection(*alert)),
        _ => Fault::Tls("the TLS handshake failed"),
    }
}

fn certificate(problem: &CertificateError) -> &'static str {
    use CertificateError as Problem;
    match problem {
        // A CA that was replaced under its name has another key.
        Problem::UnknownIssuer | Problem::BadSignature => {
            "the server's certificate is not signed by a trusted CA: check the CA certificate of the connection"
        }
        Problem::Expired | Problem::ExpiredContext { .. } => "the server's certificate has expired",
        Problem::NotValidYet | Problem::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet"
        }
        Problem::NotValidForName => "the server's certificate is not valid for the name in the address",
        Problem::Revoked => "the server's certificate is revoked",
        Problem::InvalidPurpose | Problem::InvalidPurposeContext { .. } => {
            "the server's certificate is not a server certificate: its extended key usage lacks serverAuth"
        }
        Problem::Other(other) => webpki(&other.to_string()),
        _ => "the server's certificate is not accepted",
    }
}

/// Explains a limit of webpki, which has no kind in rustls.
fn webpki(problem: &str) -> &'static str {
    match problem {
        text if text.contains("CaUsedAsEndEntity") => {
            "the server's certificate is a CA certificate: sign a server certificate with this CA and install it"
        }
        text if text.contains("UnsupportedCertVersion") => {
            "the server's certificate has X.509 version 1: create a certificate of version 3"
        }
        _ => "the server's certificate is not accepted",
    }
}

fn rejection(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateRequired => "the server requires a client certificate",
        AlertDescription::BadCertificate
        | AlertDescription::UnknownCA
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => "the server does not accept the client certificate",
        AlertDescription::ProtocolVersion => "the server supports neither TLS 1.2 nor TLS 1.3",
        AlertDescription::UnrecognisedName => "the server does not serve the name in the address",
        _ => "the server ended the TLS handshake",
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::upgrade("https://bao/v1/sys/health", "https://bao")]
    #[case::port("https://other:8443/x?token=canary#canary", "https://other:8443")]
    #[case::credentials("https://user:canary@other/", "https://other")]
    #[case::relative("/login", "http://bao:8200")]
    #[case::no_url("http://[", "another address")]
    #[case::script("javascript:canary", "another address")]
    fn a_redirect_names_its_target_without_credentials_and_path(
        #[case] location: &str,
        #[case] target: &str,
    ) {
        let from = Url::parse("http://bao:8200/v1/sys/health").unwrap();
        let fault = Fault::redirect(&from, Some(location));
        assert_eq!(fault.to_string(), format!("the server redirects to {target}: set that address"));
    }
}
