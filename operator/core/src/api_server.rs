//! Errors of the Kubernetes API server as one sentence: the message of the server, and no text of a Rust type.

use std::error::Error as StdError;

use kube::core::Status;
use steamer_runtime::Reason;

/// Longest text that is taken from the server.
const MAX_CHARACTERS: usize = 512;

/// States what the API server answered, or why it did not.
pub(crate) fn sentence(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 429 || status.code >= 500 => {
            format!("the Kubernetes API server is overloaded or failed: {}", message(status))
        }
        kube::Error::Api(status) => {
            format!("the Kubernetes API server refuses the request: {}", message(status))
        }
        // The text of the parser can contain the answer.
        kube::Error::SerdeError(error) => {
            format!("cannot parse the answer of the Kubernetes API server ({:?} error)", error.classify())
        }
        error => format!("the Kubernetes API server is unreachable: {}", cause(error)),
    }
}

/// Reason of the error. A full quota is not a missing permission, although the API server answers both with 403.
pub(crate) fn reason(error: &kube::Error) -> Reason {
    match error {
        kube::Error::Api(status) if is_quota(status) => Reason::QuotaExceeded,
        kube::Error::Api(status) if status.code == 403 => Reason::PermissionDenied,
        kube::Error::Api(status) if status.code == 422 => Reason::Invalid,
        kube::Error::Api(_) | kube::Error::SerdeError(_) => Reason::Failed,
        _ => Reason::Unreachable,
    }
}

fn is_quota(status: &Status) -> bool {
    status.code == 403 && status.message.contains("exceeded quota")
}

fn message(status: &Status) -> String {
    let texts = [status.message.as_str(), status.reason.as_str()];
    match texts.into_iter().find(|text| !text.trim().is_empty()) {
        Some(text) => printable(text),
        None => format!("status {}", status.code),
    }
}

/// The innermost cause. The outer ones repeat it, or name types of libraries.
fn cause(error: &kube::Error) -> String {
    let mut innermost: &dyn StdError = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    printable(&innermost.to_string())
}

fn printable(text: &str) -> String {
    let words = text.split(|character: char| character.is_whitespace() || character.is_control());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    line.trim_end_matches('.').chars().take(MAX_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn refused(code: u16, reason: &str, message: &str) -> kube::Error {
        kube::Error::Api(Status::failure(message, reason).with_code(code).boxed())
    }

    fn unparsed() -> kube::Error {
        kube::Error::SerdeError(serde_json::from_str::<u8>("\"hunter2\"").unwrap_err())
    }

    fn unreachable() -> kube::Error {
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        kube::Error::Service(Box::new(std::io::Error::other(refused)))
    }

    #[rstest]
    #[case::invalid(
        refused(422, "Invalid", "Secret \"typed\" is invalid: data[tls.crt]: Required value"),
        "the Kubernetes API server refuses the request: Secret \"typed\" is invalid: data[tls.crt]: Required value",
        Reason::Invalid
    )]
    #[case::quota(
        refused(
            403,
            "Forbidden",
            "secrets \"a\" is forbidden: exceeded quota: few, requested: count/secrets=1"
        ),
        "the Kubernetes API server refuses the request: secrets \"a\" is forbidden: exceeded quota: few, requested: count/secrets=1",
        Reason::QuotaExceeded
    )]
    #[case::forbidden(
        refused(403, "Forbidden", "secrets \"a\" is forbidden: User \"x\" cannot create resource"),
        "the Kubernetes API server refuses the request: secrets \"a\" is forbidden: User \"x\" cannot create resource",
        Reason::PermissionDenied
    )]
    #[case::missing(
        refused(404, "NotFound", "serviceaccounts \"app\" not found"),
        "the Kubernetes API server refuses the request: serviceaccounts \"app\" not found",
        Reason::Failed
    )]
    #[case::lines(
        refused(400, "BadRequest", "a\n\tb\u{1b}[31m. "),
        "the Kubernetes API server refuses the request: a b [31m",
        Reason::Failed
    )]
    #[case::only_a_reason(
        refused(409, "Conflict", ""),
        "the Kubernetes API server refuses the request: Conflict",
        Reason::Failed
    )]
    #[case::only_a_code(
        refused(418, "", ""),
        "the Kubernetes API server refuses the request: status 418",
        Reason::Failed
    )]
    #[case::overloaded(
        refused(503, "ServiceUnavailable", "no endpoints"),
        "the Kubernetes API server is overloaded or failed: no endpoints",
        Reason::Failed
    )]
    #[case::another_shape(
        unparsed(),
        "cannot parse the answer of the Kubernetes API server (Data error)",
        Reason::Failed
    )]
    #[case::down(
        unreachable(),
        "the Kubernetes API server is unreachable: connection refused",
        Reason::Unreachable
    )]
    fn an_error_is_one_sentence(#[case] error: kube::Error, #[case] text: &str, #[case] expected: Reason) {
        assert_eq!(sentence(&error), text);
        assert_eq!(reason(&error), expected);
    }

    #[test]
    fn a_long_message_is_cut() {
        let error = refused(400, "BadRequest", &"x".repeat(5000));
        assert!(sentence(&error).chars().count() < 600);
    }
}
