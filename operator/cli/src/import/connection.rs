//! Connection to the server, from the environment variables of the command `bao`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use secrecy::SecretString;
use steamer_openbao::{Client, Identity, NamespacePath, Outgoing, Session, Settings, joined_pem};

/// Address of the server in the absence of an environment variable, as for the command `bao`.
const ADDRESS: &str = "https://127.0.0.1:8200";

/// A session in a namespace, or in that of the environment, with the token of the environment.
pub(super) fn session(namespace: Option<&str>) -> Result<Session> {
    let namespace = namespace.map(str::to_owned).or_else(|| variable("NAMESPACE")).unwrap_or_default();
    let client = Client::new(&settings()?).context("cannot connect to OpenBao")?;
    Ok(client.session(Identity::Token(token()?)).at(NamespacePath::new(&namespace)))
}

fn settings() -> Result<Settings> {
    Ok(Settings {
        addresses: vec![variable("ADDR").unwrap_or_else(|| ADDRESS.to_owned())],
        ca: file("CACERT")?.unwrap_or_default(),
        client_certificate: client_certificate()?,
        server_name: variable("TLS_SERVER_NAME"),
        insecure: variable("SKIP_VERIFY")
            .is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true")),
        outgoing: Outgoing { loopback: true, proxy: true },
        ..Settings::default()
    })
}

/// The environment variable of OpenBao, or else that of Vault. An empty variable is not set.
fn variable(name: &str) -> Option<String> {
    let value =
        |prefix: &str| std::env::var(format!("{prefix}_{name}")).ok().filter(|value| !value.is_empty());
    value("BAO").or_else(|| value("VAULT"))
}

/// The content of the file that an environment variable names.
fn file(name: &str) -> Result<Option<Vec<u8>>> {
    let Some(path) = variable(name) else { return Ok(None) };
    fs::read(&path).map(Some).with_context(|| format!("cannot read {path} of BAO_{name}"))
}

fn client_certificate() -> Result<Option<SecretString>> {
    match (file("CLIENT_CERT")?, file("CLIENT_KEY")?) {
        (Some(certificate), Some(key)) => {
            let pem = String::from_utf8(joined_pem(&[&certificate, &key]));
            Ok(Some(pem.ok().context("the client certificate or its key is not a text in PEM")?.into()))
        }
        (None, None) => Ok(None),
        _ => bail!("set both BAO_CLIENT_CERT and BAO_CLIENT_KEY, or none of them"),
    }
}

fn token() -> Result<SecretString> {
    let saved = || {
        let home = std::env::var_os("HOME")?;
        fs::read_to_string(Path::new(&home).join(".vault-token")).ok()
    };
    let token = variable("TOKEN").or_else(saved).map(|token| token.trim().to_owned());
    match token.filter(|token| !token.is_empty()) {
        Some(token) => Ok(token.into()),
        None => bail!("no token: log in with `bao login`, or set BAO_TOKEN"),
    }
}
