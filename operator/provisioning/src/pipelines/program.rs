//! CEL program of the login of CI jobs.

use std::time::Duration;

use serde_json::json;
use steamer_core::layout::PIPELINE_POLICIES;
use steamer_openbao::{CelRole, CelVariable};

use crate::cel::{Check, Granted, Lifetime, decision, literal, optional_text, scalar, text, variable};
use crate::pipelines::{JobContext, Pattern, Tokens};

/// Role for the pipeline tokens that GitLab itself requests, and for the jobs of other issuers.
pub const ROLE_PIPELINES: &str = "all_pipelines";
/// Role for ID tokens.
pub const ROLE_ID_TOKENS: &str = "id_tokens";

/// Jobs that can log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entity<'a> {
    /// Jobs of the project with this ID.
    Project(i64),
    /// Jobs of all projects below the group with this ID.
    Group(i64),
    /// Tokens with one of these subjects.
    Subjects(&'a [String]),
}

/// Login of CI jobs.
pub struct Program<'a> {
    /// Tokens of the issuer.
    pub tokens: &'a Tokens,
    /// Jobs that can log in.
    pub entity: Entity<'a>,
    /// Claim `secrets_manager_scope`. `Some(true)`: it must be `pipeline`. `Some(false)`: it must be absent. None: both
    /// are accepted.
    pub scope_claim: Option<bool>,
    /// Accepted audiences. Must not be empty, because OpenBao then accepts every audience.
    pub audiences: &'a [String],
    /// Longest lifetime of an OpenBao token.
    pub ttl: Duration,
    /// Allowed clock skew.
    pub leeway: Duration,
    /// Contexts that have a policy.
    pub contexts: &'a [JobContext],
    /// Prefix of the policies.
    pub policies: &'a str,
}

/// Last segment of a name that no policy has.
const NO_POLICY: &str = "none";
/// Maximum number of code points in a CEL expression of OpenBao.
const MOST_CODE_POINTS: usize = 100_000;
/// Code points of the list of contexts that no context adds: brackets and the first entry.
const FIRST_ENTRY: usize = 96;
/// Code points that contexts can use.
pub(crate) const MOST_CODE_POINTS_OF_CONTEXTS: usize = MOST_CODE_POINTS - FIRST_ENTRY;

/// Code points that a context adds to the program, with a comma.
pub(crate) fn code_points(context: &JobContext, policies: &str) -> usize {
    entry(context, policies).chars().count() + 1
}

