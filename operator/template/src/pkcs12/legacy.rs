//! Block ciphers with blocks of 8 bytes: 3DES and RC2.

use des::TdesEde3;
use des::cipher::{Array, BlockCipherDecrypt, KeyInit, KeySizeUser};
use rc2::Rc2;

/// CBC with the padding of PKCS #7.
pub(super) fn decrypted(key: &[u8], iv: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    let plain = if key.len() == TdesEde3::key_size() {
        chained(&TdesEde3::new_from_slice(key).ok()?, iv, ciphertext)
    } else {
        chained(&Rc2::new_with_eff_key_len(key, key.len() * 8), iv, ciphertext)
    }?;
    let padding = usize::from(*plain.last()?);
    let length = plain.len().checked_sub(padding).filter(|_| (1..=8).contains(&padding))?;
    plain[length..].iter().all(|byte| usize::from(*byte) == padding).then(|| plain[..length].to_vec())
}

fn chained<C: BlockCipherDecrypt>(cipher: &C, iv: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    let (mut plain, mut previous) = (Vec::with_capacity(ciphertext.len()), iv);
    for chunk in ciphertext.chunks(8) {
        let mut block = Array::try_from(chunk).ok()?;
        cipher.decrypt_block(&mut block);
        plain.extend(block.iter().zip(previous).map(|(byte, other)| byte ^ other));
        previous = chunk;
    }
    Some(plain)
}
