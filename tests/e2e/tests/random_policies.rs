//! Random PipelinePolicies: OpenBao accepts every generated policy and stores the intended paths, and jobs can read
//! exactly the intended secrets. The intention is computed here, independently of the code under test.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use steamer_api::PipelinePolicy;
use steamer_openbao::Error;
use steamer_provisioning::pipelines::{JobContext, Pattern};

use crate::fixture::Case;
use crate::tenancy::readable_with;

const PAST: &str = "2020-01-01T00:00:00Z";
const FUTURE: &str = "2099-01-01T00:00:00Z";

#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) environments: Vec<String>,
    pub(crate) branches: Vec<String>,
    ref_protected: Option<bool>,
    secrets: BTreeSet<u8>,
    expires: Option<bool>,
    cancelled: bool,
}

/// Patterns for names that GitLab allows.
fn environment() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c*]{1,6}",
        "[a-zA-Z0-9_${}. *-][a-zA-Z0-9_${}. */-]{0,18}[a-zA-Z0-9_${}. *-]",
        "(prod|Prod|PROD|main|release/\\*|\\*|review/\\*|\\$\\{a\\}|\\.\\*){1,4}",
    ]
}

/// Patterns for names that git allows.
fn branch() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c*]{1,6}",
        "[a-zA-Z0-9_*\"'(){}$,;=+%&#<>ßü][a-zA-Z0-9_*\"'(){}$,;=+%&#<>ßü!-]{0,18}",
        "(prod|Prod|PROD|main|release/\\*|\\*|review/\\*|\"|'|\\$\\{a\\}|\\)\\(){1,4}",
    ]
}

pub(crate) fn spec() -> impl Strategy<Value = Spec> {
    let list = |texts: BTreeSet<String>| texts.into_iter().collect::<Vec<_>>();
    let environments = prop::collection::btree_set(environment(), 0..3).prop_map(list);
    let branches = prop::collection::btree_set(branch(), 0..3).prop_map(list);
    let secrets = prop::collection::btree_set(0_u8..8, 1..4);
    let rare = prop_oneof![9 => Just(None), 1 => Just(Some(false)), 2 => Just(Some(true))];
    let parts = (environments, branches, any::<Option<bool>>(), secrets, rare, prop::bool::weighted(0.1));
    parts.prop_map(|(environments, branches, ref_protected, secrets, expires, cancelled)| Spec {
        environments,
        branches,
        ref_protected,
        secrets,
        expires,
        cancelled,
    })
}

impl Spec {
    pub(crate) fn object(&self) -> Value {
        let secrets: Vec<Value> =
            self.secrets.iter().map(|number| json!({"name": format!("S{number}")})).collect();
        let mut spec = json!({
            "projectRef": {"name": "web"}, "environments": self.environments, "branches": self.branches,
            "secrets": secrets, "cancelled": self.cancelled,
        });
        if let Some(yes) = self.ref_protected {
            spec["when"] = json!({"refProtected": yes});
        }
        if let Some(future) = self.expires {
            spec["expiresAt"] = json!(if future { FUTURE } else { PAST });
        }
        spec
    }

    fn in_force(&self) -> bool {
        !self.cancelled && self.expires != Some(false)
    }

    fn gives(&self, job: &Job) -> bool {
        let any = |patterns: &[String], name: &str| {
            // A pattern of stars alone has no condition, not even that a name is set.
            let stars = |pattern: &String| pattern.chars().all(|character| character == '*');
            let named = !name.is_empty() && patterns.iter().any(|pattern| matches(pattern, name));
            patterns.is_empty() || patterns.iter().any(stars) || named
        };
        self.in_force()
            && any(&self.environments, &job.environment)
            && any(&self.branches, &job.branch)
            && self.ref_protected.is_none_or(|yes| yes == job.protected)
    }

    /// Returns the contexts of the policy; an empty list is "any".
    fn contexts(&self) -> Vec<JobContext> {
        // A pattern of stars alone makes the others redundant.
        let each = |texts: &[String]| {
            let patterns: Option<Vec<Pattern>> = texts.iter().map(|text| Pattern::new(text)).collect();
            let patterns = patterns.filter(|patterns| !patterns.is_empty());
            patterns.map_or(vec![None], |patterns| patterns.into_iter().map(Some).collect())
        };
        let (environments, branches) = (each(&self.environments), each(&self.branches));
        let pairs = environments
            .iter()
            .flat_map(|environment| branches.iter().map(move |branch| (environment, branch)));
        let context = |(environment, branch): (&Option<Pattern>, &Option<Pattern>)| JobContext {
            environment: environment.clone(),
            branch: branch.clone(),
            ref_protected: self.ref_protected,
            ..JobContext::default()
        };
        pairs.map(context).collect()
    }
}

