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
pub(super) async fn selected(client: &Client, owed: &Owed<'_>) -> Selected {
    let mut lists = targets(client, owed).await;
    if owed.settings.mode == RestartMode::Consumers {
        for kind in WorkloadKind::ALL {
            lists.push(consumers(client, owed, kind).await);
        }
    }
    joined(lists)
}

/// The targets by name, and those that selectors match.
pub(super) async fn targeted(client: &Client, owed: &Owed<'_>) -> Selected {
    joined(targets(client, owed).await)
}

async fn targets(client: &Client, owed: &Owed<'_>) -> Vec<Result<Vec<Workload>, Problem>> {
    let mut lists = Vec::new();
    for target in owed.targets {
        lists.push(of_target(client, owed, target).await);
    }
    lists
}

/// Joins lists of workloads. A list that failed does not prevent the restarts of the others.
fn joined(lists: Vec<Result<Vec<Workload>, Problem>>) -> Selected {
    let (mut workloads, mut problems) = (BTreeSet::new(), Vec::new());
    for listed in lists {
        match listed {
            Ok(listed) => workloads.extend(listed),
            Err(problem) => problems.push(problem),
        }
    }
    Selected { workloads: workloads.into_iter().collect(), problems }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_cannot_be_listed_does_not_prevent_the_restarts_of_the_others() {
        let workload =
            |name: &str| Workload { kind: WorkloadKind::Deployment, name: ObjectName::new("web", name) };
        let problem = Problem::contended(&workload("x"));
        let lists =
            vec![Ok(vec![workload("b")]), Err(problem.clone()), Ok(vec![workload("a"), workload("b")])];
        let expected = Selected { workloads: vec![workload("a"), workload("b")], problems: vec![problem] };
        assert_eq!(joined(lists), expected);
    }
}
