//! Random numbers.

use crate::error::Error;
use aws_lc_rs::rand;

/// Source of random bytes.
pub(super) trait Random {
    /// Fills a buffer.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system provides no random numbers.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error>;
}

/// The generator of the cryptographic library.
pub(super) struct System;

impl Random for System {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        rand::fill(bytes).map_err(Error::internal)
    }
}

/// Returns a number below `count`, each with the same probability. `count` must not be 0.
pub(super) fn below(random: &mut impl Random, count: u16) -> Result<u16, Error> {
    loop {
        let mut bytes = [0; 2];
        random.fill(&mut bytes)?;
        if let Some(number) = number(u16::from_be_bytes(bytes), count.max(1)) {
            return Ok(number);
        }
    }
}

/// The number for a random word. None if the word is rejected: the accepted words are a multiple of `count`.
fn number(word: u16, count: u16) -> Option<u16> {
    let words = u32::from(u16::MAX) + 1;
    let accepted = words - words % u32::from(count);
    (u32::from(word) < accepted).then(|| word % count)
}

/// Shuffles a list: every order has the same probability.
pub(super) fn shuffle<T>(random: &mut impl Random, list: &mut [T]) -> Result<(), Error> {
    for last in (1..list.len()).rev() {
        let count = u16::try_from(last + 1).map_err(Error::internal)?;
        list.swap(last, usize::from(below(random, count)?));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_number_has_the_same_number_of_random_words(count in 1_u16..=300) {
            let mut words = vec![0_u32; usize::from(count)];
            for number in (0..=u16::MAX).filter_map(|word| number(word, count)) {
                words[usize::from(number)] += 1;
            }
            let first = words[0];
            prop_assert!(first > 0 && words.iter().all(|words| *words == first), "{words:?}");
        }
    }

    #[test]
    fn a_rejected_word_is_drawn_again() {
        struct Words(Vec<u16>);
        impl Random for Words {
            fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
                bytes.copy_from_slice(&self.0.remove(0).to_be_bytes());
                Ok(())
            }
        }
        let mut words = Words(vec![u16::MAX, 65_530, 7]);
        assert_eq!(below(&mut words, 10).unwrap(), 7);
    }
}
