//! Search in files of many megabytes, with optimized code in debug builds, too.

/// Returns true if `text` contains one of `needles`.
#[must_use]
pub fn contains_any(text: &[u8], needles: &[Vec<u8>]) -> bool {
    needles.iter().any(|needle| memchr::memmem::find(text, needle).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_needle_is_found_at_the_start_in_the_middle_and_at_the_end() {
        let needles = [b"first".to_vec(), vec![0xff, 0x00]];
        let texts: [&[u8]; 4] = [b"first x", b"xx first x", &[1, 2, 0xff, 0x00], b"firs t"];
        let found = texts.map(|text| contains_any(text, &needles));
        assert_eq!(found, [true, true, true, false]);
    }
}
