//! The HTTP client for every outgoing request: no redirects, and bounded bodies and times.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Certificate, ClientBuilder, RequestBuilder, Response, Url};
use secrecy::{ExposeSecret, SecretString};

use crate::body;
use crate::fault::Fault;
use crate::resolver::{Names, host};
use crate::roots;
use crate::settings::{InvalidSetting, Settings};

/// Longest timeout of a request.
const LONGEST: Duration = Duration::from_secs(60);

/// A request with a body.
pub struct Post<'a> {
    /// Content type of the body.
    pub content_type: &'static str,
    /// Token in the header `Authorization`.
    pub bearer: Option<&'a SecretString>,
    /// Body, which can contain credentials.
    pub body: SecretString,
}

/// HTTP client of a server.
#[derive(Clone)]
pub struct Transport {
    http: reqwest::Client,
    names: Names,
}

impl Transport {
    /// Returns a client. Does not connect yet.
    ///
    /// # Errors
    /// [`InvalidSetting`] if a certificate, header or address is not valid.
    pub fn new(settings: &Settings) -> Result<Self, InvalidSetting> {
        let names = names(settings)?;
        let builder = secured(builder(settings), settings)?.dns_resolver(names.clone());
        let http = builder.default_headers(headers(settings)?).build();
        Ok(Self { http: http.map_err(|_| InvalidSetting::Unusable)?, names })
    }

    /// Returns the body of a successful response of at most `limit` bytes.
    ///
    /// # Errors
    /// Any [`Fault`].
    pub async fn get(&self, url: &str, limit: usize) -> Result<Vec<u8>, Fault> {
        let url = parsed(url).map_err(|_| Fault::Protocol)?;
        let response = self.send(self.request(reqwest::Method::GET, url.clone())).await?;
        let status = response.status();
        if status.is_redirection() {
            return Err(Fault::redirect(&url, location(response.headers())));
        }
        if !status.is_success() {
            return Err(Fault::Status(status.as_u16()));
        }
        body::read(response, limit).await
    }

    /// Sends a request with a body. Returns status and body of the response, with at most `limit` bytes.
    ///
    /// # Errors
    /// Any [`Fault`], except for the status.
    pub async fn post(&self, url: &str, post: &Post<'_>, limit: usize) -> Result<(u16, Vec<u8>), Fault> {
        let url = parsed(url).map_err(|_| Fault::Protocol)?;
        let request = self.request(reqwest::Method::POST, url.clone());
        let request =
            request.header(CONTENT_TYPE, post.content_type).body(post.body.expose_secret().to_owned());
        let request = match post.bearer {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        };
        let response = self.send(request).await?;
        let status = response.status();
        if status.is_redirection() {
            return Err(Fault::redirect(&url, location(response.headers())));
        }
        Ok((status.as_u16(), body::read(response, limit).await?))
    }

    pub(crate) fn request(&self, method: reqwest::Method, url: Url) -> RequestBuilder {
        self.http.request(method, url)
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, Fault> {
        let (http, request) = request.build_split();
        let request = request.map_err(|error| Fault::of(&error))?;
        self.permit(request.url())?;
        http.execute(request).await.map_err(|error| Fault::of(&error))
    }

    /// Checks an address that is written as an IP address, which is not resolved.
    fn permit(&self, url: &Url) -> Result<(), Fault> {
        match host(url).parse() {
            Ok(address) if !self.names.outgoing.permits(address) => Err(Fault::Forbidden(address)),
            _ => Ok(()),
        }
    }
}

/// Returns the header `Location`.
pub(crate) fn location(headers: &HeaderMap) -> Option<&str> {
    headers.get(LOCATION).and_then(|value| value.to_str().ok())
}

/// Parses an HTTP URL.
pub(crate) fn parsed(url: &str) -> Result<Url, InvalidSetting> {
    let url = Url::parse(url).map_err(|_| InvalidSetting::Address)?;
    let http =
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    if http { Ok(url) } else { Err(InvalidSetting::Address) }
}

fn names(settings: &Settings) -> Result<Names, InvalidSetting> {
    let hosts = settings.addresses.iter().map(|address| Ok(host(&parsed(address)?)));
    let hosts = hosts.collect::<Result<_, _>>()?;
    let alias = settings.server_name.clone().map(|name| (name, hosts));
    Ok(Names { resolver: settings.resolver.clone(), alias, outgoing: settings.outgoing })
}

fn builder(settings: &Settings) -> ClientBuilder {
    let silence = Duration::from_secs(if settings.resolver.is_some() { 2 } else { 10 });
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(settings.timeout.unwrap_or(Duration::from_secs(30)).min(LONGEST))
        .pool_idle_timeout(Duration::from_secs(60))
        .tcp_keepalive(Duration::from_secs(15))
        // All requests share one connection: if it is half open, this must be detected before the requests time out.
        .http2_keep_alive_interval(silence)
        .http2_keep_alive_timeout(silence);
    let builder = if settings.plain { builder.http1_only() } else { builder };
    // Pods have no proxy between them and the operator. A proxy would resolve the name of the certificate instead of the
    // address.
    let direct = settings.resolver.is_some() || settings.server_name.is_some();
    if settings.outgoing.proxy && !direct { builder } else { builder.no_proxy() }
}

fn secured(mut builder: ClientBuilder, settings: &Settings) -> Result<ClientBuilder, InvalidSetting> {
    builder = builder.tls_danger_accept_invalid_certs(settings.insecure);
    builder = builder.tls_certs_only(match settings.ca.as_slice() {
        [] => roots::system().to_vec(),
        ca => certificates(ca)?,
    });
    if let Some(pem) = &settings.client_certificate {
        let identity = reqwest::Identity::from_pem(pem.expose_secret().as_bytes());
        builder = builder.identity(identity.map_err(|_| InvalidSetting::ClientCertificate)?);
    }
    Ok(builder)
}

/// Returns the certificates of a PEM bundle.
///
/// # Errors
/// [`InvalidSetting::NoCertificate`] if it contains none.
pub fn certificates(bundle: &[u8]) -> Result<Vec<Certificate>, InvalidSetting> {
    match Certificate::from_pem_bundle(&separated(bundle)) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(InvalidSetting::NoCertificate),
    }
}

/// Starts each certificate on its own line. Otherwise the parser would skip it without an error.
fn separated(bundle: &[u8]) -> Vec<u8> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    let mut separated = Vec::with_capacity(bundle.len());
    for (index, byte) in bundle.iter().enumerate() {
        if bundle[index..].starts_with(BEGIN) && separated.last().is_some_and(|last| *last != b'\n') {
            separated.push(b'\n');
        }
        separated.push(*byte);
    }
    separated
}

/// Joins PEM files. Some tools write no newline at the end of a file.
#[must_use]
pub fn joined_pem(files: &[&[u8]]) -> Vec<u8> {
    let mut joined = Vec::new();
    for file in files {
        if joined.last().is_some_and(|last| *last != b'\n') {
            joined.push(b'\n');
        }
        joined.extend_from_slice(file);
    }
    joined
}

fn headers(settings: &Settings) -> Result<HeaderMap, InvalidSetting> {
    let mut headers = HeaderMap::new();
    for (index, (name, value)) in settings.headers.iter().enumerate() {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            return Err(InvalidSetting::Header(index + 1));
        };
        headers.insert(name, value);
    }
    Ok(headers)
}
