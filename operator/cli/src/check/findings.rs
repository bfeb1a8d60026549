//! Findings of the checks.

use jiff::Timestamp;
use serde::Serialize;
use steamer_api::{KindId, OpenBaoCluster};
use steamer_runtime::ObjectName;

use super::facts::{Facts, Operator, Own, Review};
use crate::status::cluster::view;
use crate::style::Style;

/// Lowest version of Kubernetes: major and minor.
const KUBERNETES: (u32, u32) = (1, 31);
/// Lowest version of OpenBao that works, and the lowest one that upstream maintains.
const OPENBAO: [(u32, u32, u32); 2] = [(2, 6, 2), (2, 7, 0)];

/// Result of a check.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) text: String,
}

/// Importance of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    Warn,
    Fail,
}

fn ok(text: impl Into<String>) -> Finding {
    Finding { level: Level::Ok, text: text.into() }
}

fn warn(text: impl Into<String>) -> Finding {
    Finding { level: Level::Warn, text: text.into() }
}

fn fail(text: impl Into<String>) -> Finding {
    Finding { level: Level::Fail, text: text.into() }
}

/// The findings as text.
pub(super) fn text(findings: &[Finding], style: Style) -> String {
    let line = |Finding { level, text }: &Finding| {
        let level = match level {
            Level::Ok => style.good("ok  "),
            Level::Warn => style.doubtful("warn"),
            Level::Fail => style.bad("fail"),
        };
        format!("{level}  {text}\n")
    };
    findings.iter().map(line).collect()
}

/// All findings.
pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = vec![kubernetes(&facts.kubernetes)];
    found.extend(installed(facts));
    found.extend(operators(facts.operators.as_deref()));
    found.push(own(&facts.own));
    found.extend(reviews(&facts.reviews));
    match &facts.clusters {
        None => found.push(warn("OpenBaoClusters are not checked: you may not list them")),
        Some(clusters) if clusters.is_empty() => {
            found.push(warn("there is no OpenBaoCluster: create one, managed or external"));
        }
        Some(clusters) => found.extend(clusters.iter().flat_map(cluster)),
    }
    found
}

fn kubernetes(version: &str) -> Finding {
    let (major, minor) = KUBERNETES;
    match numbers(version)[..] {
        [found_major, found_minor, ..] if (found_major, found_minor) < KUBERNETES => {
            fail(format!("Kubernetes {version} is not supported: {major}.{minor} is the lowest version"))
        }
        _ => ok(format!("Kubernetes {version}")),
    }
}

/// The leading numbers of a version.
fn numbers(version: &str) -> Vec<u32> {
    let parts = version.trim_start_matches('v').split(['.', '-', '+']);
    parts.map_while(|part| part.parse().ok()).collect()
}

fn installed(facts: &Facts) -> Vec<Finding> {
    let missing: Vec<KindId> =
        KindId::ALL.iter().copied().filter(|kind| !facts.served.contains(kind)).collect();
    if !missing.is_empty() {
        let kinds = list(&missing);
        return vec![fail(format!(
            "CustomResourceDefinitions are missing: {kinds}: upgrade the chart steamer-crds"
        ))];
    }
    let all = format!("all {} kinds of steamer.dev/v1alpha1 are installed", KindId::ALL.len());
    vec![match &facts.different {
        None => {
            warn(format!("{all}; their schemas are not compared: you may not read CustomResourceDefinitions"))
        }
        Some(different) if different.is_empty() => ok(format!("{all}, as of {}", env!("CARGO_PKG_VERSION"))),
        Some(different) => warn(format!(
            "{all}, but these differ from those of this plugin ({}): {}: upgrade the chart steamer-crds, or use the plugin of the installed version",
            env!("CARGO_PKG_VERSION"),
            list(different)
        )),
    }]
}

fn list(kinds: &[KindId]) -> String {
    kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
}

fn operators(operators: Option<&[Operator]>) -> Vec<Finding> {
    match operators {
        None => vec![warn("the operator is not checked: you may not list Deployments")],
        Some([]) => vec![fail(
            "there is no Deployment with the label app.kubernetes.io/name=steamer: install the chart steamer",
        )],
        Some(several) => several.iter().flat_map(operator).collect(),
    }
}

fn operator(operator: &Operator) -> Vec<Finding> {
    let Operator { name, image, ready, desired, leader, lease, .. } = operator;
    let state = format!("operator {name}, {image}: {ready} of {desired} pods are ready");
    let pods = if ready == desired && *ready > 0 { ok(state) } else { fail(state) };
    let leads = leader.as_ref().map(|(holder, age)| {
        if age > lease {
            fail(format!("operator {name}: no process leads; {holder} renewed the lease {age} seconds ago"))
        } else {
            ok(format!("operator {name}: {holder} leads"))
        }
    });
    std::iter::once(pods).chain(leads).collect()
}

fn own(own: &Own) -> Finding {
    let Own { namespace, readable, writable } = own;
    let all = KindId::ALL.len();
    let text = format!(
        "in namespace {namespace}, you may read {} and write {} of {all} kinds",
        readable.len(),
        writable.len()
    );
    if readable.len() == all { ok(text) } else { warn(text + ": the role `view` permits reading") }
}

fn reviews(reviews: &[Review]) -> Vec<Finding> {
    let mut found = Vec::new();
    for Review { user, right, advice, allowed } in reviews {
        match allowed {
            Some(true) => found.push(ok(format!("{user} may {right}"))),
            Some(false) => found.push(fail(format!("{user} may not {right}: {advice}"))),
            None => {}
        }
    }
    if reviews.iter().any(|review| review.allowed.is_none()) {
        found.push(warn("the rights of the operator and of OpenBao are not checked: you may not create SubjectAccessReviews"));
    }
    found
}

