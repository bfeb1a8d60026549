//! Generators of External Secrets Operator.

use serde_json::{Map, Value, json};

use crate::inventory::Inventory;
use crate::origin::Origin;

/// A generator of Steamer for a generator of External Secrets Operator.
pub(super) struct Generated {
    /// Key of the value among those that the generator of External Secrets Operator makes.
    key: &'static str,
    /// Key of the public part, which Steamer writes to the property with the suffix `.pub`.
    public: Option<&'static str>,
    /// Generator of Steamer.
    generate: Value,
    /// The generator of External Secrets Operator.
    pub(super) origin: Origin,
}

impl Generated {
    /// The item that generates what the items of a PushSecret push. `None` if they push other keys, or to other places.
    pub(super) fn item(&self, data: &[Value]) -> Option<Map<String, Value>> {
        let (values, others): (Vec<&Value>, Vec<&Value>) =
            data.iter().partition(|item| item["key"] == self.key);
        let [value] = values[..] else { return None };
        let mut item = value.as_object().filter(|_| value["type"] == "kv-v2")?.clone();
        let property = item.get("property")?.as_str()?;
        let public = self.public.map(|key| public(value, key, property));
        others.iter().all(|other| Some(*other) == public.as_ref()).then_some(())?;
        item.remove("key");
        item.insert("generate".to_owned(), self.generate.clone());
        Some(item)
    }

    /// Returns true if Steamer writes a public part that the items do not push.
    pub(super) fn adds_public_part(&self, data: &[Value]) -> bool {
        self.public.is_some_and(|key| data.iter().all(|item| item["key"] != key))
    }
}

/// The item that pushes the public part of a value as Steamer writes it.
fn public(value: &Value, key: &str, property: &str) -> Value {
    let mut item = value.clone();
    item["key"] = json!(key);
    item["property"] = json!(format!("{property}.pub"));
    item
}

/// Symbols of a password by default.
const SYMBOLS: &str = "~!@#$%^&*()_+`-={}|[]\\:\"<>?,./";

/// The generator at a reference. `None` if it has no counterpart, or is not part of the input.
pub(super) fn converted(inventory: &Inventory, namespace: &str, reference: &Value) -> Option<Generated> {
    let (kind, name) = (reference["kind"].as_str()?, reference["name"].as_str()?);
    let settings = || inventory.generator(kind, namespace, name);
    let (key, public, generate) = match kind {
        "UUID" => ("uuid", None, json!({"uuid": {}})),
        "Password" => ("password", None, json!({"password": password(settings()?)?})),
        "SSHKey" => ("privateKey", Some("publicKey"), json!({"sshKey": ssh_key(settings()?)?})),
        _ => return None,
    };
    let namespace = Some(namespace).filter(|namespace| !namespace.is_empty()).map(str::to_owned);
    let origin = Origin { kind: kind.to_owned(), namespace, name: name.to_owned() };
    Some(Generated { key, public, generate, origin })
}

/// An Ed25519 key. External Secrets Operator ignores its size.
fn ssh_key(settings: &Map<String, Value>) -> Option<Value> {
    let comment = settings.get("comment").map_or(Some(""), Value::as_str)?;
    let is_comment = comment.len() <= 128 && comment.bytes().all(|it| (b' '..=b'~').contains(&it));
    let is_converted = settings.get("keyType")? == "ed25519" && is_comment;
    is_converted.then(|| if comment.is_empty() { json!({}) } else { json!({"comment": comment}) })
}

/// A password with at least as many digits and symbols.
fn password(settings: &Map<String, Value>) -> Option<Value> {
    // These change the key of the value, or the value.
    let is_plain = settings.get("encoding").is_none_or(|encoding| encoding.is_null() || encoding == "raw");
    if settings.contains_key("secretKeys") || !is_plain {
        return None;
    }
    let number = |field: &str| settings.get(field).map_or(Some(None), |value| value.as_u64().map(Some));
    let length = number("length")?.unwrap_or(24);
    let digits = number("digits")?.unwrap_or(length / 4);
    let symbols = number("symbols")?.unwrap_or(length / 4);
    let uppercase = u64::from(settings.get("noUpper").is_none_or(|value| value != true));
    let least = [digits, symbols, uppercase, 1].iter().try_fold(0_u64, |sum, it| sum.checked_add(*it))?;
    let alphabet = settings.get("symbolCharacters").and_then(Value::as_str).unwrap_or(SYMBOLS);
    let is_symbolic =
        (1..=32).contains(&alphabet.len()) && alphabet.bytes().all(|it| it.is_ascii_punctuation());
    ((8..=256).contains(&length) && least <= length && is_symbolic).then(|| {
        json!({
            "length": length, "minDigits": digits, "minSymbols": symbols, "minUppercase": uppercase, "symbols": alphabet,
        })
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::ed25519(json!({"keyType": "ed25519", "keySize": 2048}), Some(json!({})))]
    #[case::comment(json!({"keyType": "ed25519", "comment": "a@b"}), Some(json!({"comment": "a@b"})))]
    #[case::rsa(json!({"keyType": "rsa"}), None)]
    #[case::default_type(json!({}), None)]
    #[case::control_character(json!({"keyType": "ed25519", "comment": "a\nb"}), None)]
    #[case::long_comment(json!({"keyType": "ed25519", "comment": "a".repeat(129)}), None)]
    fn ssh_keys_have_the_type_of_steamer(#[case] settings: Value, #[case] expected: Option<Value>) {
        assert_eq!(ssh_key(settings.as_object().unwrap()), expected);
    }

    #[rstest]
    #[case::defaults(json!({}), Some(json!({"length": 24, "minDigits": 6, "minSymbols": 6, "minUppercase": 1, "symbols": SYMBOLS})))]
    #[case::all(
        json!({"length": 40, "digits": 5, "symbols": 0, "symbolCharacters": "-_", "noUpper": true, "allowRepeat": true}),
        Some(json!({"length": 40, "minDigits": 5, "minSymbols": 0, "minUppercase": 0, "symbols": "-_"}))
    )]
    #[case::short(json!({"length": 4}), None)]
    #[case::no_room_for_letters(json!({"length": 8, "digits": 8, "symbols": 0}), None)]
    #[case::overflow(json!({"length": 8, "digits": u64::MAX}), None)]
    #[case::another_type(json!({"length": "8"}), None)]
    #[case::encoding(json!({"encoding": "base64"}), None)]
    #[case::letters_as_symbols(json!({"symbolCharacters": "-a"}), None)]
    #[case::defaults_of_the_api_server(
        json!({"length": 24, "noUpper": false, "allowRepeat": false, "encoding": "raw"}),
        Some(json!({"length": 24, "minDigits": 6, "minSymbols": 6, "minUppercase": 1, "symbols": SYMBOLS}))
    )]
    fn passwords_have_the_same_classes(#[case] settings: Value, #[case] expected: Option<Value>) {
        assert_eq!(password(settings.as_object().unwrap()), expected);
    }
}
