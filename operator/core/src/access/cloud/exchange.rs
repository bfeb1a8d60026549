//! Exchange of a ServiceAccount token for a credential of a cloud provider.

use std::sync::Arc;

use secrecy::SecretString;
use steamer_openbao::{Credential, CredentialError, Fault, Post};
use steamer_runtime::Reason;

use super::super::transports::Transports;
use crate::error::NoCloudCredential;

/// Longest response.
const LIMIT: usize = 64 * 1024;
/// Longest code of an error in a response.
const CODE: usize = 64;
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// Sends the token of a ServiceAccount to a cloud provider.
pub(super) struct Exchange {
    transports: Arc<Transports>,
    pub(super) token: Arc<dyn Credential>,
}

impl Exchange {
    pub(super) fn new(transports: Arc<Transports>, token: Arc<dyn Credential>) -> Self {
        Self { transports, token }
    }

    /// The body of a successful response. `code` finds the code of an error in a response.
    pub(super) async fn post(
        &self,
        url: &str,
        post: Post<'_>,
        code: fn(&str) -> Option<&str>,
    ) -> Result<SecretString, CredentialError> {
        let transport =
            self.transports.trusting(&[]).map_err(|error| failed(url, Reason::Failed, &error.to_string()))?;
        let (status, body) =
            transport.post(url, &post, LIMIT).await.map_err(|fault| unreachable(url, &fault))?;
        let body = String::from_utf8_lossy(&body).into_owned();
        if !(200..300).contains(&status) {
            let code = code(&body).filter(|code| is_code(code)).unwrap_or("no error code");
            let reason =
                if status < 500 && status != 429 { Reason::PermissionDenied } else { Reason::Failed };
            return Err(failed(url, reason, &format!("status {status}, {code}")));
        }
        Ok(body.into())
    }
}

/// A request with a form.
pub(super) fn form(fields: &[(&str, &str)]) -> Post<'static> {
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    Post { content_type: FORM, bearer: None, body: fields.join("&").into() }
}

/// A request with a JSON body.
pub(super) fn json<'a>(body: &serde_json::Value, bearer: &'a SecretString) -> Post<'a> {
    Post { content_type: "application/json", bearer: Some(bearer), body: body.to_string().into() }
}

/// The error of a response that does not contain what it should.
pub(super) fn incomplete(url: &str, what: &str) -> CredentialError {
    failed(url, Reason::Failed, &format!("the response contains no {what}"))
}

fn unreachable(url: &str, fault: &Fault) -> CredentialError {
    failed(url, Reason::Unreachable, &fault.to_string())
}

fn failed(url: &str, reason: Reason, text: &str) -> CredentialError {
    Box::new(NoCloudCredential { url: url.to_owned(), reason, text: text.to_owned() })
}

/// Whether a text is a code, which cannot contain a credential.
fn is_code(text: &str) -> bool {
    text.len() <= CODE && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte))
}

/// Percent-encoding of all bytes that are not unreserved in a URL.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use secrecy::ExposeSecret;
    use steamer_openbao::Outgoing;

    use super::*;

    /// A token that does not change.
    pub(in super::super) struct Fixed(pub(in super::super) &'static str);

    impl Credential for Fixed {
        fn secret(
            &self,
        ) -> std::pin::Pin<Box<dyn Future<Output = Result<SecretString, CredentialError>> + Send + '_>>
        {
            Box::pin(std::future::ready(Ok(self.0.to_owned().into())))
        }

        fn discard(&self) -> std::pin::Pin<Box<dyn Future<Output = bool> + Send + '_>> {
            Box::pin(std::future::ready(false))
        }
    }

    /// A server that answers one request after the other. Returns its URL, and the requests that it got.
    pub(in super::super) fn server(answers: Vec<(u16, String)>) -> (String, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serve =
            move || answers.into_iter().map(|(status, body)| answered(&listener, status, &body)).collect();
        (url, std::thread::spawn(serve))
    }

    fn answered(listener: &TcpListener, status: u16, body: &str) -> String {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut text, mut buffer) = (String::new(), [0_u8; 4096]);
        while !is_complete(&text) {
            let count = stream.read(&mut buffer).unwrap();
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        let answer = format!(
            "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).unwrap();
        text
    }

    fn is_complete(text: &str) -> bool {
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        length.and_then(|length| length.parse().ok()) == Some(body.len())
    }

    pub(in super::super) fn exchange(token: &'static str) -> Exchange {
        Exchange::new(Arc::new(Transports::new(Outgoing::LOOPBACK)), Arc::new(Fixed(token)))
    }

    fn whole(body: &str) -> Option<&str> {
        Some(body)
    }

    #[test]
    fn a_form_is_encoded() {
        let form = form(&[("a", "b c"), ("d", "e&f=/~ü")]);
        assert_eq!(form.body.expose_secret(), "a=b%20c&d=e%26f%3D%2F~%C3%BC");
    }

    #[tokio::test]
    async fn an_error_contains_the_code_of_the_provider_and_no_other_text_of_it() {
        let (url, served) =
            server(vec![(403, "AccessDenied".to_owned()), (500, "the token is hunter2".to_owned())]);
        let exchange = exchange("hunter2");
        let mut texts = Vec::new();
        for _ in 0..2 {
            let error = exchange.post(&url, form(&[("token", "hunter2")]), whole).await.unwrap_err();
            texts.push(error.to_string());
        }
        served.join().unwrap();
        assert!(texts[0].ends_with("status 403, AccessDenied"), "{texts:?}");
        assert!(texts[1].ends_with("status 500, no error code"), "{texts:?}");
    }
}
