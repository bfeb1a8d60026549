//! Addresses of servers and headers of requests.

use super::rule::Rule;

/// Regular expression for URLs: scheme, host and port without user and password, and the rest.
macro_rules! url {
    ($start:literal, $rest:literal, $end:literal) => {
        concat!(
            $start,
            r".matches(r'^https?://([[][0-9a-fA-F:.]+[]]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)",
            r"(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?",
            $rest,
            "$')",
            $end
        )
    };
}

/// Address of a server.
pub(crate) const ADDRESS: Rule = (
    url!("self", "", ""),
    "address must be a URL of scheme, host and port, without user and path, such as https://openbao.openbao.svc:8200",
);

/// Address that receives credentials.
pub(crate) const ENCRYPTED: Rule = (
    "self.startsWith('https:')",
    "the endpoint must be an https:// URL: it receives a token of the ServiceAccount",
);

/// Addresses of servers.
pub(crate) const ADDRESSES: Rule = (
    url!("self.all(address, address", "", ")"),
    "each address must be a URL of scheme, host and port, without user and path, such as https://openbao.openbao.svc:8200",
);

/// Message for an `http://` address without consent.
macro_rules! plaintext {
    ($field:literal) => {
        concat!(
            $field,
            " must be an https:// URL: with http:// everyone in the network can read and change all requests and values. \
             Set allowPlaintext: true to accept this"
        )
    };
}

/// Consent to an address without TLS.
pub(crate) const PLAINTEXT_ADDRESS: Rule = (
    "(has(self.allowPlaintext) && self.allowPlaintext) || !has(self.address) || !self.address.startsWith('http:')",
    plaintext!("address"),
);

/// Consent to addresses without TLS.
pub(crate) const PLAINTEXT_ADDRESSES: Rule = (
    "(has(self.allowPlaintext) && self.allowPlaintext) || !(self.address.startsWith('http:') || (has(self.additionalAddresses) && self.additionalAddresses.exists(address, address.startsWith('http:'))))",
    plaintext!("each address"),
);

/// Consent to an issuer without TLS.
pub(crate) const PLAINTEXT_ISSUER: Rule = (
    "(has(self.allowPlaintext) && self.allowPlaintext) || !((has(self.oidcDiscoveryUrl) && self.oidcDiscoveryUrl.startsWith('http:')) || (has(self.jwksUrl) && self.jwksUrl.startsWith('http:')))",
    "oidcDiscoveryUrl and jwksUrl must be https:// URLs: with http:// everyone in the network can replace the keys of the \
     issuer. Set allowPlaintext: true to accept this",
);

/// URL with an optional path.
pub(crate) const URL: Rule = (
    url!("self", r"(/[A-Za-z0-9._~!$&()*+,;=:@%/-]*)?", ""),
    "must be a URL such as https://gitlab.example.com, without user, query, fragment and blanks",
);

/// URL with an optional path and query.
pub(crate) const URL_WITH_QUERY: Rule = (
    url!("self", r"(/[A-Za-z0-9._~!$&()*+,;=:@%/?-]*)?", ""),
    "must be a URL such as https://gitlab.example.com/oauth/discovery/keys, without user, fragment and blanks",
);

/// Names of HTTP headers.
pub(crate) const HEADER_NAMES: Rule = (
    "self.all(name, name.matches(r'^[!#$%&*+.^_|~0-9A-Za-z-]{1,256}$'))",
    "a header name consists of letters, digits, - and _",
);

/// Names of HTTP headers that a user may set.
pub(crate) const RESERVED_HEADERS: Rule = (
    "self.all(name, !name.lowerAscii().matches('^(x-vault-.*|x-forwarded-.*|proxy-.*|authorization|host|connection|content-length|content-type|transfer-encoding|te|trailer|upgrade|cookie|forwarded)$'))",
    "the headers X-Vault-*, X-Forwarded-*, Proxy-*, Authorization, Host, Cookie and those of the connection are reserved: to \
     select a namespace, set namespace on the BaoAuth instead",
);

/// Values of HTTP headers.
pub(crate) const HEADER_VALUES: Rule = (
    r"self.all(name, size(self[name]) <= 4096 && self[name].matches(r'^([!-~]([ -~]*[!-~])?)?$'))",
    "a header value has at most 4096 visible ASCII characters, and no line break and no blank at its start or end",
);

/// Returns the first address that [`PLAINTEXT_ADDRESSES`] refuses without consent.
#[must_use]
pub fn plaintext_address<'a>(mut addresses: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    addresses.find(|address| !address.starts_with("https:"))
}
