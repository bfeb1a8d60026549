//! JSON Web Tokens in their compact form.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

/// A token that is not verified.
#[derive(Clone, Debug)]
pub struct Token {
    /// Header, such as `alg` and `kid`.
    pub header: Map<String, Value>,
    /// Claims.
    pub claims: Map<String, Value>,
    /// Text that is signed.
    pub(crate) signed: String,
    pub(crate) signature: Vec<u8>,
}

/// A text that is not a token. It contains nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl Token {
    /// Parses a token.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let parts: Vec<&str> = text.trim().split('.').collect();
        let [header, claims, signature] = parts[..] else {
            return Err(Malformed("it does not consist of three parts that dots separate"));
        };
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes());
        Ok(Self {
            header: object(header).ok_or(Malformed("its header is not a JSON object in Base64url"))?,
            claims: object(claims).ok_or(Malformed("its claims are not a JSON object in Base64url"))?,
            signed: format!("{header}.{claims}"),
            signature: signature.map_err(|_| Malformed("its signature is not Base64url"))?,
        })
    }

    /// A member of the header as text. Empty if it is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.header.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", "three parts")]
    #[case("a.b", "three parts")]
    #[case("a.b.c.d", "three parts")]
    #[case("!.e30.", "header")]
    #[case("e30.W10.", "claims")]
    #[case("e30.e30.!", "signature")]
    fn a_text_that_is_no_token_is_refused(#[case] text: &str, #[case] expected: &str) {
        assert!(Token::parse(text).unwrap_err().0.contains(expected));
    }

    #[test]
    fn a_token_has_a_header_and_claims() {
        let part = |value: &str| BASE64URL_NOPAD.encode(value.as_bytes());
        let text = format!("{}.{}.\n", part(r#"{"alg":"RS256","kid":1}"#), part(r#"{"sub":"a"}"#));
        let token = Token::parse(&text).unwrap();
        assert_eq!((token.header("alg"), token.header("kid")), ("RS256", ""));
        assert_eq!(token.claims["sub"], "a");
    }
}
