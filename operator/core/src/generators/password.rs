//! Random passwords.

use crate::error::Error;
use secrecy::SecretString;
use steamer_api::PasswordGenerator;

use super::random::{Random, below, shuffle};

/// Characters of a class, and how many of them a password has at least.
struct Class {
    characters: Vec<char>,
    minimum: u16,
}

/// The classes that a password uses. A symbol that is listed twice counts once.
fn classes(spec: &PasswordGenerator) -> Vec<Class> {
    let PasswordGenerator { length: _, min_lowercase, min_uppercase, min_digits, min_symbols, symbols } =
        spec;
    let mut symbols: Vec<char> = symbols.chars().collect();
    symbols.sort_unstable();
    symbols.dedup();
    let all = [
        Class { characters: ('a'..='z').collect(), minimum: *min_lowercase },
        Class { characters: ('A'..='Z').collect(), minimum: *min_uppercase },
        Class { characters: ('0'..='9').collect(), minimum: *min_digits },
        Class { characters: symbols, minimum: *min_symbols },
    ];
    all.into_iter().filter(|class| class.minimum > 0 && !class.characters.is_empty()).collect()
}

/// Generates a password: the minimum of each class, the rest from all classes, in random order.
///
/// # Errors
/// [`Error::Invalid`] for minimums that exceed the length or are all 0.
pub(super) fn generated(spec: &PasswordGenerator, random: &mut impl Random) -> Result<SecretString, Error> {
    let classes = classes(spec);
    let all: Vec<char> = classes.iter().flat_map(|class| class.characters.iter().copied()).collect();
    let length = usize::from(spec.length);
    let required: usize = classes.iter().map(|class| usize::from(class.minimum)).sum();
    if all.is_empty() || required > length {
        let text =
            "the minimums of a password must not all be 0 and must not exceed its length: correct them";
        return Err(Error::Invalid(text.to_owned()));
    }
    let mut password = Vec::with_capacity(length);
    for class in &classes {
        for _ in 0..class.minimum {
            password.push(chosen(&class.characters, random)?);
        }
    }
    while password.len() < length {
        password.push(chosen(&all, random)?);
    }
    shuffle(random, &mut password)?;
    Ok(password.into_iter().collect::<String>().into())
}

fn chosen(characters: &[char], random: &mut impl Random) -> Result<char, Error> {
    let count = u16::try_from(characters.len()).map_err(Error::internal)?;
    Ok(characters[usize::from(below(random, count)?)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::super::random::System;
    use super::*;

    fn count(text: &str, chosen: impl Fn(char) -> bool) -> u16 {
        u16::try_from(text.chars().filter(|character| chosen(*character)).count()).unwrap()
    }

    proptest! {
        #[test]
        fn a_password_has_its_length_and_the_minimum_of_each_class(
            length in 8_u16..=256, min in prop::array::uniform4(0_u16..=10), symbols in "[-._~!#]{1,8}",
        ) {
            let [min_lowercase, min_uppercase, min_digits, min_symbols] = min;
            let spec = PasswordGenerator { length, min_lowercase, min_uppercase, min_digits, min_symbols, symbols };
            let password = generated(&spec, &mut System);
            let sum: u16 = min.iter().sum();
            if sum == 0 || sum > length {
                prop_assert!(password.is_err());
                return Ok(());
            }
            let password = password.unwrap();
            let text = password.expose_secret();
            let found = [
                count(text, |it| it.is_ascii_lowercase()), count(text, |it| it.is_ascii_uppercase()),
                count(text, |it| it.is_ascii_digit()), count(text, |it| spec.symbols.contains(it)),
            ];
            prop_assert_eq!(found.iter().sum::<u16>(), length);
            for (found, min) in found.iter().zip(min) {
                prop_assert!(*found >= min && (min > 0 || *found == 0), "{found} of at least {min}");
            }
        }
    }

    #[test]
    fn two_passwords_differ() {
        let spec = PasswordGenerator::default();
        let [one, two] = [(); 2].map(|()| generated(&spec, &mut System).unwrap());
        assert_ne!(one.expose_secret(), two.expose_secret());
    }
}
