//! Secret values: they are left out, and named in the report.

use serde_json::Value;

use crate::resource::Fields;

/// Text in the place of a password that a text contains.
pub(crate) const MASK: &str = "xxxxx";

/// Names of parameters with secret values.
const NAMES: &[&str] = &[
    "access_token",
    "api_key",
    "api_token",
    "auth_token",
    "bindpass",
    "client_secret",
    "client_tls_key",
    "credentials",
    "data_json",
    "hmac_key",
    "id_token",
    "key",
    "oidc_client_secret",
    "pem_bundle",
    "pem_json",
    "private_key",
    "root_password",
    "secret_access_key",
    "secret_id",
    "secret_key",
    "service_account_json",
    "service_account_jwt",
    "tls_certificate_key",
    "tls_client_key",
    "token",
    "token_reviewer_jwt",
    "wrapping_token",
];
/// Endings of such names.
const ENDINGS: &[&str] = &["password", "_secret", "passphrase", "private_key", "_wo"];

/// Returns true if a parameter of that name has a secret value.
pub(crate) fn is_secret(name: &str) -> bool {
    NAMES.contains(&name) || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Removes secret values at any depth. Returns the paths of those that were set.
pub(crate) fn without_secrets(fields: &mut Fields) -> Vec<String> {
    let mut removed = Vec::new();
    remove(fields, "", &mut removed);
    removed
}

fn remove(fields: &mut Fields, path: &str, removed: &mut Vec<String>) {
    fields.retain(|name, value| {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if is_secret(name) {
            if !matches!(value, Value::Null) && value.as_str() != Some("") {
                removed.push(path);
            }
            return false;
        }
        remove_within(value, &path, removed);
        true
    });
}

fn remove_within(value: &mut Value, path: &str, removed: &mut Vec<String>) {
    match value {
        Value::Object(fields) => remove(fields, path, removed),
        Value::Array(items) => items.iter_mut().for_each(|item| remove_within(item, path, removed)),
        _ => {}
    }
}

/// Masks the password in each text of a value that is a connection string. Returns true if one was masked, by this
/// function or by OpenBao.
pub(crate) fn masked(value: &mut Value) -> bool {
    match value {
        Value::String(text) => {
            let (hidden, found) = without_password(text);
            *text = hidden;
            found
        }
        // Every element must be visited.
        Value::Array(items) => items.iter_mut().map(masked).fold(false, |any, found| any | found),
        Value::Object(fields) => fields.values_mut().map(masked).fold(false, |any, found| any | found),
        _ => false,
    }
}

/// The text without the password of a URL such as `postgresql://user:password@host/db`, of a data source name such as
/// `user:password@tcp(host)/db`, or of a list such as `host=a password=b`.
fn without_password(text: &str) -> (String, bool) {
    let (mut text, mut found) = without_user_password(text);
    for name in ["password=", "pwd="] {
        let (hidden, listed) = without_listed_password(&text, name);
        (text, found) = (hidden, found | listed);
    }
    (text, found)
}

fn without_user_password(text: &str) -> (String, bool) {
    let start = text.find("://").map_or(0, |at| at + 3);
    let rest = &text[start..];
    let user = rest.rfind('@').map(|at| &rest[..at]).filter(|user| is_user(user, start > 0));
    let password = user.and_then(|user| user.split_once(':')).map(|(_, password)| password);
    match password.filter(|password| !is_template(password)) {
        Some(password) => {
            let at = start + user.map_or(0, str::len) - password.len();
            (format!("{}{MASK}{}", &text[..at], &text[at + password.len()..]), true)
        }
        None => (text.to_owned(), false),
    }
}

/// Returns true if the text before an `@` names a user: in a URL, or in a text of one line without spaces.
fn is_user(user: &str, is_url: bool) -> bool {
    is_url || !user.contains(char::is_whitespace) && user.contains(':')
}

fn is_template(password: &str) -> bool {
    password.is_empty() || password.starts_with("{{") && password.ends_with("}}")
}

fn without_listed_password(text: &str, name: &str) -> (String, bool) {
    let (mut output, mut found, mut rest) = (String::new(), false, text);
    while let Some(at) = rest.to_ascii_lowercase().find(name) {
        let (before, after) = rest.split_at(at + name.len());
        let end = listed_end(after);
        output.push_str(before);
        if is_template(&after[..end]) {
            output.push_str(&after[..end]);
        } else {
            output.push_str(MASK);
            found = true;
        }
        rest = &after[end..];
    }
    output.push_str(rest);
    (output, found)
}

/// Length of a value in a list of `name=value`, with its quotes.
fn listed_end(text: &str) -> usize {
    let quoted = text.strip_prefix('\'').and_then(|rest| rest.find('\'')).map(|end| end + 2);
    quoted.or_else(|| text.find([' ', ';', '&'])).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("postgresql://{{username}}:{{password}}@h:5432/db", None)]
    #[case(
        "postgresql://u:canary@h:5432/db?sslmode=disable",
        Some("postgresql://u:xxxxx@h:5432/db?sslmode=disable")
    )]
    #[case("postgresql://u:can@ry@h/db", Some("postgresql://u:xxxxx@h/db"))]
    #[case("postgresql://u:xxxxx@h/db", Some("postgresql://u:xxxxx@h/db"))]
    #[case("{{username}}:{{password}}@tcp(127.0.0.1:3306)/", None)]
    #[case("root:canary@tcp(127.0.0.1:3306)/", Some("root:xxxxx@tcp(127.0.0.1:3306)/"))]
    #[case("host=h user=u password=canary dbname=d", Some("host=h user=u password=xxxxx dbname=d"))]
    #[case("host=h password='can ary' dbname=d", Some("host=h password=xxxxx dbname=d"))]
    #[case("sqlserver://{{username}}:{{password}}@h:1433", None)]
    #[case("server=h;Password=canary;user id=u", Some("server=h;Password=xxxxx;user id=u"))]
    #[case("https://issuer.example.com", None)]
    #[case("https://issuer.example.com:8443/a", None)]
    #[case("path \"kv/*\" { capabilities = [\"read\"] } # mail: a@example.com", None)]
    #[case("CREATE ROLE \"{{name}}\" PASSWORD '{{password}}'", None)]
    #[case("ops@example.com", None)]
    fn passwords_in_texts_are_masked(#[case] text: &str, #[case] expected: Option<&str>) {
        let mut value = json!([text]);
        assert_eq!(masked(&mut value), expected.is_some());
        assert_eq!(value[0], expected.unwrap_or(text));
    }

    #[test]
    fn secret_values_are_removed_at_any_depth_and_named() {
        let mut fields = json!({
            "bindpass": "canary", "token_ttl": 1, "secret_id_ttl": 2, "token_policies": ["a"], "client_tls_key": "",
            "provider_config": [{"service_account_json": "canary", "provider": "gsuite"}],
            "postgresql": {"username": "u", "password": "canary", "password_authentication": "password"},
        });
        let fields = fields.as_object_mut().unwrap();
        let removed = without_secrets(fields);
        assert_eq!(removed, ["bindpass", "postgresql.password", "provider_config.service_account_json"]);
        let left = json!({
            "token_ttl": 1, "secret_id_ttl": 2, "token_policies": ["a"], "provider_config": [{"provider": "gsuite"}],
            "postgresql": {"username": "u", "password_authentication": "password"},
        });
        assert_eq!(json!(fields), left);
    }
}
