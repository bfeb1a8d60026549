//! Writes of the secrets engine.

use std::collections::BTreeMap;

use steamer_core::error::Error;
use steamer_core::ownership::Mark;
use steamer_openbao::{KvConfig, Mount, MountRequest};

use crate::engine::{Hold, Rights};
use crate::project::desired::Project;
use crate::project::observed::Observed;
use crate::write::{ADOPTED, Call, DIFFERS, Write};

/// Type and option of a KV v2 engine.
const KV: &str = "kv";
const VERSION: (&str, &str) = ("version", "2");

pub(super) fn writes(
    project: &Project,
    observed: &Observed,
    rights: &Rights<'_>,
) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    match &observed.engine {
        None => writes.push(creation(project, rights)),
        Some(mount) => writes.extend(adoption(project, mount, rights)?),
    }
    if observed.kv.as_ref().is_none_or(|kv| !is_same(kv, &project.kv)) {
        let call = Call::PutKvConfig { path: project.engine.clone(), config: project.kv.clone() };
        writes.push(Write::update(&project.namespace, call, DIFFERS));
    }
    Ok(writes)
}

fn creation(project: &Project, rights: &Rights<'_>) -> Write {
    let request = MountRequest {
        kind: KV.to_owned(),
        description: rights.mark.description(),
        options: BTreeMap::from([(VERSION.0.to_owned(), VERSION.1.to_owned())]),
    };
    Write::create(&project.namespace, Call::EnableEngine { path: project.engine.clone(), request })
}

fn adoption(project: &Project, mount: &Mount, rights: &Rights<'_>) -> Result<Option<Write>, Error> {
    let path = project.published().path(&project.engine);
    let hold = rights.hold(&format!("mount {path}"), Mark::read(&mount.description).as_ref())?;
    if !is_kv2(mount) {
        return Err(Error::Conflict(format!(
            "mount {path} in OpenBao is not a KV version 2 engine: remove it"
        )));
    }
    Ok((hold == Hold::Adoptable).then(|| {
        let call =
            Call::DescribeEngine { path: project.engine.clone(), description: rights.mark.description() };
        Write::update(&project.namespace, call, ADOPTED)
    }))
}

fn is_kv2(mount: &Mount) -> bool {
    mount.kind == KV && mount.options.get(VERSION.0).is_some_and(|version| version == VERSION.1)
}

/// OpenBao returns `90s` as `1m30s`.
fn is_same(observed: &KvConfig, desired: &KvConfig) -> bool {
    let seconds = |text: &str| text.parse::<steamer_api::Duration>().map(|duration| duration.get()).ok();
    observed.max_versions == desired.max_versions
        && observed.cas_required == desired.cas_required
        && seconds(&observed.delete_version_after) == seconds(&desired.delete_version_after)
}
