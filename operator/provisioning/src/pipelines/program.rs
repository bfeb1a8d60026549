//! CEL program of the login of CI jobs.

use std::time::Duration;

use serde_json::json;
use steamer_openbao::{CelProgram, CelRole, CelVariable};

use crate::pipelines::{JobContext, Pattern};

/// Role for the pipeline tokens that GitLab itself requests.
pub const ROLE_PIPELINES: &str = "all_pipelines";
/// Role for ID tokens.
pub const ROLE_ID_TOKENS: &str = "id_tokens";

/// Jobs that can log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entity {
    /// Jobs of the project with this ID.
    Project(i64),
    /// Jobs of all projects below the group with this ID.
    Group(i64),
}

/// Login of CI jobs.
pub struct Program<'a> {
    /// Jobs that can log in.
    pub entity: Entity,
    /// Claim `secrets_manager_scope`. `Some(true)`: it must be `pipeline`. `Some(false)`: it must be absent. None: both
    /// are accepted.
    pub scope_claim: Option<bool>,
    /// Accepted audiences. Must not be empty, because OpenBao then accepts every audience.
    pub audiences: &'a [String],
    /// Lifetime of an OpenBao token.
    pub ttl: Duration,
    /// Allowed clock skew.
    pub leeway: Duration,
    /// Contexts that have a policy.
    pub contexts: &'a [JobContext],
}

/// A reason to reject a login.
struct Check {
    /// CEL expression that is true for a rejected token.
    rejects: String,
    /// Message for the user of the CI job.
    message: &'static str,
}

/// Maximum number of code points in a CEL expression of OpenBao.
const MOST_CODE_POINTS: usize = 100_000;
/// Code points of the list of contexts that no context adds: brackets and the first entry.
const FIRST_ENTRY: usize = 64;
/// Code points that contexts can use.
pub(crate) const MOST_CODE_POINTS_OF_CONTEXTS: usize = MOST_CODE_POINTS - FIRST_ENTRY;

/// Code points that a context adds to the program, with a comma.
pub(crate) fn code_points(context: &JobContext) -> usize {
    entry(context).chars().count() + 1
}

/// The entry of a context in the list of contexts.
fn entry(context: &JobContext) -> String {
    let regex = |pattern: &Option<Pattern>| pattern.as_ref().map(Pattern::regex).unwrap_or_default();
    format!(
        r#"{{"p":"{}","e":r"{}","b":r"{}","r":"{}"}}"#,
        context.policy_name(),
        regex(&context.environment),
        regex(&context.branch),
        context.ref_protected.map(|required| required.to_string()).unwrap_or_default()
    )
}

