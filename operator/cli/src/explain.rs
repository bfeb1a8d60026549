//! Command `explain`: the answer of OpenBao to the JWT of a CI job, and its reasons.

mod explanation;
mod files;
mod keys;
mod live;
mod mismatch;
mod objects;
#[cfg(test)]
mod tests;
mod text;

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args as Arguments, ValueEnum};
use jiff::Timestamp;
use steamer_provisioning::jwt::Token;
use steamer_provisioning::pipelines::{ROLE_ID_TOKENS, ROLE_PIPELINES};

use crate::connection::Connection;
use crate::outcome::Outcome;
use crate::output::Output;
use explanation::{Question, explained};
use keys::Source;
use objects::Objects;
use text::text;

/// Arguments of `explain`.
#[derive(Arguments)]
pub(crate) struct Explain {
    /// SecretsProject, such as web, or web/web with its namespace. Not needed with --filename if the files contain one.
    #[arg(long, required_unless_present = "filename")]
    project: Option<String>,
    /// Role of the login. Default: `all_pipelines` for a token with the claim secrets_manager_scope, or else `id_tokens`.
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// File with the JWT. Default: the standard input.
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// Reads the objects from files with YAML or JSON in the place of a cluster: SecretsProject, SecretsTenant, OpenBaoCluster,
    /// JWTIssuer and the PipelinePolicies.
    #[arg(long, short)]
    filename: Vec<PathBuf>,
    /// File with the key set (JWKS) of the issuer. Default: the keys of the JWTIssuer, or else those at its URL. With
    /// --filename, nothing is read from a URL.
    #[arg(long)]
    key_set: Option<PathBuf>,
    /// Does not verify the signature.
    #[arg(long, conflicts_with = "key_set")]
    skip_signature: bool,
    /// Time to explain the login for, such as 2026-11-28T12:00:00Z. Default: now.
    #[arg(long)]
    at: Option<Timestamp>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Role {
    AllPipelines,
    IdTokens,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::AllPipelines => ROLE_PIPELINES,
            Self::IdTokens => ROLE_ID_TOKENS,
        }
    }
}

pub(crate) async fn run(arguments: Explain) -> Result<Outcome> {
    let token = token(&arguments)?;
    let mut objects = objects(&arguments).await?;
    let source = match &arguments.key_set {
        _ if arguments.skip_signature => Source::Nothing,
        Some(path) => Source::File(path),
        None if arguments.filename.is_empty() => Source::Url,
        None => Source::Objects,
    };
    let keys = keys::keys(source, &mut objects).await?;
    let question = Question {
        token: &token,
        role: arguments.role.map(Role::name),
        keys: keys.as_deref(),
        now: arguments.at.unwrap_or_else(Timestamp::now),
    };
    let found = explained(&objects, &question)?;
    arguments.output.write(&found, text)?;
    Ok(if found.can_log_in { Outcome::Good } else { Outcome::Refused })
}

fn token(arguments: &Explain) -> Result<Token> {
    let text = match &arguments.token_file {
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
        }
        None => {
            let mut text = String::new();
            if std::io::stdin().is_terminal() {
                bail!("no JWT: write it to the standard input, or use --token-file");
            }
            std::io::stdin().read_to_string(&mut text).context("cannot read the standard input")?;
            text
        }
    };
    Token::parse(&text).map_err(|problem| anyhow!("the input is not a JWT: {}", problem.0))
}

async fn objects(arguments: &Explain) -> Result<Objects> {
    if arguments.filename.is_empty() {
        let project = arguments.project.as_deref().unwrap_or_default();
        return live::objects(&arguments.connection.cluster().await?, project).await;
    }
    let mut found = Vec::new();
    for path in &arguments.filename {
        let place = || format!("cannot read {}", path.display());
        let text = std::fs::read_to_string(path).with_context(place)?;
        found.extend(steamer_convert::objects(&text).with_context(place)?);
    }
    files::objects(found, arguments.project.as_deref(), arguments.connection.namespace.as_deref())
}
