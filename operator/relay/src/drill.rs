//! Restore drill beside an OpenBao in recovery mode: opens a copy of the storage with the recovery keys, and decrypts a policy.
//!
//! In recovery mode OpenBao runs no mount and no lease, and answers only with a recovery token, which the recovery keys
//! generate.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use steamer_openbao::{Client, Identity, Outgoing, Session, Settings};
use tokio::time::Instant;

/// Path of the recovery token.
const ATTEMPT: &str = "sys/generate-recovery-token/attempt";
/// Path that receives the shares.
const UPDATE: &str = "sys/generate-recovery-token/update";
/// Entry that is decrypted: every OpenBao has it.
const CANARY: &str = "sys/raw/sys/policy/default";
/// Interval between two attempts.
const INTERVAL: Duration = Duration::from_secs(1);
/// Text of OpenBao when a share was accepted before.
const OPENED: &str = "already unsealed";

/// A drill.
#[derive(Clone, Debug)]
pub struct Drill {
    /// URL of the OpenBao in recovery mode.
    pub address: String,
    /// Folder with the recovery keys, one file for each share.
    pub recovery_folder: PathBuf,
    /// Time in which it must succeed.
    pub patience: Duration,
}

/// A copy that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// The folder cannot be read.
    #[error("cannot read the recovery keys")]
    Keys(#[source] std::io::Error),
    /// OpenBao does not answer, or refuses a request.
    #[error("OpenBao does not open the copy with this seal and these recovery keys")]
    OpenBao(#[from] steamer_openbao::Error),
    /// OpenBao answers in another format.
    #[error("OpenBao returned no recovery token")]
    NoToken,
    /// The entry is empty.
    #[error("OpenBao opened the copy, and returned no text for the policy `default`")]
    NoPolicy,
}

#[derive(Deserialize)]
struct Started {
    nonce: String,
    otp: SecretString,
}

/// Opens the copy. Tries again until it succeeds or the time is over.
///
/// # Errors
/// The last error, or the first one after which OpenBao accepts no other attempt.
pub async fn run(drill: &Drill) -> Result<(), DrillError> {
    let client = Client::new(&Settings {
        addresses: vec![drill.address.clone()],
        patience: Some(Duration::ZERO),
        outgoing: Outgoing::LOOPBACK,
        node: true,
        ..Settings::default()
    });
    let session = client?.session(Identity::Anonymous);
    let shares = shares(&drill.recovery_folder).map_err(DrillError::Keys)?;
    let end = Instant::now() + drill.patience;
    let mut last = None;
    loop {
        match open(&session, &shares).await {
            Ok(()) => return Ok(()),
            Err(error) if last.is_some() && error.is_final() => return Err(last.unwrap_or(error)),
            Err(error) if Instant::now() + INTERVAL > end => return Err(error),
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

impl DrillError {
    /// Returns true if OpenBao accepts no other attempt.
    fn is_final(&self) -> bool {
        matches!(self, Self::OpenBao(steamer_openbao::Error::Server { message, .. }) if message.contains(OPENED))
    }
}

/// The shares in the files of a mounted Secret.
fn shares(folder: &Path) -> std::io::Result<Vec<SecretString>> {
    let entries = std::fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    files.iter().map(|path| Ok(std::fs::read_to_string(path)?.trim().to_owned().into())).collect()
}

async fn open(session: &Session, shares: &[SecretString]) -> Result<(), DrillError> {
    // An attempt of a process that ended stays.
    session.request_any(Method::DELETE, ATTEMPT, None).await?;
    let started = session.request_any(Method::PUT, ATTEMPT, Some(json!({}))).await?;
    let started: Started = serde_json::from_value(started).map_err(|_| DrillError::NoToken)?;
    let token = token(session, &started, shares).await?;
    let opened = session.client().session(Identity::Token(token));
    let answer = opened.request_any(Method::GET, CANARY, None).await?;
    let value = answer.pointer("/data/value").or_else(|| answer.get("value")).and_then(Value::as_str);
    value.filter(|text| text.contains("path")).map(drop).ok_or(DrillError::NoPolicy)
}

/// Generates the recovery token.
async fn token(
    session: &Session,
    started: &Started,
    shares: &[SecretString],
) -> Result<SecretString, DrillError> {
    for share in shares {
        let body = json!({"key": share.expose_secret(), "nonce": started.nonce});
        let answer = session.request_any(Method::PUT, UPDATE, Some(body)).await?;
        if answer.get("complete") == Some(&Value::Bool(true)) {
            let encoded = answer.get("encoded_token").and_then(Value::as_str).unwrap_or_default();
            return decoded(encoded, started.otp.expose_secret()).ok_or(DrillError::NoToken);
        }
    }
    Err(DrillError::NoToken)
}

/// The token, which OpenBao combines with a one-time password.
fn decoded(encoded: &str, otp: &str) -> Option<SecretString> {
    let bytes = STANDARD_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?;
    let token: Vec<u8> = bytes.iter().zip(otp.bytes()).map(|(byte, otp)| byte ^ otp).collect();
    let token = String::from_utf8(token).ok().filter(|token| !token.is_empty())?;
    Some(token.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_decoded_with_the_one_time_password() {
        let token =
            decoded("JS4GHDEiOh02CkMuInwfC2EECgZ9NBwYbzQiOQ", "MXt2VvbkSx1IjNsCUVRUMUKmYnKS").unwrap();
        assert!(token.expose_secret().starts_with("hvr."));
        assert!(decoded("", "x").is_none());
        assert!(decoded("?", "x").is_none());
    }
}