/// A claim as text. Empty if the claim is absent or has no text: `string` of a list, a map or null would end the login
/// with an error that contains the program.
fn text(claim: &str) -> String {
    let value = format!(r#"claims[?"{claim}"].orValue("")"#);
    scalar(&value)
}

/// A CEL expression: a value as text, or the empty text for a value without text.
fn scalar(value: &str) -> String {
    let types = ["string", "double", "int", "uint", "bool"];
    let checks = types.map(|kind| format!("type({value}) == {kind}")).join(" || ");
    format!(r#"({checks} ? string({value}) : "")"#)
}

impl Program<'_> {
    /// The CEL role. Its literals are numbers, results of [`JobContext::policy_name`] and results of [`Pattern::regex`]:
    /// the program never contains text of a user unescaped.
    #[must_use]
    pub fn role(&self) -> CelRole {
        let leeway = i64::try_from(self.leeway.as_secs()).unwrap_or(60);
        CelRole {
            cel_program: CelProgram { variables: self.variables(), expression: self.expression() },
            bound_audiences: self.audiences.to_vec(),
            clock_skew_leeway: leeway.max(1),
            expiration_leeway: leeway.max(1),
            not_before_leeway: leeway.max(1),
        }
    }

    fn variables(&self) -> Vec<CelVariable> {
        // Tags and merge requests have a `ref` too: only `ref_type`, and `ref_path` if present, identify a branch.
        let branch = r#"ref_type == "branch" && (ref_path == "" || ref_path == "refs/heads/" + ref_name) ? ref_name : """#;
        let matched = "contexts.filter(c, \
             (c.e == \"\" || (env != \"\" && env.matches(c.e))) && \
             (c.b == \"\" || (branch != \"\" && branch.matches(c.b))) && \
             (c.r == \"\" || c.r == ref_protected)).map(c, c.p)";
        [
            ("sub", text("sub")),
            ("project_id", text("project_id")),
            ("env", text("environment")),
            ("ref_name", text("ref")),
            ("ref_type", text("ref_type")),
            ("ref_path", text("ref_path")),
            ("ref_protected", text("ref_protected")),
            ("branch", branch.to_owned()),
            ("contexts", self.contexts()),
            ("matched", matched.to_owned()),
        ]
        .map(|(name, expression)| CelVariable { name: name.to_owned(), expression })
        .to_vec()
    }

    fn contexts(&self) -> String {
        // The first entry matches every job. It also determines the type of a list without other entries.
        let global = JobContext::default();
        let first = format!(r#"{{"p":"{}","e":"","b":"","r":""}}"#, global.policy_name());
        let others = self.contexts.iter().filter(|context| **context != global).map(entry);
        format!("[{}]", std::iter::once(first).chain(others).collect::<Vec<_>>().join(","))
    }

    fn expression(&self) -> String {
        let project = r#"project_id == """#.to_owned();
        let pipeline = r#"!sub.startsWith("project_path:")"#.to_owned();
        let star = r#"env.contains("*") || ref_name.contains("*")"#.to_owned();
        let checks = [
            Some(Check { rejects: pipeline, message: "the subject is not a pipeline" }),
            Some(Check { rejects: project, message: "the token has no project_id" }),
            self.scope_check(),
            Some(self.entity_check()),
            Some(Check { rejects: star, message: "environments and refs that contain * are not accepted" }),
        ];
        let checks = checks
            .into_iter()
            .flatten()
            .map(|Check { rejects, message }| format!("{rejects} ? {} : ", json!(message)));
        checks.collect::<String>() + &self.granted()
    }

    fn scope_check(&self) -> Option<Check> {
        Some(if self.scope_claim? {
            let rejects = format!(r#"{} != "pipeline""#, text("secrets_manager_scope"));
            Check { rejects, message: "the token lacks the pipeline scope" }
        } else {
            let rejects = r#"claims[?"secrets_manager_scope"].hasValue()"#.to_owned();
            Check { rejects, message: "the role does not accept tokens with a scope" }
        })
    }

    fn entity_check(&self) -> Check {
        match self.entity {
            Entity::Project(id) => {
                let rejects = format!(r#"project_id != "{id}""#);
                Check { rejects, message: "the token belongs to another project" }
            }
            Entity::Group(id) => {
                let groups = r#"claims[?"project_group_ids"].orValue([])"#;
                let group = scalar("g");
                let rejects = format!(r#"type({groups}) != list || !{groups}.exists(g, {group} == "{id}")"#);
                Check { rejects, message: "the token belongs to a project outside the group" }
            }
        }
    }

    fn granted(&self) -> String {
        let nanoseconds = self.ttl.as_nanos().max(1_000_000_000);
        let metadata = ["project_id", "pipeline_id", "job_id", "user_id", "ref", "environment"]
            .map(|claim| format!(r#""{claim}": {}"#, text(claim)));
        // Batch tokens are not stored: only the first login of a project writes to OpenBao.
        format!(
            "pb.Auth{{display_name: \"pipeline-\" + project_id, policies: matched, no_default_policy: true, \
             token_type: 2u, alias: logical.Alias{{name: \"pipeline:\" + project_id}}, \
             lease_options: pb.LeaseOptions{{TTL: {nanoseconds}, MaxTTL: {nanoseconds}, issue_time: now}}, \
             metadata: {{{}}}}}",
            metadata.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn program<'a>(audiences: &'a [String], contexts: &'a [JobContext]) -> Program<'a> {
        Program {
            entity: Entity::Project(42),
            scope_claim: Some(true),
            audiences,
            ttl: Duration::from_secs(300),
            leeway: Duration::from_secs(60),
            contexts,
        }
    }

    #[test]
    fn a_project_has_this_program() {
        let contexts = [
            JobContext::default(),
            JobContext {
                environment: Pattern::new("review/*"),
                branch: Pattern::new("main"),
                ref_protected: None,
            },
            JobContext { branch: Pattern::new("main"), ref_protected: Some(true), ..JobContext::default() },
        ];
        let audiences = ["https://bao.example.com".to_owned()];
        insta::assert_yaml_snapshot!(program(&audiences, &contexts).role());
    }

    #[rstest]
    #[case(
        Some(true),
        r#"string(claims[?"secrets_manager_scope"].orValue("")) : "") != "pipeline" ? "the token lacks the pipeline scope" : "#
    )]
    #[case(
        Some(false),
        r#"claims[?"secrets_manager_scope"].hasValue() ? "the role does not accept tokens with a scope" : "#
    )]
    fn a_role_requires_or_rejects_the_scope(#[case] scope_claim: Option<bool>, #[case] expected: &str) {
        let expression = Program { scope_claim, ..program(&[], &[]) }.expression();
        assert!(expression.contains(expected), "{expression}");
        assert!(!Program { scope_claim: None, ..program(&[], &[]) }.expression().contains(expected));
    }

    #[test]
    fn the_size_of_the_contexts_is_computed_exactly_enough() {
        let context = |number: usize| JobContext {
            environment: Pattern::new(&format!("release/{number}/*")),
            branch: Pattern::new(&"ü".repeat(number)),
            ref_protected: number.is_multiple_of(2).then_some(true),
        };
        let contexts: Vec<JobContext> = (1..40).map(context).collect();
        let size = program(&[], &contexts).contexts().chars().count();
        let computed: usize = contexts.iter().map(code_points).sum();
        assert!(size <= computed + FIRST_ENTRY && computed <= size, "{size} {computed}");
    }

    #[test]
    fn a_group_accepts_the_projects_below_it() {
        let expression = Program { entity: Entity::Group(7), ..program(&[], &[]) }.expression();
        let expected = r#"type(claims[?"project_group_ids"].orValue([])) != list || !claims[?"project_group_ids"].orValue([]).exists(g, (type(g) == string || type(g) == double || type(g) == int || type(g) == uint || type(g) == bool ? string(g) : "") == "7") ? "the token belongs to a project outside the group" : "#;
        assert!(expression.contains(expected), "{expression}");
    }
}