fn cluster(cluster: &OpenBaoCluster) -> Vec<Finding> {
    let (name, view) = (ObjectName::of(cluster), view(cluster, Timestamp::now()));
    let title = format!("OpenBaoCluster {name}");
    let mut found = Vec::new();
    found.push(if view.is_ready {
        ok(format!("{title} is Ready: {}", view.server))
    } else {
        fail(format!("{title} is not Ready: {}: {}{}", view.state, view.message, hint(cluster, &view.state)))
    });
    found.extend(view.problems.iter().map(|problem| warn(format!("{title}: {problem}"))));
    let version = cluster.status.as_ref().and_then(|status| status.version.as_deref());
    found.extend(version.and_then(|version| openbao(&title, version)));
    found
}

/// What most often prevents the login of the operator at a server that it does not run.
fn hint(cluster: &OpenBaoCluster, reason: &str) -> &'static str {
    let external = cluster.spec.external.as_ref();
    let reviews = external.is_some_and(|external| external.management_auth.kubernetes.is_some());
    if reviews && reason == "PermissionDenied" {
        "; OpenBao needs the right to review tokens: bind the ClusterRole system:auth-delegator to its ServiceAccount, or set token_reviewer_jwt of the auth mount"
    } else {
        ""
    }
}

fn openbao(title: &str, version: &str) -> Option<Finding> {
    let [lowest, maintained] = OPENBAO;
    let [major, minor, patch, ..] = numbers(version)[..] else { return None };
    let found = (major, minor, patch);
    if found < lowest {
        let (a, b, c) = lowest;
        return Some(fail(format!(
            "{title}: OpenBao {version} is not supported: {a}.{b}.{c} is the lowest version"
        )));
    }
    let (a, b, _) = maintained;
    (found < maintained)
        .then(|| warn(format!("{title}: upstream no longer maintains OpenBao {version}: upgrade to {a}.{b}")))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn server(version: &str, ready: (&str, &str)) -> OpenBaoCluster {
        let auth = json!({"kubernetes": {"role": "steamer", "audience": "openbao"}});
        let condition = |kind: &str, status: &str, reason: &str| -> Value {
            json!({"type": kind, "status": status, "reason": reason, "message": "why", "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let conditions =
            [condition("Ready", ready.0, ready.1), condition("OperatorPolicyCurrent", "False", "Drifted")];
        serde_json::from_value(json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": "OpenBaoCluster", "metadata": {"name": "main", "namespace": "openbao"},
            "spec": {"external": {"address": "https://bao", "managementAuth": auth}},
            "status": {"version": version, "conditions": conditions},
        }))
        .unwrap()
    }

    fn good() -> Facts {
        let operator = Operator {
            name: "steamer-system/steamer".to_owned(),
            namespace: "steamer-system".to_owned(),
            account: "steamer".to_owned(),
            image: "steamer:0.1.0".to_owned(),
            ready: 2,
            desired: 2,
            leader: Some(("steamer-7f9c".to_owned(), 3)),
            lease: 15,
        };
        let review = |user: &str, allowed| Review {
            user: user.to_owned(),
            right: "get secrets in openbao".to_owned(),
            advice: "bind the role".to_owned(),
            allowed,
        };
        Facts {
            kubernetes: "v1.34.4".to_owned(),
            served: KindId::ALL.to_vec(),
            different: Some(Vec::new()),
            operators: Some(vec![operator]),
            own: Own { namespace: "web".to_owned(), readable: KindId::ALL.to_vec(), writable: Vec::new() },
            clusters: Some(vec![server("2.7.2", ("True", "Applied"))]),
            reviews: vec![review("operator", Some(true))],
        }
    }

    fn shown(facts: &Facts) -> String {
        text(&findings(facts), Style::Plain)
    }

    #[test]
    fn a_good_installation_has_these_findings() {
        insta::assert_snapshot!(shown(&good()));
    }

    #[test]
    fn a_broken_installation_has_these_findings() {
        let mut facts = good();
        facts.kubernetes = "v1.30.1".to_owned();
        facts.served.retain(|kind| *kind != KindId::BaoPolicy);
        facts.clusters =
            Some(vec![server("2.6.4", ("False", "PermissionDenied")), server("2.5.0", ("False", "Sealed"))]);
        facts.own.readable = vec![KindId::SecretsProject];
        for operator in facts.operators.iter_mut().flatten() {
            (operator.ready, operator.leader) = (0, Some(("steamer-7f9c".to_owned(), 60)));
        }
        for review in &mut facts.reviews {
            review.allowed = Some(false);
        }
        insta::assert_snapshot!(shown(&facts));
    }

    #[test]
    fn what_you_may_not_read_is_a_warning() {
        let mut facts = good();
        (facts.different, facts.operators, facts.clusters) = (None, None, None);
        facts.reviews.iter_mut().for_each(|review| review.allowed = None);
        let found = findings(&facts);
        assert!(found.iter().all(|finding| finding.level != Level::Fail), "{}", shown(&facts));
        assert_eq!(found.iter().filter(|finding| finding.level == Level::Warn).count(), 4);
    }

    #[rstest]
    #[case("v1.34.4", &[1, 34, 4])]
    #[case("1.36.0+k3s1", &[1, 36, 0])]
    #[case("2.7.2", &[2, 7, 2])]
    #[case("unknown", &[])]
    fn a_version_consists_of_numbers(#[case] version: &str, #[case] expected: &[u32]) {
        assert_eq!(numbers(version), expected);
    }
}