/// Matches `*` with any text and every other character with itself.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.chars().next() {
        None => name.is_empty(),
        Some('*') => {
            let mut rests = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            rests.any(|at| matches(&pattern[1..], &name[at..]))
        }
        Some(character) => {
            name.strip_prefix(character).is_some_and(|rest| matches(&pattern[character.len_utf8()..], rest))
        }
    }
}

#[derive(Clone, Debug)]
struct Job {
    environment: String,
    branch: String,
    protected: bool,
}

pub(crate) fn draw<T: std::fmt::Debug>(
    runner: &mut TestRunner,
    strategy: impl Strategy<Value = T>,
) -> Result<T> {
    Ok(strategy.new_tree(runner).map_err(|reason| anyhow!("{reason}"))?.current())
}

#[tokio::test]
async fn random_policies_are_accepted_and_grant_exactly_the_intended_secrets() -> Result<()> {
    let case = Case::new("policies-random").await?;
    let namespace = case.project(206).await?;
    let names: Vec<String> = (0..8).map(|number| format!("S{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    case.values(&namespace, &names).await?;
    let mut runner = TestRunner::deterministic();
    let mut specs = Vec::new();
    for _ in 0..40 {
        specs.push(draw(&mut runner, spec())?);
    }
    for (number, spec) in specs.iter().enumerate() {
        case.object("PipelinePolicy", &format!("p{number}"), spec.object()).await?;
    }
    for number in 0..specs.len() {
        case.ready::<PipelinePolicy>(&format!("p{number}"), "True/").await?;
    }

    // OpenBao contains exactly the intended paths.
    let mut meant: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for spec in specs.iter().filter(|spec| !spec.cancelled && spec.expires != Some(false)) {
        for context in spec.contexts() {
            let paths = spec.secrets.iter().flat_map(|number| {
                ["data", "metadata"].map(|kind| format!("secrets/kv/{kind}/explicit/S{number}"))
            });
            meant.entry(context.policy_name()).or_default().extend(paths);
        }
    }
    let mut found = BTreeMap::new();
    for (name, policy) in case.admin()?.within(&namespace).policies_below("pipelines").await? {
        let policy: Value = serde_json::from_str(&policy.policy)?;
        let paths = policy["path"].as_object().into_iter().flatten();
        for (path, rule) in paths.clone() {
            assert_eq!(rule["capabilities"], json!(["read"]), "{name} {path}");
        }
        found.insert(name, paths.map(|(path, _)| path.clone()).collect::<BTreeSet<_>>());
    }
    assert_eq!(found, meant);

    // Jobs, many of them with names derived from the patterns, with their stars replaced.
    let mut fitting = 0;
    for number in 0..60 {
        let like = |texts: &[String], fill: &str| texts.first().map(|text| text.replace('*', fill));
        let spec = &specs[number % specs.len()];
        let job = Job {
            environment: like(&spec.environments, "x/\n").unwrap_or_default(),
            branch: like(&spec.branches, "").unwrap_or_else(|| "main".to_owned()),
            protected: draw(&mut runner, any::<bool>())?,
        };
        let mut claims = case.claims();
        claims["ref"] = json!(job.branch);
        claims["ref_path"] = json!(format!("refs/heads/{}", job.branch));
        claims["ref_protected"] = json!(job.protected.to_string());
        if !job.environment.is_empty() {
            claims["environment"] = json!(job.environment);
        }
        let granted: BTreeSet<&u8> =
            specs.iter().filter(|spec| spec.gives(&job)).flat_map(|spec| &spec.secrets).collect();
        let expected: Vec<String> = granted.into_iter().map(|number| format!("S{number}")).collect();
        fitting += usize::from(!expected.is_empty());
        let jwt = case.ground.issuer.sign("key-1", &claims)?;
        let seen = match case.login(&namespace, "all_pipelines", &jwt).await {
            Ok(session) => readable_with(&session, &names).await?,
            Err(Error::Denied { .. } | Error::Invalid { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        assert_eq!(seen, expected, "{job:?}");
    }
    assert!(fitting >= 30, "only {fitting} of 60 jobs can read anything: the test proves nothing");
    Ok(())
}
