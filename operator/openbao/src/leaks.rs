//! Tests that no error contains the content of a response, whatever its shape.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use secrecy::SecretString;
use serde_json::json;

use crate::hostile::{Server, chain, response};
use crate::{
    Cas, Client, Credential, CredentialError, Error, Identity, JwtConfig, JwtKeys, KvConfig, KvSettings,
    KvVersionChange, Login, LoginKind, MountRequest, NamespacePath, Presentation, Session,
};

const CANARY: &str = "canary-Zq7xW3vNf0";

/// Bodies with a canary where an endpoint expects another type.
const SHAPES: [&str; 22] = [
    r#""canary-Zq7xW3vNf0""#,
    r#"["canary-Zq7xW3vNf0"]"#,
    r#"{"data": "canary-Zq7xW3vNf0"}"#,
    r#"{"data": ["canary-Zq7xW3vNf0"]}"#,
    r#"{"data": {"canary-Zq7xW3vNf0": "canary-Zq7xW3vNf0"}}"#,
    r#"{"data": {"data": "canary-Zq7xW3vNf0"}}"#,
    r#"{"data": {"data": ["canary-Zq7xW3vNf0"], "metadata": "canary-Zq7xW3vNf0"}}"#,
    r#"{"data": {"keys": "canary-Zq7xW3vNf0"}}"#,
    r#"{"data": {"keys": [["canary-Zq7xW3vNf0"]]}}"#,
    r#"{"data": {"key_info": "canary-Zq7xW3vNf0", "policy": ["canary-Zq7xW3vNf0"]}}"#,
    r#"{"data": {"type": ["canary-Zq7xW3vNf0"], "options": "canary-Zq7xW3vNf0"}}"#,
    r#"{"data": {"cel_program": "canary-Zq7xW3vNf0", "token_ttl": "canary-Zq7xW3vNf0"}}"#,
    r#"{"data": {"bound_audiences": "canary-Zq7xW3vNf0", "jwt_supported_algs": "canary-Zq7xW3vNf0"}}"#,
    r#"{"data": {"max_versions": "canary-Zq7xW3vNf0", "policies": "canary-Zq7xW3vNf0", "ttl": "canary-Zq7xW3vNf0"}}"#,
    r#"{"data": {"custom_metadata": "canary-Zq7xW3vNf0", "id": 1, "version": "canary-Zq7xW3vNf0"}}"#,
    r#"{"initialized": "canary-Zq7xW3vNf0", "sealed": false, "version": "canary-Zq7xW3vNf0", "type": 1, "ha_enabled": "canary-Zq7xW3vNf0"}"#,
    r#"{"auth": "canary-Zq7xW3vNf0"}"#,
    r#"{"auth": {"client_token": ["canary-Zq7xW3vNf0"]}}"#,
    r#"{"errors": "canary-Zq7xW3vNf0", "data": {"canary-Zq7xW3vNf0": "canary-Zq7xW3vNf0"}}"#,
    r#"{"errors": [{"canary-Zq7xW3vNf0": "canary-Zq7xW3vNf0"}]}"#,
    r#"{"data": {"data": {"a": canary-Zq7xW3vNf0"#,
    "<html>canary-Zq7xW3vNf0</html>",
];

pub(crate) type Call<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;

/// Calls every endpoint.
pub(crate) fn endpoints(session: &Session) -> Vec<Call<'_>> {
    macro_rules! calls {
        ($($name:ident($($argument:expr),*)),* $(,)?) => {
            vec![$(Box::pin(async move { session.$name($($argument),*).await.map(drop) }) as Call<'_>),*]
        };
    }
    let none = BTreeMap::new;
    let config = || JwtConfig {
        keys: JwtKeys::Static(Vec::new()),
        ca: String::new(),
        bound_issuer: String::new(),
        algorithms: Vec::new(),
        skip_validation: true,
    };
    calls![
        health(),
        seal_status(),
        leader(),
        mount("a"),
        mounts(),
        enable_mount("a", &MountRequest::default()),
        describe_mount("a", "b"),
        disable_mount("a"),
        auth_mount("a"),
        auth_mounts(),
        enable_auth("a", &MountRequest::default()),
        describe_auth("a", "b"),
        disable_auth("a"),
        jwt_config("a"),
        put_jwt_config("a", &config()),
        cel_roles("a"),
        cel_role("a", "b"),
        put_cel_role("a", "b", &Default::default()),
        jwt_roles("a"),
        jwt_role("a", "b"),
        put_jwt_role("a", "b", &Default::default()),
        policy("a"),
        policies_below("a"),
        put_policy("a", "b", Cas::Absent),
        delete_policy("a"),
        read_kv1("a", "b"),
        read_kv2("a", "b", None),
        write_kv1("a", "b", &json!({})),
        write_kv2("a", "b", &json!({})),
        delete_kv2("a", "b"),
        list_kv2("a", "b"),
        kv_metadata("a", "b"),
        put_kv_settings("a", "b", &KvSettings::default(), 0),
        change_kv_versions("a", "b", KvVersionChange::Delete, &[1]),
        kv_config("a"),
        put_kv_config("a", &KvConfig::default()),
        token(),
        capabilities(&["a".to_owned()]),
        child_namespace("a"),
        create_namespace("a", &none()),
        mark_namespace("a", &none()),
        delete_namespace("a"),
    ]
}

struct Jwt;

impl Credential for Jwt {
    fn secret(&self) -> Pin<Box<dyn Future<Output = Result<SecretString, CredentialError>> + Send + '_>> {
        Box::pin(std::future::ready(Ok(CANARY.to_owned().into())))
    }

    fn discard(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(std::future::ready(false))
    }
}

pub(crate) fn login() -> Identity {
    Identity::login(Login {
        namespace: NamespacePath::root(),
        mount: "jwt".to_owned(),
        role: "r".to_owned(),
        kind: LoginKind::Role,
        params: std::collections::BTreeMap::new(),
        presentation: Presentation::Token,
        credential: Arc::new(Jwt),
    })
}

#[tokio::test]
async fn no_error_contains_the_content_of_a_response() {
    let mut errors = 0;
    for (status, shape) in [200, 404, 500].into_iter().flat_map(|it| SHAPES.map(|shape| (it, shape))) {
        assert!(shape.contains(CANARY), "{shape}");
        let server = Server::fixed(response(status, "application/json", shape));
        let client = Client::new(&server.settings()).unwrap();
        let token = client.session(Identity::Token(CANARY.to_owned().into()));
        let login = client.session(login());
        let mut calls = endpoints(&token);
        calls.push(Box::pin(async { login.mounts().await.map(drop) }));
        for call in calls {
            let Err(error) = call.await else { continue };
            let text = format!("{} {error:?}", chain(&error));
            assert!(!text.contains(CANARY), "{shape} with status {status}: {text}");
            errors += 1;
        }
    }
    assert!(errors > 1000, "only {errors} errors");
}
