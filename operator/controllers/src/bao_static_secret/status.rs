use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use steamer_api::{BaoStaticSecret, BaoStaticSecretStatus, LastSync};
use steamer_runtime::Reason;
use steamer_runtime::conditions::Verdict;

use crate::context::Context;
use crate::error::Error;
use crate::sync::decide::Record;

pub(super) async fn suspended(context: &Context, secret: &BaoStaticSecret) -> Result<(), Error> {
    context.report(secret, context.last::<_, BaoStaticSecretStatus>(secret), &Verdict::Suspended).await
}

/// Nothing was to be done; an error that has passed is taken back.
pub(super) async fn unchanged(
    context: &Context,
    secret: &BaoStaticSecret,
    record: Option<&Record>,
) -> Result<(), Error> {
    match record {
        Some(record) => synced(context, secret, record, None).await,
        None => Ok(()),
    }
}

pub(super) async fn synced(
    context: &Context,
    secret: &BaoStaticSecret,
    record: &Record,
    written: Option<&'static str>,
) -> Result<(), Error> {
    let last: BaoStaticSecretStatus = context.last(secret);
    let status = BaoStaticSecretStatus {
        last_sync: written.map(|reason| last_sync(&last, record, reason)).or(last.last_sync.clone()),
        secret_mac: Some(record.shape.mac.clone()),
        version: record.version,
        destination: Some(secret.spec.destination.name.clone()),
        ..last
    };
    let name = &secret.spec.destination.name;
    let message = match record.version {
        Some(version) => format!("Secret {name} holds version {version}"),
        None => format!("Secret {name} holds the value"),
    };
    context.report(secret, status, &Verdict::Ready(Reason::Applied, message)).await
}

fn last_sync(last: &BaoStaticSecretStatus, record: &Record, reason: &str) -> LastSync {
    let changed = reason == "RefreshDue" && last.secret_mac.as_ref() != Some(&record.shape.mac);
    let reason = if changed { "ValueChanged" } else { reason }.to_owned();
    let now = Timestamp::now();
    LastSync { time: Time(Timestamp::from_second(now.as_second()).unwrap_or(now)), reason }
}
