//! Secret values: they are left out, and named in the report.

use serde_json::Value;

use crate::resource::Fields;
use crate::schema::folded;

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
/// Maps whose keys a user chose. They are no names of parameters.
const USER_KEYS: &[&str] = &[
    "alias_metadata",
    "bound_attributes",
    "bound_claims",
    "claim_mappings",
    "custom_metadata",
    "metadata",
    "token_metadata",
    "user_claim_mappings",
];
/// Parts of the names of parameters that limit who can log in.
const BINDINGS: [&str; 3] = ["bound", "allowed", "serviceaccounts"];
/// Texts before a password in a list, and in a statement, where the password is quoted.
const LISTED: [&str; 2] = ["password=", "pwd="];
const QUOTED: [&str; 4] = ["password ", "password = ", "identified by ", "_password by "];
/// Endings of the names of parameters with secret values.
const ENDINGS: &[&str] = &["password", "_secret", "passphrase", "private_key", "_wo"];

/// Returns true if a parameter of that name has a secret value.
pub(crate) fn is_secret(name: &str) -> bool {
    NAMES.contains(&name) || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Returns true for a parameter of OpenBao, or a field of a spec, that limits who can log in.
pub(crate) fn is_binding(name: &str) -> bool {
    let name = folded(name);
    BINDINGS.iter().any(|part| name.contains(part))
}

/// Removes secret values at any depth, except for maps whose keys a user chose. Returns the paths of those that were set.
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
        if !USER_KEYS.contains(&name.as_str()) {
            remove_within(value, &path, removed);
        }
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
/// `user:password@tcp(host)/db` or `user/password@host`, of a list such as `host=a password=b`, or of a statement such as
/// `CREATE USER a PASSWORD 'b'`.
fn without_password(text: &str) -> (String, bool) {
    let (mut text, mut found) = without_user_password(text);
    for name in LISTED.into_iter().chain(QUOTED) {
        let (hidden, listed) = without_listed_password(&text, name);
        (text, found) = (hidden, found | listed);
    }
    (text, found)
}

fn without_user_password(text: &str) -> (String, bool) {
    let start = text.find("://").map_or(0, |at| at + 3);
    let rest = &text[start..];
    // A URL can have an `@` in its path. Oracle separates the password by a slash.
    let separators: &[char] = if start > 0 && !text.starts_with("oracle") { &[':'] } else { &[':', '/'] };
    let user = rest.rfind('@').map(|at| &rest[..at]).filter(|user| start > 0 || is_user(user));
    let password = user.and_then(|user| user.split_once(separators)).map(|(_, password)| password);
    match password.filter(|password| !is_template(password)) {
        Some(password) => {
            let at = start + user.map_or(0, str::len) - password.len();
            (format!("{}{MASK}{}", &text[..at], &text[at + password.len()..]), true)
        }
        None => (text.to_owned(), false),
    }
}

/// Returns true if the text before an `@` can name a user: a name and a password of one line without spaces.
fn is_user(user: &str) -> bool {
    !user.contains(char::is_whitespace)
}

fn is_template(password: &str) -> bool {
    let password = password.trim_matches(['\'', '"']);
    password.is_empty() || password.starts_with("{{") && password.ends_with("}}")
}

fn without_listed_password(text: &str, name: &str) -> (String, bool) {
    let (mut output, mut found, mut rest) = (String::new(), false, text);
    while let Some(at) = rest.to_ascii_lowercase().find(name) {
        let (before, after) = rest.split_at(at + name.len());
        let end = listed_end(after);
        output.push_str(before);
        let is_value = !QUOTED.contains(&name) || after.starts_with(['\'', '"']);
        if !is_value || is_template(&after[..end]) {
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
    let quote = text.chars().next().filter(|first| ['\'', '"'].contains(first));
    let quoted = quote.and_then(|quote| text[1..].find(quote)).map(|end| end + 2);
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
    #[case("system/canary@//h:1521/db", Some("system/xxxxx@//h:1521/db"))]
    #[case("oracle://u/canary@h:1521/db", Some("oracle://u/xxxxx@h:1521/db"))]
    #[case("{{username}}/{{password}}@//h:1521/db", None)]
    #[case(
        "CREATE USER \"{{name}}\" PASSWORD 'can ary' LOGIN",
        Some("CREATE USER \"{{name}}\" PASSWORD xxxxx LOGIN")
    )]
    #[case(
        "CREATE USER '{{name}}'@'%' IDENTIFIED BY 'canary';",
        Some("CREATE USER '{{name}}'@'%' IDENTIFIED BY xxxxx;")
    )]
    #[case("CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}';", None)]
    #[case("CREATE LOGIN [{{name}}] WITH PASSWORD = '{{password}}'", None)]
    #[case(
        "CREATE LOGIN [{{name}}] WITH PASSWORD = 'canary'",
        Some("CREATE LOGIN [{{name}}] WITH PASSWORD = xxxxx")
    )]
    #[case("CREATE USER \"{{name}}\" IDENTIFIED BY \"{{password}}\"", None)]
    #[case("https://issuer.example.com/keys/a@b", None)]
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
    fn keys_that_a_user_chose_are_no_names_of_parameters() {
        let kept = json!({
            "bound_claims": {"token": "deploy", "password": ["a"]}, "claim_mappings": {"/key": "key", "token": "t"},
            "custom_metadata": {"owner_secret": "x"}, "config": {"metadata": {"api_key": "name"}},
        });
        let mut fields = kept.clone();
        let removed = without_secrets(fields.as_object_mut().unwrap());
        assert!(removed.is_empty(), "{removed:?}");
        assert_eq!(fields, kept);
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
