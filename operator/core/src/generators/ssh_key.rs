//! SSH keys: Ed25519 in the format of OpenSSH (PROTOCOL.key).

use crate::error::Error;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::pem::{Pair, document};
use super::random::Random;

const TYPE: &[u8] = b"ssh-ed25519";
const MAGIC: &[u8] = b"openssh-key-v1\0";
/// Block size of a key without encryption.
const BLOCK: usize = 8;
/// Length of a line.
const WIDTH: usize = 70;

/// Generates a key pair.
///
/// # Errors
/// [`Error::Internal`] without random numbers.
pub(super) fn generated(comment: &str, random: &mut impl Random) -> Result<Pair, Error> {
    let (mut seed, mut check) = ([0; 32], [0; 4]);
    random.fill(&mut seed)?;
    random.fill(&mut check)?;
    let key = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(Error::internal)?;
    let public = key.public_key().as_ref();
    let private = private_file(&[&seed[..], public].concat(), public, comment, check);
    let line = format!("ssh-ed25519 {} {comment}", STANDARD.encode(blob(public)));
    Ok(Pair {
        private: document("OPENSSH PRIVATE KEY", &private, WIDTH),
        public: format!("{}\n", line.trim_end()).into(),
    })
}

fn private_file(private: &[u8], public: &[u8], comment: &str, check: [u8; 4]) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    for part in [b"none".as_slice(), b"none", b""] {
        string(&mut file, part);
    }
    file.extend(1_u32.to_be_bytes());
    string(&mut file, &blob(public));
    string(&mut file, &private_section(private, public, comment, check));
    file
}

/// The check words must be equal: readers compare them.
fn private_section(private: &[u8], public: &[u8], comment: &str, check: [u8; 4]) -> Vec<u8> {
    let mut section = [check, check].concat();
    for part in [TYPE, public, private, comment.as_bytes()] {
        string(&mut section, part);
    }
    let padding = (1_u8..).take((BLOCK - section.len() % BLOCK) % BLOCK);
    section.extend(padding);
    section
}

/// The public key as all SSH programs encode it.
fn blob(public: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    string(&mut blob, TYPE);
    string(&mut blob, public);
    blob
}

/// Appends a string with its length.
fn string(target: &mut Vec<u8>, text: &[u8]) {
    target.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    target.extend(text);
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    /// Bytes of `ssh-keygen`: every seed byte is 1, every check byte too.
    struct Ones;

    impl Random for Ones {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
            bytes.fill(1);
            Ok(())
        }
    }

    /// Reads a string and returns the rest.
    fn read(bytes: &[u8]) -> (&[u8], &[u8]) {
        let (length, rest) = bytes.split_at(4);
        rest.split_at(usize::try_from(u32::from_be_bytes(length.try_into().unwrap())).unwrap())
    }

    #[test]
    fn a_key_file_can_be_parsed_and_contains_the_pair() {
        let pair = generated("web@example", &mut Ones).unwrap();
        let public = pair.public.expose_secret();
        let words: Vec<&str> = public.split_whitespace().collect();
        assert_eq!((words[0], words[2]), ("ssh-ed25519", "web@example"));
        let body: String =
            pair.private.expose_secret().lines().filter(|line| !line.starts_with('-')).collect();
        let file = STANDARD.decode(body).unwrap();
        let mut rest = file.strip_prefix(MAGIC).unwrap();
        for expected in ["none", "none", ""] {
            let (text, after) = read(rest);
            assert_eq!(text, expected.as_bytes());
            rest = after;
        }
        let (key, rest) = read(&rest[4..]);
        assert_eq!(STANDARD.decode(words[1]).unwrap(), key);
        let (section, rest) = read(rest);
        assert!(rest.is_empty() && section.len() % BLOCK == 0 && section[..4] == section[4..8]);
        let (_, rest) = read(&section[8..]);
        let (own, rest) = read(rest);
        let (private, rest) = read(rest);
        assert_eq!(private, [&[1; 32][..], own].concat());
        assert_eq!(read(rest).0, b"web@example");
        assert_eq!(read(rest).1, (1..=u8::try_from(read(rest).1.len()).unwrap()).collect::<Vec<_>>());
        assert_eq!(read(read(key).1).0, own);
    }
}
