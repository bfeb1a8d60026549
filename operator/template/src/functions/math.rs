//! Numbers.

use super::convert::{to_float, to_int};
use super::decimal::{self, Operation};
use super::signature::Parameter::{Any, Float, Int};
use super::signature::{Function, any, int, rest};
use crate::error::Fault;
use crate::item::{Element, Item};
use crate::scope::Scope;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("add1", &[Any], |_, args| Ok(Item::Int64(to_int(any(args, 0)).wrapping_add(1)))),
    Function::new("add", &[], |_, args| Ok(Item::Int64(fold(0, args, i64::wrapping_add)))).with(Any),
    Function::new("sub", &[Any, Any], |_, args| Ok(Item::Int64(fold_first(args, i64::wrapping_sub)))),
    Function::new("mul", &[Any], |_, args| Ok(Item::Int64(fold_first(args, i64::wrapping_mul)))).with(Any),
    Function::new("div", &[Any, Any], |_, args| divide(args, i64::wrapping_div)),
    Function::new("mod", &[Any, Any], |_, args| divide(args, i64::wrapping_rem)),
    Function::new("max", &[Any], |_, args| Ok(Item::Int64(fold_first(args, i64::max)))).with(Any),
    Function::new("biggest", &[Any], |_, args| Ok(Item::Int64(fold_first(args, i64::max)))).with(Any),
    Function::new("min", &[Any], |_, args| Ok(Item::Int64(fold_first(args, i64::min)))).with(Any),
    Function::new("maxf", &[Any], |_, args| Ok(Item::Float(fold_floats(args, larger)))).with(Any),
    Function::new("minf", &[Any], |_, args| Ok(Item::Float(fold_floats(args, smaller)))).with(Any),
    Function::new("add1f", &[Any], |scope, args| {
        decimal::fold(scope, Operation::Add, &[any(args, 0).clone(), Item::Int(1)])
    }),
    Function::new("addf", &[], |scope, args| {
        let all: Vec<Item> = std::iter::once(Item::Int(0)).chain(args.iter().cloned()).collect();
        decimal::fold(scope, Operation::Add, &all)
    })
    .with(Any),
    Function::new("subf", &[Any], |scope, args| decimal::fold(scope, Operation::Subtract, args)).with(Any),
    Function::new("mulf", &[Any], |scope, args| decimal::fold(scope, Operation::Multiply, args)).with(Any),
    Function::new("divf", &[Any], |scope, args| decimal::fold(scope, Operation::Divide, args)).with(Any),
    Function::new("floor", &[Any], |_, args| Ok(Item::Float(to_float(any(args, 0)).floor()))),
    Function::new("ceil", &[Any], |_, args| Ok(Item::Float(to_float(any(args, 0)).ceil()))),
    Function::new("round", &[Any, Int], |_, args| Ok(Item::Float(round(args)))).with(Float),
    Function::new("until", &[Int], |scope, args| {
        let count = int(args, 0);
        integers(scope, (0, count, if count < 0 { -1 } else { 1 }))
    }),
    Function::new("untilStep", &[Int, Int, Int], |scope, args| {
        integers(scope, (int(args, 0), int(args, 1), int(args, 2)))
    }),
    Function::new("seq", &[], sequence).with(Int),
];

fn fold(start: i64, items: &[Item], operation: fn(i64, i64) -> i64) -> i64 {
    items.iter().map(to_int).fold(start, operation)
}

fn fold_first(items: &[Item], operation: fn(i64, i64) -> i64) -> i64 {
    fold(to_int(any(items, 0)), rest(items, 1), operation)
}

fn divide(args: &[Item], operation: fn(i64, i64) -> i64) -> Result<Item, Fault> {
    match to_int(any(args, 1)) {
        0 => Err(Fault::new("division by zero")),
        divisor => Ok(Item::Int64(operation(to_int(any(args, 0)), divisor))),
    }
}

fn fold_floats(items: &[Item], operation: fn(f64, f64) -> f64) -> f64 {
    rest(items, 1).iter().map(to_float).fold(to_float(any(items, 0)), operation)
}

/// Go's `math.Max`: NaN wins, unless the other is infinite.
fn larger(left: f64, right: f64) -> f64 {
    match (left.is_nan() || right.is_nan(), left == f64::INFINITY || right == f64::INFINITY) {
        (_, true) => f64::INFINITY,
        (true, _) => f64::NAN,
        _ => left.max(right),
    }
}

fn smaller(left: f64, right: f64) -> f64 {
    -larger(-left, -right)
}

fn round(args: &[Item]) -> f64 {
    let threshold = rest(args, 2).first().map_or(0.5, to_float);
    let scale = power_of_ten(int(args, 1));
    let scaled = scale * to_float(any(args, 0));
    let rounded = if scaled.fract() >= threshold { scaled.ceil() } else { scaled.floor() };
    rounded / scale
}

/// The float that is nearest to a power of ten.
fn power_of_ten(exponent: i64) -> f64 {
    format!("1e{}", exponent.clamp(-400, 400)).parse().unwrap_or(f64::NAN)
}

/// Numbers from a start to a stop by a step.
fn range(scope: &mut Scope, bounds: (i64, i64, i64)) -> Result<Vec<i64>, Fault> {
    let (start, stop, step) = bounds;
    let forward = stop >= start;
    if step == 0 || (step > 0) != forward {
        return Ok(Vec::new());
    }
    let count = start.abs_diff(stop).div_ceil(step.unsigned_abs());
    scope.allocate_many(usize::try_from(count).unwrap_or(usize::MAX), size_of::<Item>())?;
    let mut numbers = Vec::new();
    let mut next = Some(start);
    for _ in 0..count {
        numbers.extend(next);
        next = next.and_then(|number| number.checked_add(step));
    }
    Ok(numbers)
}

fn integers(scope: &mut Scope, bounds: (i64, i64, i64)) -> Result<Item, Fault> {
    let items = range(scope, bounds)?.into_iter().map(Item::Int).collect();
    scope.list(Element::Int, items)
}

fn sequence(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let (start, end) = match args.len() {
        1 => (1, int(args, 0)),
        2 => (int(args, 0), int(args, 1)),
        3 => (int(args, 0), int(args, 2)),
        _ => return Ok(Item::text("")),
    };
    let direction = if end < start { -1 } else { 1 };
    let step = if args.len() == 3 { int(args, 1) } else { direction };
    if end < start && step > 0 {
        return Ok(Item::text(""));
    }
    let numbers = range(scope, (start, end.saturating_add(direction), step))?;
    let texts: Vec<String> = numbers.iter().map(i64::to_string).collect();
    scope.string(texts.join(" "))
}
