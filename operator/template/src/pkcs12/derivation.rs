//! Keys from passwords: the derivation of PKCS #12 (RFC 7292, appendix B).

use aws_lc_rs::digest::{self, Algorithm};

use super::password::Password;
use crate::error::Fault;
use crate::scope::Scope;

/// Use of a derived key.
#[derive(Clone, Copy)]
pub(super) enum Use {
    Key = 1,
    Iv = 2,
    Mac = 3,
}

/// Salt and number of digests.
pub(super) struct Cost<'a> {
    pub(super) salt: &'a [u8],
    pub(super) iterations: u32,
}

impl Cost<'_> {
    /// Pays for the digests of `blocks` blocks of a key.
    pub(super) fn pay(&self, scope: &mut Scope, blocks: usize) -> Result<(), Fault> {
        let iterations = usize::try_from(self.iterations).unwrap_or(usize::MAX);
        scope.step(iterations.saturating_mul(2 * blocks))
    }
}

/// A key of `length` bytes.
pub(super) fn derive(
    scope: &mut Scope,
    (algorithm, purpose, length): (&'static Algorithm, Use, usize),
    password: &Password,
    cost: &Cost<'_>,
) -> Result<Vec<u8>, Fault> {
    let block = algorithm.block_len();
    cost.pay(scope, length.div_ceil(algorithm.output_len()))?;
    let mut state = [repeated(cost.salt, block), repeated(&password.wide, block)].concat();
    let mut key = Vec::new();
    while key.len() < length {
        let mut digest = digest::digest(algorithm, &[&vec![purpose as u8; block][..], &state].concat());
        for _ in 1..cost.iterations {
            digest = digest::digest(algorithm, digest.as_ref());
        }
        key.extend_from_slice(digest.as_ref());
        let summand: Vec<u8> = digest.as_ref().iter().copied().cycle().take(block).collect();
        state.chunks_mut(block).for_each(|chunk| add(chunk, &summand));
    }
    key.truncate(length);
    Ok(key)
}

/// The bytes again and again, up to a multiple of `block`.
fn repeated(bytes: &[u8], block: usize) -> Vec<u8> {
    bytes.iter().copied().cycle().take(bytes.len().next_multiple_of(block)).collect()
}

/// Adds `summand` and one.
fn add(number: &mut [u8], summand: &[u8]) {
    let mut carry = 1;
    for (byte, other) in number.iter_mut().zip(summand).rev() {
        let sum = u16::from(*byte) + u16::from(*other) + carry;
        *byte = (sum & 0xff) as u8;
        carry = sum >> 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    /// Values of the tests of other implementations (BouncyCastle, Go).
    #[test]
    fn a_key_is_that_of_other_implementations() {
        let mut scope = Scope::new(&Limits::default());
        let salt = [0xff; 8];
        let cost = Cost { salt: &salt, iterations: 2048 };
        let what = (&digest::SHA1_FOR_LEGACY_USE_ONLY, Use::Key, 24);
        let key = derive(&mut scope, what, &Password::new("sesame"), &cost).unwrap();
        let expected = "7cd9fd3e2b3be7691a44e3bef0f9ea0fb9b897d4e325d9d1";
        assert_eq!(data_encoding::HEXLOWER.encode(&key), expected);
    }
}
