//! PGP keys whose owner decrypts what OpenBao encrypts for the owner, without a PGP program.
//!
//! Only what OpenBao needs of RFC 4880: an RSA key that signs its only user ID, and messages with one recipient.

use anyhow::{Context, Result, ensure};
use aws_lc_rs::cipher::{AES_256, DecryptionContext, StreamingDecryptingKey, UnboundCipherKey};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Tags of packets.
const SESSION_KEY: u8 = 1;
const SIGNATURE: u8 = 2;
const PUBLIC_KEY: u8 = 6;
const LITERAL: u8 = 11;
const USER_ID: u8 = 13;
const ENCRYPTED: u8 = 18;
/// Numbers of algorithms.
const RSA: u8 = 1;
const AES256: u8 = 9;
const WITH_SHA256: u8 = 8;
/// Size of a block of the cipher, and of the key, in bytes.
const BLOCK: usize = 16;
const KEY: usize = 32;
/// Time of each key: 2020-01-01, in seconds since 1970.
const CREATED: u32 = 1_577_836_800;
const OWNER: &[u8] = b"owner@example.com";

/// A PGP key and its owner.
pub struct PgpKey {
    private: Pkcs1PrivateDecryptingKey,
    public: Vec<u8>,
}

impl PgpKey {
    /// Creates a key that signs, certifies and encrypts, and that does not expire.
    ///
    /// # Errors
    /// When the system provides no random numbers.
    pub fn generate() -> Result<Self> {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).ok().context("no key")?;
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&private).ok().context("no PKCS#8")?;
        let pair = KeyPair::from_pkcs8(der.as_ref()).ok().context("no RSA key in PKCS#8")?;
        let public = public(&pair)?;
        let private = Pkcs1PrivateDecryptingKey::new(private).ok().context("no key for decryption")?;
        Ok(Self { private, public })
    }

    /// The public key in Base64, without armor.
    #[must_use]
    pub fn public(&self) -> String {
        STANDARD.encode(&self.public)
    }

    /// Decrypts the text of a message.
    ///
    /// # Errors
    /// When the message has another form, or is encrypted for another owner.
    pub fn decrypt(&self, message: &[u8]) -> Result<String> {
        let (tag, session, rest) = packet(message)?;
        ensure!(tag == SESSION_KEY, "the packet of the session key has the tag {tag}");
        let key = self.session_key(&session)?;
        let (tag, encrypted, _) = packet(rest)?;
        ensure!(tag == ENCRYPTED, "the encrypted packet has the tag {tag}");
        let (version, encrypted) = encrypted.split_first().context("no encrypted data")?;
        ensure!(*version == 1, "the encrypted packet has the version {version}");
        let plain = decrypted(&key, encrypted)?;
        // A random block, whose last two bytes follow again.
        let packets = plain.get(BLOCK + 2..).context("no packet in the encrypted data")?;
        let is_repeated = plain[BLOCK - 2..BLOCK] == plain[BLOCK..BLOCK + 2];
        ensure!(is_repeated, "the session key does not decrypt the data");
        let (tag, literal, _) = packet(packets)?;
        ensure!(tag == LITERAL, "the packet of the text has the tag {tag}");
        text(&literal)
    }

    /// The session key of a packet: version, ID of the recipient's key, algorithm, and the encrypted number.
    fn session_key(&self, packet: &[u8]) -> Result<Vec<u8>> {
        let number = packet.get(12..).context("no session key")?;
        ensure!(packet[0] == 3 && packet[9] == RSA, "the session key has another version or algorithm");
        let size = self.private.key_size_bytes();
        let mut padded = vec![0; size.saturating_sub(number.len())];
        padded.extend(number);
        let mut buffer = vec![0; size];
        let decrypted = self.private.decrypt(&padded, &mut buffer).ok();
        let decrypted = decrypted.context("the message is encrypted for another owner")?;
        // Number of the cipher, key, sum of the bytes of the key.
        ensure!(
            decrypted.len() == KEY + 3 && decrypted[0] == AES256,
            "the cipher is {:?} with {} bytes",
            decrypted.first(),
            decrypted.len()
        );
        Ok(decrypted[1..=KEY].to_vec())
    }
}

/// Decrypts data with AES-256 in the mode CFB, without an initialization vector.
fn decrypted(key: &[u8], data: &[u8]) -> Result<Vec<u8>> {
    let key = UnboundCipherKey::new(&AES_256, key).ok().context("no key of AES-256")?;
    let context = DecryptionContext::Iv128(FixedLength::from([0; BLOCK]));
    let mut cipher = StreamingDecryptingKey::cfb128(key, context).ok().context("no cipher")?;
    let mut plain = vec![0; data.len() + BLOCK];
    let written = cipher.update(data, &mut plain).ok().context("the data cannot be decrypted")?;
    Ok(written.written().to_vec())
}

/// The text of a literal packet: format, length of a file name, file name, time, text.
fn text(packet: &[u8]) -> Result<String> {
    let name = usize::from(*packet.get(1).context("no literal data")?);
    let text = packet.get(name + 6..).context("no text")?;
    Ok(String::from_utf8(text.to_vec())?)
}

