//! The status of a synced object.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use steamer_api::{LastSync, SyncStatus};
use steamer_core::Error;
use steamer_runtime::conditions::{Verdict, whole_second};
use steamer_runtime::{Key, Reason};

use super::decide::{Known, Why};
use super::pass::Pass;
use super::stamp::Stamp;
use super::synced::{Recorded, Source, Synced};
use super::workloads;

impl<K: Synced> Pass<'_, K> {
    /// Writes the status of a synced object.
    pub(super) async fn report(&self, known: &Known, written: Option<Why>) -> Result<(), Error> {
        let mut status = self.status().into_owned();
        let last = K::recorded(&status);
        let reason = written.map(|why| reason(why, &last, known));
        let name = &self.frame.name.name;
        let waits = self.source.schedule().waits();
        let message = match known.version {
            Some(version) => format!("Secret {name} contains version {version}{waits}"),
            None => format!("Secret {name} contains the value{waits}"),
        };
        let mac = &self.engine.context.mac;
        let recorded = Stamp::of_status::<K>(last.stamp.as_deref(), mac);
        let Stamp { request, mount, server, rendering, .. } = &known.stamp;
        let same_mount = recorded.as_ref().is_some_and(|recorded| recorded.is_of_mount(request, mount));
        let same_stamp = recorded.is_some_and(|it| {
            let same_source = it.mount == *mount && it.server == *server && it.rendering == *rendering;
            let same_held = known.stamp.held.is_read()
                || (it.held == known.stamp.held && it.former == known.stamp.former);
            it.is_same_value(&known.stamp) && same_source && same_held && it.change == known.stamp.change
        });
        let (mount, stamp) = (last.mount.filter(|_| same_mount), last.stamp.filter(|_| same_stamp));
        K::record(
            &mut status,
            Recorded {
                sync: SyncStatus {
                    secret_mac: Some(known.stamp.content.clone()),
                    destination: Some(name.clone()),
                    last_sync: reason.map(last_sync).or(last.sync.last_sync),
                    restarts: workloads::kept(&self.object.common(), last.sync.restarts, known.stamp.change),
                    last_handled_reconcile_at: self.handled(last.sync.last_handled_reconcile_at),
                },
                version: known.version,
                mount: known.mount.clone().or(mount),
                stamp: stamp.or_else(|| Some(known.stamp.clone().sealed(mac).text())),
                requests: self.engine.requests.text(&Key::of(self.object)),
            },
        );
        workloads::clear(&self.object.common(), &mut status);
        K::enforced(&mut status);
        let verdict = Verdict::Ready(Reason::Applied, message);
        self.engine.context.report(self.object, status, &verdict).await
    }
}

/// A refresh that wrote different content is reported as a changed value.
fn reason(why: Why, last: &Recorded, known: &Known) -> &'static str {
    let changed = last.sync.secret_mac.as_ref() != Some(&known.stamp.content);
    if why == Why::RefreshDue && changed { "ValueChanged" } else { why.as_str() }
}

fn last_sync(reason: &str) -> LastSync {
    LastSync { time: Time(whole_second(Timestamp::now())), reason: reason.to_owned() }
}
