//! Passwords.

/// A password in the encodings of keys and of ciphers.
pub(super) struct Password {
    /// UTF-8, for PBES2.
    pub(super) text: Vec<u8>,
    /// UTF-16 with a zero at its end, for the derivation of PKCS #12.
    pub(super) wide: Vec<u8>,
}

impl Password {
    pub(super) fn new(text: &str) -> Self {
        let wide = text.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect();
        Self { text: text.as_bytes().to_vec(), wide }
    }

    /// An empty password without the zero at its end: some programs omit it.
    pub(super) fn absent() -> Self {
        Self { text: Vec::new(), wide: Vec::new() }
    }
}