/// The public key with its user ID and a signature that makes it a key for encryption with AES-256.
fn public(pair: &KeyPair) -> Result<Vec<u8>> {
    let numbers = pair.public_key();
    let mut key = vec![4_u8];
    key.extend(CREATED.to_be_bytes());
    key.push(RSA);
    key.extend(integer(numbers.modulus().big_endian_without_leading_zero())?);
    key.extend(integer(numbers.exponent().big_endian_without_leading_zero())?);
    let mut signed = vec![0x99_u8];
    signed.extend(u16::try_from(key.len())?.to_be_bytes());
    signed.extend(&key);
    let fingerprint = digest(&SHA1_FOR_LEGACY_USE_ONLY, &signed);
    signed.push(0xb4);
    signed.extend(u32::try_from(OWNER.len())?.to_be_bytes());
    signed.extend(OWNER);
    // Subpackets, each after its length: time, purposes, preferred cipher, preferred digest.
    let mut subpackets = vec![5_u8, 2];
    subpackets.extend(CREATED.to_be_bytes());
    subpackets.extend([2, 27, 0x0f, 2, 11, AES256, 2, 21, WITH_SHA256]);
    // Version, certification of a user ID, algorithms.
    let mut signature = vec![4, 0x13, RSA, WITH_SHA256];
    signature.extend(u16::try_from(subpackets.len())?.to_be_bytes());
    signature.extend(subpackets);
    signed.extend(&signature);
    signed.extend([4, 0xff]);
    signed.extend(u32::try_from(signature.len())?.to_be_bytes());
    let checked = digest(&SHA256, &signed);
    // A subpacket that is not signed: the ID of the key.
    signature.extend([0, 10, 9, 16]);
    let (fingerprint, checked): (&[u8], &[u8]) = (fingerprint.as_ref(), checked.as_ref());
    signature.extend(&fingerprint[12..]);
    signature.extend(&checked[..2]);
    let mut number = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &signed, &mut number).ok().context("signing")?;
    signature.extend(integer(&number)?);
    let mut packets = Vec::new();
    for (tag, body) in [(PUBLIC_KEY, &key[..]), (USER_ID, OWNER), (SIGNATURE, &signature[..])] {
        packets.extend([0xc0 | tag, 255]);
        packets.extend(u32::try_from(body.len())?.to_be_bytes());
        packets.extend(body);
    }
    Ok(packets)
}

/// A number after its length in bits.
fn integer(bytes: &[u8]) -> Result<Vec<u8>> {
    let start = bytes.iter().position(|byte| *byte != 0).context("the number is zero")?;
    let digits = &bytes[start..];
    let bits = u16::try_from(digits.len() * 8)? - u16::try_from(digits[0].leading_zeros())?;
    let mut number = bits.to_be_bytes().to_vec();
    number.extend(digits);
    Ok(number)
}

/// Splits a message into the tag and the body of its first packet, and the rest. A long body consists of parts.
fn packet(message: &[u8]) -> Result<(u8, Vec<u8>, &[u8])> {
    let (header, mut rest) = message.split_first().context("no packet")?;
    ensure!(header & 0xc0 == 0xc0, "the packet has the old format");
    let mut body = Vec::new();
    loop {
        let (length, is_part, after) = length(rest)?;
        ensure!(length <= after.len(), "the packet is cut off");
        let (part, after) = after.split_at(length);
        body.extend(part);
        rest = after;
        if !is_part {
            return Ok((header & 0x3f, body, rest));
        }
    }
}

/// Length of a body or of a part of it, true for a part that others follow, and what is after the length.
fn length(bytes: &[u8]) -> Result<(usize, bool, &[u8])> {
    let cut = "the length of a packet is cut off";
    let (first, rest) = bytes.split_first().context(cut)?;
    Ok(match *first {
        short @ 0..=191 => (short.into(), false, rest),
        long @ 192..=223 => {
            let (second, rest) = rest.split_first().context(cut)?;
            (((usize::from(long) - 192) << 8) + usize::from(*second) + 192, false, rest)
        }
        part @ 224..=254 => (1_usize << (part & 0x1f), true, rest),
        255 => {
            let (number, rest) = rest.split_first_chunk::<4>().context(cut)?;
            (usize::try_from(u32::from_be_bytes(*number))?, false, rest)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_packet_are_joined() {
        let message = [0xd2, 0xe1, 1, 2, 0xe0, 3, 2, 4, 5, 6];
        let (tag, body, rest) = packet(&message).unwrap();
        assert_eq!((tag, body, rest), (ENCRYPTED, vec![1, 2, 3, 4, 5], &[6][..]));
        assert!(packet(&message[..8]).is_err(), "a packet that is cut off");
    }

    #[test]
    fn a_length_has_four_forms() {
        let rest = &[7][..];
        assert_eq!(length(&[191, 7]).unwrap(), (191, false, rest));
        assert_eq!(length(&[192, 0, 7]).unwrap(), (192, false, rest));
        assert_eq!(length(&[255, 0, 1, 0, 0, 7]).unwrap(), (65536, false, rest));
        assert_eq!(length(&[0xe9, 7]).unwrap(), (512, true, rest));
    }

    #[test]
    fn a_number_has_its_length_in_bits() {
        assert_eq!(integer(&[0, 1, 0, 1]).unwrap(), [0, 17, 1, 0, 1]);
        assert!(integer(&[0]).is_err());
    }
}
