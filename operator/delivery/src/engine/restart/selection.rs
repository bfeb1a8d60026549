//! The workloads that a change restarts. They are listed when the Secret changes, and only in its namespace: no workload is
//! watched or kept in memory.

use std::collections::BTreeSet;

use kube::api::{Api, DynamicObject, ListParams};
use kube::{Client, ResourceExt};
use steamer_api::{RestartMode, RolloutRestartTarget, WorkloadKind};
use steamer_runtime::ObjectName;

use super::batches::Selected;
use super::consumers::uses;
use super::owed::Owed;
use super::problem::{Problem, is_unknown_kind};
use super::workload::{Workload, is_of_cluster, resource};

/// Number of workloads in one page of a list.
const PAGE: u32 = 50;

/// The targets by name, those that selectors match, and with `mode: Consumers` those that use the Secret.
pub(super) async fn selected(client: &Client, owed: &Owed<'_>) -> Result<Selected, Problem> {
    let (mut workloads, mut problems) = (BTreeSet::new(), Vec::new());
    for target in owed.targets {
        match of_target(client, owed, target).await {
            Err(problem) if problem.is_final => problems.push(problem),
            listed => workloads.extend(listed?),
        }
    }
    if owed.settings.mode == RestartMode::Consumers {
        for kind in WorkloadKind::ALL {
            workloads.extend(consumers(client, owed, kind).await?);
        }
    }
    Ok(Selected { workloads: workloads.into_iter().collect(), problems })
}

async fn of_target(
    client: &Client,
    owed: &Owed<'_>,
    target: &RolloutRestartTarget,
) -> Result<Vec<Workload>, Problem> {
    if let Some(name) = &target.name {
        let name = ObjectName::new(owed.namespace(), name);
        return Ok(vec![Workload { kind: target.kind, name }]);
    }
    let labels = target.selector.iter().flat_map(|selector| &selector.match_labels);
    let selector = labels.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    let listed = list(client, owed, target.kind, Chosen { selector, secret: None }).await;
    listed.map_err(|error| problem(target.kind, error))
}

/// The workloads of a kind that use the Secret. A kind without a CRD has none.
async fn consumers(client: &Client, owed: &Owed<'_>, kind: WorkloadKind) -> Result<Vec<Workload>, Problem> {
    let chosen = Chosen { selector: String::new(), secret: Some(owed.secret) };
    match list(client, owed, kind, chosen).await {
        Err(kube::Error::Api(status)) if is_unknown_kind(&status) => Ok(Vec::new()),
        listed => listed.map_err(|error| problem(kind, error)),
    }
}

fn problem(kind: WorkloadKind, error: kube::Error) -> Problem {
    Problem::of(kind, &format!("list {}", resource(kind).plural), error)
}

/// Choice of workloads.
struct Chosen<'a> {
    /// Labels. Empty: all.
    selector: String,
    /// Secret that the workload uses. None: any.
    secret: Option<&'a str>,
}

impl Chosen<'_> {
    /// Nodes of managed clusters are never chosen: their controller restarts them.
    fn contains(&self, object: &DynamicObject) -> bool {
        let template = &object.data["spec"]["template"];
        let is_used = self.secret.is_none_or(|secret| uses(template, secret));
        is_used && !is_of_cluster(object)
    }
}

async fn list(
    client: &Client,
    owed: &Owed<'_>,
    kind: WorkloadKind,
    chosen: Chosen<'_>,
) -> Result<Vec<Workload>, kube::Error> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), owed.namespace(), &resource(kind));
    let mut parameters = ListParams::default().labels(&chosen.selector).limit(PAGE);
    let mut names = Vec::new();
    loop {
        let page = api.list(&parameters).await?;
        names.extend(page.items.iter().filter(|object| chosen.contains(object)).map(ResourceExt::name_any));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => break,
        }
    }
    let named = |name| Workload { kind, name: ObjectName::new(owed.namespace(), name) };
    Ok(names.into_iter().map(named).collect())
}
