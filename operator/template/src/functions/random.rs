//! Functions with a random result. The result depends on the seed of the rendering only, so that a refresh of an
//! unchanged secret does not change it.

use base64::Engine;
use base64::alphabet;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;

use super::signature::Parameter::{Int, String as Str};
use super::signature::{Function, int, text};
use crate::error::Fault;
use crate::item::Item;
use crate::scope::Scope;
use crate::text;

/// Rounds of bcrypt, as a power of two, and its price in steps.
const COST: u32 = 10;
const PRICE: usize = 200_000;
/// Longest password of bcrypt.
const PASSWORD: usize = 72;
const ALPHABET: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD);

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("randInt", &[Int, Int], integer),
    Function::new("shuffle", &[Str], shuffle),
    Function::new("bcrypt", &[Str], |scope, args| {
        let hash = bcrypt(scope, text(args, 0), b"")?;
        Ok(Item::text(hash))
    }),
    Function::new("htpasswd", &[Str, Str], |scope, args| {
        let user = text(args, 0);
        if user.contains(&b':') {
            return Err(Fault::new("the name of a user must not contain a colon"));
        }
        let hash = bcrypt(scope, text(args, 1), user)?;
        scope.string([user, b":", hash.as_bytes()].concat())
    }),
    Function::new("buildCustomCert", &[Str, Str], |_, _| Err(Fault::new("buildCustomCert is not supported"))),
];

fn integer(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let (low, high) = (int(args, 0), int(args, 1));
    let count = high.checked_sub(low).and_then(|count| u64::try_from(count).ok()).filter(|count| *count > 0);
    let count = count.ok_or(Fault::new("the second argument must be greater than the first"))?;
    Ok(Item::Int(low.wrapping_add_unsigned(below(scope, count))))
}

/// A number below `count`.
fn below(scope: &mut Scope, count: u64) -> u64 {
    let bytes = scope.random(b"number");
    let wide = bytes[..16].iter().fold(0_u128, |wide, byte| wide << 8 | u128::from(*byte));
    u64::try_from(wide % u128::from(count)).unwrap_or(0)
}

fn shuffle(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let mut chars: Vec<char> = text::runes(text(args, 0)).map(|rune| rune.char).collect();
    scope.step(chars.len() * 4)?;
    for last in (1..chars.len()).rev() {
        let other = below(scope, last as u64 + 1);
        chars.swap(last, usize::try_from(other).unwrap_or(0));
    }
    scope.string(chars.into_iter().collect::<String>())
}

fn bcrypt(scope: &mut Scope, password: &[u8], user: &[u8]) -> Result<String, Fault> {
    scope.step(PRICE)?;
    if password.len() > PASSWORD {
        return Err(Fault::new("bcrypt accepts at most 72 bytes"));
    }
    let random = scope.random(user);
    let mut salt = [0; 16];
    salt.copy_from_slice(&random[..16]);
    let mut key = password.to_vec();
    key.push(0);
    let hash = ::bcrypt::bcrypt(COST, salt, &key[..key.len().min(PASSWORD)]);
    Ok(format!("$2a${COST}${}{}", ALPHABET.encode(salt), ALPHABET.encode(&hash[..23])))
}
