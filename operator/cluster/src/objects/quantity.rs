//! Canonical form of resource quantities. The API server stores it, so another form would differ at every reconcile.

/// Powers of 1024.
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// Powers of 1000, the first of which is 10^-9.
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
/// Index of 10^0 in [`DECIMAL`].
const ONE: usize = 3;
/// Nanounits in a unit.
const NANO: i128 = 1_000_000_000;

/// Notation of a quantity.
#[derive(Clone, Copy)]
enum Notation {
    Binary,
    Decimal,
    /// With an exponent of 10 instead of a suffix.
    Exponent,
}

/// The canonical form: an integer without trailing zeros, with the largest possible suffix. A text that is no quantity,
/// or that cannot be represented exactly, is returned unchanged.
pub(crate) fn canonical(text: &str) -> String {
    parse(text).and_then(|(nanos, notation)| written(nanos, notation)).unwrap_or_else(|| text.to_owned())
}

/// Value in nanounits, and notation.
fn parse(text: &str) -> Option<(i128, Notation)> {
    let end = text.find(|letter: char| !matches!(letter, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    if let Some(power) = BINARY.iter().skip(1).position(|known| *known == suffix) {
        let factor = 1024_i128.checked_pow(u32::try_from(power).ok()? + 1)?;
        return Some((nanos(number)?.checked_mul(factor)?, Notation::Binary));
    }
    if let Some(power) = DECIMAL.iter().position(|known| *known == suffix) {
        let exponent = 3 * (i32::try_from(power).ok()? - i32::try_from(ONE).ok()?);
        return Some((scaled(nanos(number)?, exponent)?, Notation::Decimal));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((scaled(nanos(number)?, exponent)?, Notation::Exponent))
}

/// A decimal number in nanounits.
fn nanos(number: &str) -> Option<i128> {
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let value: i128 = all.parse().ok()?;
    scaled(negative * value.checked_mul(NANO)?, -i32::try_from(fraction.len()).ok()?)
}

/// Multiplies with a power of 10. None if the result is not an integer.
fn scaled(value: i128, exponent: i32) -> Option<i128> {
    let factor = 10_i128.checked_pow(exponent.unsigned_abs())?;
    if exponent < 0 { (value % factor == 0).then_some(value / factor) } else { value.checked_mul(factor) }
}

fn written(nanos: i128, notation: Notation) -> Option<String> {
    if nanos == 0 {
        return Some("0".to_owned());
    }
    match notation {
        // As in the API server: below 1024, binary suffixes are not used.
        Notation::Binary if nanos.abs() >= 1024 * NANO => {
            let (value, power) = reduced((nanos % NANO == 0).then_some(nanos / NANO)?, 1024);
            Some(format!("{value}{}", BINARY.get(power)?))
        }
        Notation::Binary | Notation::Decimal => {
            let (value, power) = reduced(nanos, 1000);
            Some(format!("{value}{}", DECIMAL.get(power)?))
        }
        Notation::Exponent => {
            let (value, power) = reduced(nanos, 1000);
            let exponent = 3 * (i32::try_from(power).ok()? - i32::try_from(ONE).ok()?);
            Some(if exponent == 0 { value.to_string() } else { format!("{value}e{exponent}") })
        }
    }
}

/// Divides by a base as often as possible without a remainder. Returns the result and the number of divisions.
fn reduced(mut value: i128, base: i128) -> (i128, usize) {
    let mut power = 0;
    while value % base == 0 {
        value /= base;
        power += 1;
    }
    (value, power)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1000m", "1")]
    #[case("1500m", "1500m")]
    #[case("0.5", "500m")]
    #[case("2", "2")]
    #[case("2.0", "2")]
    #[case("1000", "1k")]
    #[case("100000k", "100M")]
    #[case("-1000m", "-1")]
    #[case("+1", "1")]
    #[case(".5", "500m")]
    #[case("1024Mi", "1Gi")]
    #[case("1000Mi", "1000Mi")]
    #[case("1.5Gi", "1536Mi")]
    #[case("0.5Ki", "512")]
    #[case("1048576", "1048576")]
    #[case("1e3", "1e3")]
    #[case("10000e0", "10e3")]
    #[case("1E", "1E")]
    #[case("0Gi", "0")]
    fn a_quantity_has_the_form_that_the_api_server_stores(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(canonical(text), expected);
        assert_eq!(canonical(expected), expected);
    }

    #[rstest]
    #[case("")]
    #[case("much")]
    #[case("1 Gi")]
    #[case("1gi")]
    #[case("1e")]
    #[case("1e99")]
    #[case("0.0000000001")]
    #[case("1-2")]
    fn another_text_is_not_changed(#[case] text: &str) {
        assert_eq!(canonical(text), text);
    }
}
