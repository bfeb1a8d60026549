use std::time::Duration;

use serde_json::json;
use steamer_openbao::{CelProgram, CelRole, CelVariable};

use crate::pipelines::{JobContext, Pattern};

/// The role of GitLab's own pipeline JWTs.
pub const ROLE_PIPELINES: &str = "all_pipelines";
/// The role of plain ID tokens.
pub const ROLE_ID_TOKENS: &str = "id_tokens";

/// Whose jobs are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entity {
    /// Those of this project.
    Project(i64),
    /// Those of every project below this group.
    Group(i64),
}

/// A login of jobs, as a CEL role.
pub struct Program<'a> {
    /// Whose jobs.
    pub entity: Entity,
    /// The claim `secrets_manager_scope`: `Some(true)` must be `pipeline`, `Some(false)` must be absent, none: either.
    pub scope_claim: Option<bool>,
    /// Audiences; at least one, for an empty list would accept any.
    pub audiences: &'a [String],
    /// How long a token lives.
    pub ttl: Duration,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// The contexts that have a policy.
    pub contexts: &'a [JobContext],
}

impl Program<'_> {
    /// The role. Every literal in it is a number, a name made by [`JobContext::policy_name`], or made by
    /// [`Pattern::regex`]: nothing a user wrote stands in the program as it is.
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
        let text = |claim: &str| format!(r#"string(claims[?"{claim}"].orValue(""))"#);
        // A ref is a branch only where everything that says so agrees: tags and merge requests carry a `ref` too.
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
        let regex = |pattern: &Option<Pattern>| pattern.as_ref().map(Pattern::regex).unwrap_or_default();
        let entries = self.contexts.iter().map(|context| {
            format!(
                r#"{{"p":"{}","e":r"{}","b":r"{}","r":"{}"}}"#,
                context.policy_name(),
                regex(&context.environment),
                regex(&context.branch),
                context.ref_protected.map(|yes| yes.to_string()).unwrap_or_default()
            )
        });
        // The first entry is for every job and keeps the list's type known where it has no other.
        let global = r#"{"p":"pipelines/global","e":"","b":"","r":""}"#.to_owned();
        let others = entries.filter(|entry| !entry.starts_with(r#"{"p":"pipelines/global""#));
        format!("[{}]", std::iter::once(global).chain(others).collect::<Vec<_>>().join(","))
    }

    fn expression(&self) -> String {
        let mut checks = vec![
            (r#"!sub.startsWith("project_path:")"#.to_owned(), "the subject is not a pipeline's"),
            (r#"project_id == """#.to_owned(), "the token has no project_id"),
        ];
        match self.scope_claim {
            Some(true) => checks.push((
                r#"string(claims[?"secrets_manager_scope"].orValue("")) != "pipeline""#.to_owned(),
                "the token has not the scope of a pipeline",
            )),
            Some(false) => checks.push((
                r#"claims[?"secrets_manager_scope"].hasValue()"#.to_owned(),
                "a token with a scope is not for this role",
            )),
            None => {}
        }
        checks.push(match self.entity {
            Entity::Project(id) => (format!(r#"project_id != "{id}""#), "the token is of another project"),
            Entity::Group(id) => (
                format!(
                    r#"type(claims[?"project_group_ids"].orValue([])) != list || !claims[?"project_group_ids"].orValue([]).exists(g, string(g) == "{id}")"#
                ),
                "the token is of a project outside the group",
            ),
        });
        checks.push((
            r#"env.contains("*") || ref_name.contains("*")"#.to_owned(),
            "an environment or ref with a * is not let in",
        ));
        let mut expression = String::new();
        for (refused, why) in checks {
            expression.push_str(&format!("{refused} ? {} : ", json!(why)));
        }
        expression + &self.granted()
    }

    fn granted(&self) -> String {
        let nanoseconds = self.ttl.as_nanos().max(1_000_000_000);
        let metadata = ["project_id", "pipeline_id", "job_id", "user_id", "ref", "environment"]
            .map(|claim| format!(r#""{claim}": string(claims[?"{claim}"].orValue(""))"#));
        // A batch token is not stored: a login writes nothing to OpenBao but the first of a project.
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
    use super::*;

    #[test]
    fn the_program_of_a_project_reads_like_this() {
        let contexts = [
            JobContext::default(),
            JobContext {
                environment: Pattern::new("review/*"),
                branch: Pattern::new("main"),
                ref_protected: None,
            },
            JobContext { branch: Pattern::new("main"), ref_protected: Some(true), ..JobContext::default() },
        ];
        let program = Program {
            entity: Entity::Project(42),
            scope_claim: Some(true),
            audiences: &["https://bao.example.com".to_owned()],
            ttl: Duration::from_secs(300),
            leeway: Duration::from_secs(60),
            contexts: &contexts,
        };
        insta::assert_yaml_snapshot!(program.role());
    }
}