/// The entry of a context in the list of contexts.
fn entry(context: &JobContext, policies: &str) -> String {
    let regex = |pattern: &Option<Pattern>| pattern.as_ref().map(Pattern::regex).unwrap_or_default();
    let scope = context.scope.as_ref().map(|scope| format!(r#","k":{}"#, literal(scope)));
    let conditions = context.when.entries().into_iter().map(|(key, value)| format!(r#","{key}":r"{value}""#));
    format!(
        r#"{{"p":"{}","e":r"{}","b":r"{}","r":"{}"{}}}"#,
        context.policy_name_below(policies),
        regex(&context.environment),
        regex(&context.branch),
        context.ref_protected.map(|required| required.to_string()).unwrap_or_default(),
        conditions.chain(scope).collect::<String>()
    )
}

/// Contexts of the job. An empty regular expression matches every text.
const MATCHED: &str = "contexts.filter(c, \
     (c.e == \"\" || (env != \"\" && env.matches(c.e))) && \
     (c.b == \"\" || (branch != \"\" && branch.matches(c.b))) && \
     (c.r == \"\" || c.r == ref_protected) && \
     c[?\"v\"].orValue(env_protected) == env_protected && \
     tier.matches(c[?\"t\"].orValue(\"\")) && \
     source.matches(c[?\"s\"].orValue(\"\")) && \
     user_id.matches(c[?\"u\"].orValue(\"\")) && \
     pipeline_id.matches(c[?\"i\"].orValue(\"\")) && \
     (c[?\"k\"].orValue(\"\") == \"\" || c[?\"k\"].orValue(\"\") in scopes)).map(c, c.p)";

impl Program<'_> {
    /// The CEL role. Its literals are numbers, encoded texts, results of [`JobContext::policy_name`] and results of
    /// [`Pattern::regex`]: the program never contains text of a user unescaped.
    #[must_use]
    pub fn role(&self) -> CelRole {
        let lifetime = Lifetime { ttl: self.ttl, leeway: self.leeway };
        lifetime.role(self.audiences, self.variables(), self.expression())
    }

    fn variables(&self) -> Vec<CelVariable> {
        let tokens = self.tokens;
        [
            ("sub", text("sub")),
            ("project_id", optional_text(tokens.project())),
            ("env", optional_text(tokens.environment())),
            ("ref_name", optional_text(tokens.ref_name())),
            ("ref_protected", optional_text(tokens.ref_protected())),
            ("branch", tokens.branch()),
            ("env_protected", optional_text(tokens.environment_protected())),
            ("tier", optional_text(tokens.tier())),
            ("source", optional_text(tokens.source())),
            ("user_id", optional_text(tokens.user_id())),
            ("pipeline_id", optional_text(tokens.pipeline_id())),
            ("scopes", self.scopes()),
            ("contexts", self.contexts()),
            ("matched", MATCHED.to_owned()),
        ]
        .map(|(name, expression)| variable(name, expression))
        .to_vec()
    }

    /// The scopes of the token. A claim that is no list counts as absent.
    fn scopes(&self) -> String {
        match &self.tokens.scopes {
            None => "[]".to_owned(),
            Some(claim) => {
                let value = format!("claims[?{}].orValue([])", literal(claim));
                format!("type({value}) == list ? {value} : []")
            }
        }
    }

    fn contexts(&self) -> String {
        // The first entry matches every job. It also determines the type of a list without other entries. A policy that an
        // additional issuer of the same name left must not apply, so that the name is that of no policy.
        let global = JobContext::default();
        let is_named = self.policies == PIPELINE_POLICIES || self.contexts.contains(&global);
        let name = if is_named {
            global.policy_name_below(self.policies)
        } else {
            format!("{}/{NO_POLICY}", self.policies)
        };
        let first = format!(r#"{{"p":"{name}","e":"","b":"","r":""}}"#);
        let others = self.contexts.iter().filter(|context| **context != global);
        let others = others.map(|context| entry(context, self.policies));
        format!("[{}]", std::iter::once(first).chain(others).collect::<Vec<_>>().join(","))
    }

    fn expression(&self) -> String {
        let star = r#"env.contains("*") || branch.contains("*") || ref_name.contains("*")"#.to_owned();
        let checks = self.subject_checks().into_iter().chain(self.entity_checks());
        let star = Check { rejects: star, message: "environments and refs that contain * are not accepted" };
        decision(checks.chain([star, Lifetime::check()]), &self.granted())
    }

    fn subject_checks(&self) -> Vec<Check> {
        let Tokens { pipeline, user, privileged, .. } = self.tokens;
        let begins = |prefix: &String| format!("sub.startsWith({})", literal(prefix));
        let check = |rejects: Option<String>, message| Some(Check { rejects: rejects?, message });
        let checks = [
            check(Some(r#"sub == """#.to_owned()), "the token has no subject"),
            check(privileged.as_ref().map(begins), "the token is privileged: it cannot log in to a project"),
            // Without a prefix of pipelines, every other subject is accepted.
            check(user.as_ref().filter(|_| pipeline.is_none()).map(begins), "the subject is a user"),
            check(
                pipeline.as_ref().map(|prefix| format!("!{}", begins(prefix))),
                "the subject is not a pipeline",
            ),
        ];
        checks.into_iter().flatten().collect()
    }

    fn entity_checks(&self) -> Vec<Check> {
        let missing =
            || Check { rejects: r#"project_id == """#.to_owned(), message: "the token has no project_id" };
        let scope = self.scope_check();
        match self.entity {
            Entity::Project(id) => {
                let rejects = format!(r#"project_id != "{id}""#);
                let other = Check { rejects, message: "the token belongs to another project" };
                [Some(missing()), scope, Some(other)].into_iter().flatten().collect()
            }
            Entity::Group(id) => {
                [Some(missing()), scope, Some(self.group_check(id))].into_iter().flatten().collect()
            }
            Entity::Subjects(subjects) => {
                let rejects = format!("!(sub in {})", json!(subjects));
                let other = Check { rejects, message: "the subject is not in the list of the project" };
                scope.into_iter().chain([other]).collect()
            }
        }
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

    /// The groups of a project are a list, or the ID of its only group.
    fn group_check(&self, id: i64) -> Check {
        let groups = format!("claims[?{}].orValue([])", literal(self.tokens.groups().unwrap_or_default()));
        let (group, only) = (scalar("g"), scalar(&groups));
        let rejects = if self.tokens.has_scope_claim() {
            format!(r#"type({groups}) != list || !{groups}.exists(g, {group} == "{id}")"#)
        } else {
            format!(r#"!(type({groups}) == list ? {groups}.exists(g, {group} == "{id}") : {only} == "{id}")"#)
        };
        Check { rejects, message: "the token belongs to a project outside the group" }
    }

    fn granted(&self) -> String {
        let (name, alias) = match self.entity {
            Entity::Subjects(_) => (r#""pipeline-" + sub"#, r#""pipeline:" + sub"#),
            _ => (r#""pipeline-" + project_id"#, r#""pipeline:" + project_id"#),
        };
        let variables = ["project_id", "pipeline_id", "user_id", "sub"].map(|name| (name, name.to_owned()));
        let claims = ["correlation_id", "namespace_id", "job_id"].map(|claim| (claim, text(claim)));
        let named = [("ref", "ref_name".to_owned()), ("environment", "env".to_owned())];
        let metadata = variables.into_iter().chain(claims).chain(named).collect();
        Granted { display_name: name, alias, policies: "matched", metadata, bound_cidrs: &[] }.expression()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn tokens(profile: &str) -> Tokens {
        let spec = json!({"profile": profile, "publicKeys": ["key"], "boundIssuer": "i"});
        Tokens::of(&steamer_api::JWTIssuer::new("i", serde_json::from_value(spec).unwrap()))
    }

    static GITLAB: std::sync::LazyLock<Tokens> = std::sync::LazyLock::new(|| tokens("GitLab"));

    fn program<'a>(audiences: &'a [String], contexts: &'a [JobContext]) -> Program<'a> {
        Program {
            tokens: &GITLAB,
            policies: "pipelines",
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
                ..JobContext::default()
            },
            JobContext::of_scope("a\"b"),
            JobContext {
                when: crate::pipelines::Conditions { users: [7].into(), ..Default::default() },
                ..JobContext::default()
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
            ..JobContext::default()
        };
        let contexts: Vec<JobContext> = (1..40).map(context).collect();
        let size = program(&[], &contexts).contexts().chars().count();
        let computed: usize = contexts.iter().map(|context| code_points(context, "pipelines")).sum();
        assert!(size <= computed + FIRST_ENTRY && computed <= size, "{size} {computed}");
    }

    #[test]
    fn a_policy_that_another_issuer_left_does_not_apply() {
        let first =
            |policies, contexts: &[JobContext]| Program { policies, ..program(&[], contexts) }.contexts();
        let branch = [JobContext { branch: Pattern::new("main"), ..JobContext::default() }];
        assert!(first("pipelines_gitea", &branch).starts_with(r#"[{"p":"pipelines_gitea/none","#));
        let global = [JobContext::default()];
        assert!(first("pipelines_gitea", &global).starts_with(r#"[{"p":"pipelines_gitea/global","#));
        assert!(first("pipelines", &[]).starts_with(r#"[{"p":"pipelines/global","#));
    }

    #[test]
    fn a_group_accepts_the_projects_below_it() {
        let expression = Program { entity: Entity::Group(7), ..program(&[], &[]) }.expression();
        let expected = r#"type(claims[?"project_group_ids"].orValue([])) != list || !claims[?"project_group_ids"].orValue([]).exists(g, (type(g) == double && g > -9007199254740992.0 && g < 9007199254740992.0 && g == double(int(g)) ? string(int(g)) : type(g) == string || type(g) == double || type(g) == int || type(g) == uint || type(g) == bool ? string(g) : "") == "7") ? "the token belongs to a project outside the group" : "#;
        assert!(expression.contains(expected), "{expression}");
    }

    #[test]
    fn tokens_of_another_issuer_are_identified_by_their_repository_or_subject() {
        let (github, kubernetes) = (tokens("GitHub"), tokens("Kubernetes"));
        let of =
            |tokens, entity| Program { tokens, entity, scope_claim: None, ..program(&[], &[]) }.expression();
        let group = of(&github, Entity::Group(65));
        assert!(group.contains(r#"claims[?"repository_owner_id"]"#), "{group}");
        assert!(
            group.starts_with(r#"sub == "" ? "the token has no subject" : !sub.startsWith("repo:")"#),
            "{group}"
        );
        let subjects = ["system:serviceaccount:ci:\"x".to_owned()];
        let listed = of(&kubernetes, Entity::Subjects(&subjects));
        assert!(listed.contains(r#"!(sub in ["system:serviceaccount:ci:\"x"]) ? "#), "{listed}");
        assert!(!listed.contains("project_id == "), "{listed}");
    }
}
