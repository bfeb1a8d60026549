//! Floating-point numbers, as Go's `strconv.FormatFloat` writes them.

/// Significant digits without trailing zeros, and the position of the point in them.
struct Digits {
    digits: Vec<u8>,
    point: i32,
}

impl Digits {
    /// The shortest digits that identify `value`, or a number of rounded digits.
    fn new(value: f64, count: Option<usize>) -> Self {
        let text = match count {
            Some(count) => format!("{:.*e}", count.max(1) - 1, value.abs()),
            None => format!("{:e}", value.abs()),
        };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let mut digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
        while digits.len() > 1 && digits.ends_with(b"0") {
            digits.pop();
        }
        let zero = digits == b"0";
        let point = if zero { 1 } else { exponent.parse::<i32>().unwrap_or(0) + 1 };
        Self { digits, point }
    }

    /// `count` digits after the point.
    fn fixed(&self, count: usize) -> String {
        let digit = |index: i32| {
            let known = usize::try_from(index).ok().and_then(|index| self.digits.get(index));
            char::from(known.copied().unwrap_or(b'0'))
        };
        let mut text: String =
            (0..self.point.max(1)).map(|index| digit(index + self.point.min(1) - 1)).collect();
        if count > 0 {
            text.push('.');
            let count = i32::try_from(count).unwrap_or(i32::MAX);
            text.extend((0..count).map(|index| digit(self.point + index)));
        }
        text
    }

    /// `count` digits after the point, and an exponent.
    fn exponent(&self, count: usize, mark: char) -> String {
        let digit = |index: usize| char::from(self.digits.get(index).copied().unwrap_or(b'0'));
        let mut text = digit(0).to_string();
        if count > 0 {
            text.push('.');
            text.extend((1..=count).map(digit));
        }
        let exponent = if self.digits == b"0" { 0 } else { self.point - 1 };
        text + &with_exponent(exponent, mark)
    }
}

fn with_exponent(exponent: i32, mark: char) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mark}{sign}{:02}", exponent.unsigned_abs())
}

/// Go's `strconv.FormatFloat`: verb `e`, `E`, `f`, `g`, `G`, `b`, `x` or `X`. Without a precision, the shortest text.
pub(crate) fn format(value: f64, verb: char, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_infinite() {
        return if sign.is_empty() { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    let text = match verb {
        'e' | 'E' => exponent(value, verb, precision),
        'f' => fixed(value, precision),
        'b' => binary(value),
        'x' | 'X' => hex(value, verb, precision),
        _ => general(value, verb, precision),
    };
    format!("{sign}{text}")
}

fn exponent(value: f64, mark: char, precision: Option<usize>) -> String {
    let digits = Digits::new(value, precision.map(|count| count + 1));
    digits.exponent(precision.unwrap_or(digits.digits.len() - 1), mark)
}

fn fixed(value: f64, precision: Option<usize>) -> String {
    if let Some(count) = precision {
        return format!("{:.count$}", value.abs());
    }
    let digits = Digits::new(value, None);
    let after = i32::try_from(digits.digits.len()).unwrap_or(0) - digits.point;
    digits.fixed(usize::try_from(after).unwrap_or(0))
}

fn general(value: f64, verb: char, precision: Option<usize>) -> String {
    let digits = Digits::new(value, precision);
    let count = i32::try_from(digits.digits.len()).unwrap_or(0);
    let wanted = precision.map(|wanted| i32::try_from(wanted.max(1)).unwrap_or(i32::MAX));
    let limit = match wanted {
        Some(wanted) if wanted > count && count >= digits.point => count,
        Some(wanted) => wanted,
        None => 6,
    };
    let exponent = digits.point - 1;
    if exponent < -4 || exponent >= limit {
        let shown = wanted.map_or(count, |wanted| wanted.min(count));
        let mark = if verb == 'G' { 'E' } else { 'e' };
        return digits.exponent(usize::try_from(shown - 1).unwrap_or(0), mark);
    }
    digits.fixed(usize::try_from(count - digits.point).unwrap_or(0))
}

/// Mantissa and exponent of base 2.
fn parts(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let exponent = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
    let mantissa = bits & ((1 << 52) - 1);
    if exponent == 0 { (mantissa, -1074) } else { (mantissa | 1 << 52, exponent - 1075) }
}

fn binary(value: f64) -> String {
    let (mantissa, exponent) = parts(value);
    format!("{mantissa}p{exponent:+}")
}

fn hex(value: f64, verb: char, precision: Option<usize>) -> String {
    let (mut mantissa, mut exponent) = parts(value);
    exponent += 52;
    if mantissa == 0 {
        exponent = 0;
    }
    while mantissa != 0 && mantissa >> 52 == 0 {
        mantissa <<= 1;
        exponent -= 1;
    }
    if let Some(digits) = precision.filter(|digits| *digits < 13) {
        let shift = 52 - 4 * digits;
        let (kept, rest) = (mantissa >> shift, mantissa & ((1 << shift) - 1));
        let half = 1_u64 << (shift - 1);
        let up = rest > half || (rest == half && kept & 1 == 1);
        mantissa = (kept + u64::from(up)) << shift;
        if mantissa >> 53 == 1 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let fraction = format!("{:013x}", mantissa & ((1 << 52) - 1));
    let fraction = match precision {
        Some(digits) => format!("{fraction:0<digits$}")[..digits].to_owned(),
        None => fraction.trim_end_matches('0').to_owned(),
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let text = format!("0x{}{point}{fraction}{}", mantissa >> 52, with_exponent(exponent, 'p'));
    if verb == 'X' { text.to_uppercase() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(1.5, 'g', None, "1.5")]
    #[case(0.000001, 'g', None, "1e-06")]
    #[case(100000.0, 'g', None, "100000")]
    #[case(0.0, 'g', None, "0")]
    #[case(-0.5, 'f', Some(3), "-0.500")]
    #[case(12345.678, 'e', Some(3), "1.235e+04")]
    #[case(0.00012, 'f', None, "0.00012")]
    #[case(0.0, 'e', Some(2), "0.00e+00")]
    fn floats_have_the_text_of_go(
        #[case] value: f64,
        #[case] verb: char,
        #[case] precision: Option<usize>,
        #[case] expected: &str,
    ) {
        assert_eq!(format(value, verb, precision), expected);
    }
}
