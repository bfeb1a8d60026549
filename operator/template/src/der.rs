//! DER: the elements of keys, certificates and keystores.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: &[u8] = &[0x05, 0];
pub(crate) const OID: u8 = 0x06;
pub(crate) const BMP_STRING: u8 = 0x1e;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// Primitive `[0]`.
pub(crate) const IMPLICIT_0: u8 = 0x80;
/// Constructed `[0]`.
pub(crate) const EXPLICIT_0: u8 = 0xa0;
/// Constructed `[1]`.
pub(crate) const EXPLICIT_1: u8 = 0xa1;

/// An element.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
}

/// Elements in their order. Elements of indefinite length (BER) are not read.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tag of the next element.
    pub(crate) fn tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element.
    pub(crate) fn element(&mut self) -> Option<Element<'a>> {
        let (tag, rest) = self.0.split_first()?;
        let (length, rest) = length(rest)?;
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Element { tag: *tag, content })
    }

    /// Content of the next element, if it has this tag.
    pub(crate) fn content(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.element().filter(|element| element.tag == tag).map(|element| element.content)
    }

    /// Elements within the next element, if it has this tag.
    pub(crate) fn inside(&mut self, tag: u8) -> Option<Self> {
        self.content(tag).map(Self)
    }

    /// The next element, if it is a number of at most 31 bits.
    pub(crate) fn number(&mut self) -> Option<u32> {
        let bytes =
            self.content(INTEGER).filter(|bytes| (1..=4).contains(&bytes.len()) && bytes[0] < 0x80)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        return Some((usize::from(*first), rest));
    }
    let count = usize::from(first & 0x7f);
    let (digits, rest) = rest.split_at_checked(count).filter(|_| (1..=4).contains(&count))?;
    let length = digits.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    Some((usize::try_from(length).ok()?, rest))
}

/// An element that contains `parts`.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = vec![tag];
    match significant(&length.to_be_bytes()) {
        [] => bytes.push(0),
        [short] if *short < 0x80 => bytes.push(*short),
        // A usize has at most 8 bytes.
        long => {
            bytes.push(0x80 | long.len() as u8);
            bytes.extend_from_slice(long);
        }
    }
    bytes.extend(parts.concat());
    bytes
}

pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, parts)
}

pub(crate) fn oid(encoded: &[u8]) -> Vec<u8> {
    element(OID, &[encoded])
}

pub(crate) fn octets(bytes: &[u8]) -> Vec<u8> {
    element(OCTET_STRING, &[bytes])
}

/// A string of whole bytes.
pub(crate) fn bits(bytes: &[u8]) -> Vec<u8> {
    element(BIT_STRING, &[&[0], bytes])
}

/// A number without its leading zeros.
pub(crate) fn significant(big_endian: &[u8]) -> &[u8] {
    &big_endian[big_endian.iter().take_while(|byte| **byte == 0).count()..]
}

/// A number that is not negative.
pub(crate) fn integer(big_endian: &[u8]) -> Vec<u8> {
    match significant(big_endian) {
        [] => element(INTEGER, &[&[0]]),
        digits @ [high, ..] if *high >= 0x80 => element(INTEGER, &[&[0], digits]),
        digits => element(INTEGER, &[digits]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_and_lengths_have_their_shortest_form() {
        assert_eq!(integer(&[]), [2, 1, 0]);
        assert_eq!(integer(&[0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(octets(&[7; 127])[..2], [4, 127]);
        assert_eq!(octets(&[7; 128])[..3], [4, 0x81, 128]);
        assert_eq!(octets(&[7; 256])[..4], [4, 0x82, 1, 0]);
    }

    #[test]
    fn an_element_that_is_cut_off_or_has_no_length_is_not_read() {
        for bytes in [
            &[4][..],
            &[4, 2, 1],
            &[4, 0x80, 0, 0],
            &[4, 0x85, 0, 0, 0, 0, 0],
            &[4, 0x84, 255, 255, 255, 255],
        ] {
            assert!(Reader::new(bytes).element().is_none(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn an_element_is_read_as_it_was_written(tag in any::<u8>(), content in proptest::collection::vec(any::<u8>(), 0..400)) {
            let bytes = element(tag, &[&content]);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.content(tag), Some(&content[..]));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut reader = Reader::new(&bytes);
            while reader.number().is_some() || reader.element().is_some() {}
        }
    }
}
