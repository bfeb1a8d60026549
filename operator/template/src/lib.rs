//! Go's `text/template` for secrets, with the functions of sprig that Vault Secrets Operator offers, and those of External Secrets
//! Operator and Helm for YAML, TOML, certificates, keys and keystores.
//!
//! ```
//! use steamer_template::{Limits, Template, decode};
//!
//! let template = Template::parse("url", "postgres://{{ .user }}:{{ .password | urlquery }}@db/app")?;
//! let data = decode(br#"{"user": "app", "password": "a/b"}"#).unwrap_or(steamer_template::Value::Null);
//! assert_eq!(template.render(&data, &Limits::default())?, "postgres://app:a%2Fb@db/app");
//! # Ok::<(), steamer_template::Error>(())
//! ```
//!
//! Values have the types of Go. A number of a secret is a `json.Number` with its original text, as in Vault's client:
//! `{{ .port }}` prints it unchanged, `{{ add .port 1 }}` converts it, and `{{ upper .port }}` is an error. An absent key
//! prints `<no value>`. A string can contain any bytes, so that `b64dec` of a keystore works with
//! [`Template::render_bytes`].
//!
//! # Limits
//!
//! [`Limits`] bounds the steps, the memory and the result of a rendering. A template has at most 1 MiB of text and 60
//! nested blocks or parentheses; a rendering has at most 150 nested templates, blocks and parentheses, and values have at
//! most 100 levels. An [`Error`] names the template, the position and the action, and contains no data.
//!
//! # Differences from Go
//!
//! `golden.jsonl` contains the results of Go for thousands of templates, and a test compares all of them.
//!
//! | Template | Here | Reason |
//! |---|---|---|
//! | `b64dec`, `b32dec` of invalid text | error | Go returns the error as text, which becomes the secret |
//! | `htpasswd` with `:` in the name | error | as above, and the text contains the name |
//! | `keys`, `values` | sorted by key | the order of Go is random, so that the secret would change with every refresh |
//! | `randInt`, `shuffle`, `bcrypt`, `htpasswd` | depend on [`Limits::seed`] | as above |
//! | `ago`, and `durationRound` of a time | error | as above |
//! | `buildCustomCert` | error | it only checks a certificate and its key, and returns a Go structure |
//! | `slice` beyond the end of a list | error | the result of Go depends on the capacity of the list |
//! | `chunk` with a negative size | error | Go returns an empty list for some sizes, and fails for others |
//! | `fail` | error without its message | the message can contain data |
//! | `fromJson` of a number above 1.8e308 | nil | Go returns the part that it decoded before |
//! | `fromYaml` of text that is no mapping | error | the original function returns a dict with the error as text, which can contain data |
//! | `toYaml` of NaN | error | the original function returns an empty text |
//! | `fromToml` of text that is not TOML | error with the position | Helm returns a dict with the error as text, which can contain data |
//! | `fromToml` of a document that extends a defined or inline table, or contains a key or list twice | error | TOML forbids it, and Helm does not notice it |
//! | `fromToml` of a date or time | a string, as RFC 3339 writes it | Helm adds a time and the zone of the machine |
//! | `fromToml` with `[[a]]` | `typeOf` of the list is `[]interface {}` | `range`, `index` and `toJson` are the same |
//! | `fromToml`, `toToml` | at most 60 levels in a document that is read, 100 in one that is written | a bound of the memory |
//! | `toToml` of nil, or of a list that contains nil | error | Helm returns the error as text |
//! | `toToml` of a dict with nil in a list of mixed values | without nil | Helm writes a document that is not TOML |
//! | `toYaml` | keys in the order of their bytes, long lines are not folded, numbers keep their text | the value is the same |
//! | `pemToPkcs12` and similar | salts depend on [`Limits::seed`] | a refresh would change the secret |
//! | complex numbers | error | secrets have none |
//! | a regular expression with two groups of one name | error | the `regex` crate refuses it |
//! | text that is not UTF-8 in `.` of a regular expression, `snakecase`, `kebabcase` | may differ | Go replaces the bytes |
//! | methods of versions and times | `Major`, `Minor`, `Patch`, `Prerelease`, `Metadata`, `Original`, `String`; `Year`, `Day`, `Hour`, `Minute`, `Second`, `Unix`, `String` | others take or return Go structures |
//! | `mustToDate` | without time zone names and fractions of a second | the result depends on the zone of the machine |
//! | `printf` with `%p` or `%#v` of versions and times | Go's `%v` | memory addresses and Go structures |

mod constraint;
mod der;
mod error;
mod execution;
mod expression;
mod format;
mod functions;
mod item;
mod json;
mod jwk;
mod link;
mod moment;
mod pattern;
mod pem;
mod pkcs12;
mod scope;
mod syntax;
mod template;
mod text;
mod toml;
mod value;
mod version;
mod yaml;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod openssl;
#[cfg(test)]
mod safety;

pub use error::Error;
pub use expression::{Expression, Patterns, Unusable};
pub use scope::Limits;
pub use template::{Template, Templates};
pub use value::Value;

/// The value of a JSON document, with the text of its numbers. `None` if the document is invalid.
#[must_use]
pub fn decode(document: &[u8]) -> Option<Value> {
    json::decoder::decode(document)
}

/// The texts of a YAML mapping. Numbers and other plain values are texts as they are written. `None` if the document is no
/// mapping, contains a list or mapping as a value, or contains a key twice.
#[must_use]
pub fn texts(document: &[u8]) -> Option<std::collections::BTreeMap<String, String>> {
    yaml::texts(document)
}

/// Names of all functions, sorted.
#[must_use]
pub fn functions() -> Vec<&'static str> {
    functions::names()
}
