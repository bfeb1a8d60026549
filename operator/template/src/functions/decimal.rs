//! Arithmetic of decimal fractions, so that 0.1 and 0.2 add up to 0.3.

use num_bigint::BigInt;

use super::convert::to_float;
use super::signature::any;
use crate::error::Fault;
use crate::item::Item;
use crate::scope::Scope;

/// Digits after the point of a quotient.
const PRECISION: i64 = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// `digits` times ten to the power of `exponent`.
#[derive(Clone)]
struct Decimal {
    digits: BigInt,
    exponent: i64,
}

impl Decimal {
    fn new(float: f64) -> Option<Self> {
        let text = float.is_finite().then(|| format!("{float:e}"))?;
        let (mantissa, exponent) = text.split_once('e')?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}").parse().ok()?;
        Some(Self { digits, exponent: exponent.parse::<i64>().ok()? - i64::try_from(fraction.len()).ok()? })
    }

    fn float(&self) -> f64 {
        format!("{}e{}", self.digits, self.exponent).parse().unwrap_or(f64::NAN)
    }

    /// The digits for a smaller exponent.
    fn at(&self, exponent: i64) -> BigInt {
        &self.digits * power(self.exponent - exponent)
    }

    fn apply(&self, operation: Operation, other: &Self) -> Result<Self, Fault> {
        let exponent = self.exponent.min(other.exponent);
        match operation {
            Operation::Add => Ok(Self { digits: self.at(exponent) + other.at(exponent), exponent }),
            Operation::Subtract => Ok(Self { digits: self.at(exponent) - other.at(exponent), exponent }),
            Operation::Multiply => {
                Ok(Self { digits: &self.digits * &other.digits, exponent: self.exponent + other.exponent })
            }
            Operation::Divide => self.divide(other),
        }
    }

    /// The quotient, rounded half away from zero.
    fn divide(&self, other: &Self) -> Result<Self, Fault> {
        let zero = BigInt::from(0);
        if other.digits == zero {
            return Err(Fault::new("division by zero"));
        }
        let shift = self.exponent - other.exponent + PRECISION;
        let (left, right) = (&self.digits * power(shift), &other.digits * power(-shift));
        let (quotient, remainder) = (&left / &right, &left % &right);
        let twice = remainder.magnitude() * 2_u32;
        let sign = if (left < zero) == (right < zero) { 1 } else { -1 };
        let digits = if &twice >= right.magnitude() { quotient + sign } else { quotient };
        Ok(Self { digits, exponent: -PRECISION })
    }
}

/// Ten to the power of `exponent`, or one if that is negative.
fn power(exponent: i64) -> BigInt {
    BigInt::from(10).pow(u32::try_from(exponent.max(0)).unwrap_or(u32::MAX))
}

/// Applies an operation from the first argument to the last.
pub(super) fn fold(scope: &mut Scope, operation: Operation, args: &[Item]) -> Result<Item, Fault> {
    let no_decimal = || Fault::new("no arithmetic with NaN or infinity");
    let mut result = Decimal::new(to_float(any(args, 0))).ok_or_else(no_decimal)?;
    for arg in &args[1.min(args.len())..] {
        scope.step(10 + usize::try_from(result.digits.bits()).unwrap_or(usize::MAX) / 8)?;
        scope.step(usize::try_from(result.exponent.unsigned_abs()).unwrap_or(usize::MAX))?;
        let other = Decimal::new(to_float(arg)).ok_or_else(no_decimal)?;
        result = result.apply(operation, &other)?;
    }
    Ok(Item::Float(result.float()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::Limits;

    #[test]
    fn fractions_are_exact() {
        let mut scope = Scope::new(&Limits::default());
        let sum = fold(&mut scope, Operation::Add, &[Item::Float(0.1), Item::Float(0.2)]).unwrap();
        assert_eq!(to_float(&sum), 0.3);
        let quotient = fold(&mut scope, Operation::Divide, &[Item::Int(-2), Item::Int(3)]).unwrap();
        assert_eq!(to_float(&quotient), -0.6666666666666667);
        assert!(fold(&mut scope, Operation::Divide, &[Item::Int(1), Item::Int(0)]).is_err());
    }
}
