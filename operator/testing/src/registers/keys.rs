//! The keys of the registers in OpenBao.

use anyhow::Result;
use futures::StreamExt;
use serde_json::json;
use steamer_openbao::{Error, Kv, KvConfig, Session, Values};

use super::chain::{Chain, LENGTH, Version};
use crate::openbao::mount_kv;
use crate::wait::eventually;

/// Mount of the engine.
pub const MOUNT: &str = "registers";
/// Key of the value.
const COUNT: &str = "count";
/// Number of reads at the same time when all versions are compared.
const READS: usize = 16;

/// Mounts the engine, which keeps all versions of a key.
///
/// # Errors
/// The error of OpenBao.
pub async fn mount(admin: &Session) -> Result<()> {
    mount_kv(admin, MOUNT).await?;
    let config =
        KvConfig { max_versions: LENGTH * 2, delete_version_after: "0s".to_owned(), ..KvConfig::default() };
    Ok(admin.put_kv_config(MOUNT, &config).await?)
}

/// Writes a version of a key, if `last` is its latest version.
///
/// # Errors
/// The error of OpenBao.
pub async fn write(session: &Session, path: &str, value: i64, last: i64) -> Result<Version, Error> {
    let number = session.put_kv2(MOUNT, path, &Values::from(&json!({COUNT: value})), last).await?;
    Ok(Version { number, value })
}

/// Reads a version of a key, or the latest one.
pub(super) async fn read(
    session: &Session,
    path: &str,
    number: Option<i64>,
) -> Result<Option<Version>, Error> {
    Ok(match session.read_kv2(MOUNT, path, number).await? {
        Kv::Value { values, version, .. } => Some(Version {
            number: version.unwrap_or_default(),
            value: values.integer(COUNT).unwrap_or_default(),
        }),
        Kv::Deleted { .. } | Kv::Absent => None,
    })
}

/// Part of the answer of OpenBao about a version whose row does not exist.
const LOST: &str = "could not find version data";

/// Differences between a chain and the versions of its key.
///
/// # Errors
/// When OpenBao does not answer until the deadline.
pub async fn differences(session: &Session, path: &str, chain: &Chain) -> Result<Vec<String>> {
    // A commit after the last acknowledgment has the next number.
    let found = futures::stream::iter(1..=chain.version() + 1).map(|number| async move {
        eventually("a version can be read", || async {
            match read(session, path, Some(number)).await.map_err(|error| error.to_string()) {
                // The metadata list the version, and its row is lost.
                Err(error) if error.contains(LOST) => Ok(None),
                found => found,
            }
        })
        .await
    });
    let found: Vec<Result<Option<Version>>> = found.buffer_unordered(READS).collect().await;
    let found: Vec<Version> = found.into_iter().filter_map(Result::transpose).collect::<Result<_>>()?;
    Ok(chain.differences(&found).into_iter().map(|difference| format!("{path}: {difference}")).collect())
}

pub(super) fn path(writer: usize, chain: usize) -> String {
    format!("w{writer}/{chain}")
}
