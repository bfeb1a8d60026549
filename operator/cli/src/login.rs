//! Commands `login` and `bao`: a connection to OpenBao as an administrator.

mod account;
mod forward;
mod server;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args as Arguments;
use secrecy::ExposeSecret;

use crate::connection::Connection;
use crate::outcome::Outcome;
use crate::output::print;
use account::Account;
use forward::Forward;
use server::{Server, token};

/// A cluster, and the ServiceAccount to log in with.
#[derive(Arguments)]
pub(crate) struct Access {
    /// Name of the OpenBaoCluster.
    name: String,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: Account,
    /// URL of OpenBao. Default: `kubectl port-forward` to a managed cluster, or the address of an external server.
    #[arg(long)]
    address: Option<String>,
}

/// Arguments of `login`.
#[derive(Arguments)]
pub(crate) struct Login {
    #[command(flatten)]
    access: Access,
}

/// Arguments of `bao`.
#[derive(Arguments)]
pub(crate) struct Bao {
    #[command(flatten)]
    access: Access,
    /// Arguments of bao.
    #[arg(last = true, required = true)]
    arguments: Vec<String>,
}

/// The variables of the command `bao`. The port is forwarded until `forward` is dropped.
struct Session {
    variables: Vec<(&'static str, String)>,
    forward: Option<Forward>,
}

pub(crate) async fn login(arguments: Login) -> Result<Outcome> {
    let Session { mut variables, forward } = session(arguments.access).await?;
    variables.extend(forward.map(|forward| ("STEAMER_FORWARD", forward.left_running().to_string())));
    let line = |(name, value): &(&str, String)| format!("export {name}={}\n", quoted(value));
    print(&variables.iter().map(line).collect::<String>())?;
    Ok(Outcome::Good)
}

pub(crate) async fn bao(arguments: Bao) -> Result<Outcome> {
    let session = session(arguments.access).await?;
    let mut command = Command::new("bao");
    command.args(&arguments.arguments).envs(session.variables.iter().map(|(name, value)| (name, value)));
    let status = command.status().context("cannot run bao: install it, and add it to PATH")?;
    drop(session.forward);
    Ok(Outcome::Code(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

async fn session(access: Access) -> Result<Session> {
    let cluster = access.connection.cluster().await?;
    let name = crate::target::cluster_name(&access.name)?.to_owned();
    let found: steamer_api::OpenBaoCluster = cluster.object(&cluster.namespace, &name).await?;
    let account = access.account.of(&found)?;
    let server = Server::of(&cluster, &found).await?;
    let forward = match (&access.address, &server.forwarded) {
        (None, Some(service)) => {
            Some(Forward::start(&access.connection, (&cluster.namespace, service), &cache()?)?)
        }
        _ => None,
    };
    let address = match (&access.address, &forward) {
        (Some(address), _) => address.clone(),
        (None, Some(forward)) => server.local(forward.port),
        (None, None) => server.address.clone(),
    };
    let jwt = account.token(&cluster).await?;
    let token = token(&server, &address, &account, jwt).await?;
    let mut variables = vec![("BAO_ADDR", address), ("BAO_TOKEN", token.expose_secret().to_owned())];
    variables.extend(
        server.server_name.clone().filter(|_| forward.is_some()).map(|it| ("BAO_TLS_SERVER_NAME", it)),
    );
    if let Some(ca) = &server.ca {
        variables.push((
            "BAO_CACERT",
            stored(&format!("{}-{name}.crt", cluster.namespace), ca)?.display().to_string(),
        ));
    }
    Ok(Session { variables, forward })
}

/// Writes a CA certificate into the cache of the user.
fn stored(name: &str, text: &str) -> Result<PathBuf> {
    let path = cache()?.join(name);
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// The folder of the plugin in the cache of the user.
fn cache() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let folder =
        cache.or_else(home).context("neither XDG_CACHE_HOME nor HOME is set")?.join("kubectl-steamer");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_leave_its_quotes() {
        assert_eq!(quoted("a'; rm -rf /; '"), r"'a'\''; rm -rf /; '\'''");
    }
}
