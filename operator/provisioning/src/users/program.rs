//! CEL program of the logins of users.

use steamer_core::layout::DEFAULT_ROLES;
use steamer_openbao::{CelRole, CelVariable};

use super::principal::{TEMPORARY, prefix};
use super::rules::Login;
use crate::cel::{Check, Granted, Lifetime, decision, literal, text, variable};
use crate::pipelines::Tokens;

/// Role of users who manage secrets.
pub(crate) const ROLE_USERS: &str = "all_users";
/// Role of users who read values.
pub(crate) const ROLE_API: &str = "all_api";

/// Project or group whose users can log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UserEntity {
    Project(i64),
    Group(i64),
}

/// Login of users.
pub(crate) struct UserProgram<'a> {
    pub(crate) login: Login,
    /// Tokens of the issuer.
    pub(crate) tokens: &'a Tokens,
    pub(crate) entity: UserEntity,
    /// Accepted audiences. Must not be empty, because OpenBao then accepts every audience.
    pub(crate) audiences: &'a [String],
    pub(crate) lifetime: Lifetime,
    /// Networks from which a token can be used. Empty: any.
    pub(crate) bound_cidrs: &'a [String],
}

/// IDs: numbers without sign, point and leading zeros.
const ID: &str = r#""^[1-9][0-9]{0,18}$""#;

impl UserProgram<'_> {
    /// The CEL role. Policies are computed from numeric claims; a policy that does not exist grants nothing.
    pub(crate) fn role(&self) -> CelRole {
        self.lifetime.role(self.audiences, self.variables(), self.expression())
    }

    fn variables(&self) -> Vec<CelVariable> {
        let (claim, _) = self.entity_claim();
        let listed = |variable: &str, segment: &str| {
            format!(r#"({variable}.matches({ID}) ? ["{segment}" + {variable}] : [])"#)
        };
        let who = [
            listed("user_id", "direct/user_"),
            listed("member_role_id", "direct/member_role_"),
            listed("role_id", "roles/"),
        ];
        [
            ("sub", text("sub")),
            ("scope", text("secrets_manager_scope")),
            ("entity_id", text(claim)),
            ("user_id", text("user_id")),
            ("role_id", text("role_id")),
            ("member_role_id", text("member_role_id")),
            ("who", who.join(" + ")),
            ("granted", self.policies()),
        ]
        .map(|(name, expression)| variable(name, expression))
        .to_vec()
    }

    fn policies(&self) -> String {
        let prefix = prefix(self.login);
        let default = format!("{prefix}/{DEFAULT_ROLES}/");
        format!(
            r#"who.map(w, "{prefix}/" + w) + who.map(w, "{prefix}/{TEMPORARY}/" + w) + (role_id.matches({ID}) ? ["{default}" + role_id, "{default}" + role_id + "/write"] : [])"#
        )
    }

    /// Claim that identifies the project or group, and its value.
    fn entity_claim(&self) -> (&'static str, i64) {
        match self.entity {
            UserEntity::Project(id) => ("project_id", id),
            UserEntity::Group(id) => ("group_id", id),
        }
    }

    fn expression(&self) -> String {
        let Tokens { user, privileged, .. } = self.tokens;
        let begins = |prefix: &String| format!("sub.startsWith({})", literal(prefix));
        let privileged = privileged.as_ref().map(|prefix| Check {
            rejects: begins(prefix),
            message: "the token is privileged: it cannot log in to a project",
        });
        let user = user.as_ref().map(|prefix| Check {
            rejects: format!("!{}", begins(prefix)),
            message: "the subject is not a user",
        });
        let subject = Check { rejects: r#"sub == """#.to_owned(), message: "the token has no subject" };
        let checks = [subject].into_iter().chain(privileged).chain(user);
        decision(checks.chain(self.claim_checks()).chain([Lifetime::check()]), &self.granted())
    }

    fn claim_checks(&self) -> [Check; 4] {
        let (scope, wrong_scope) = match self.login {
            Login::User => ("user", "the token lacks the user scope"),
            Login::Api => ("api", "the token lacks the api scope"),
        };
        let (missing, other) = match self.entity {
            UserEntity::Project(_) => ("the token has no project_id", "the token belongs to another project"),
            UserEntity::Group(_) => ("the token has no group_id", "the token belongs to another group"),
        };
        let (_, id) = self.entity_claim();
        [
            Check { rejects: format!(r#"scope != "{scope}""#), message: wrong_scope },
            Check { rejects: r#"entity_id == """#.to_owned(), message: missing },
            Check { rejects: format!(r#"entity_id != "{id}""#), message: other },
            Check { rejects: format!("!user_id.matches({ID})"), message: "the token has no user_id" },
        ]
    }

    fn granted(&self) -> String {
        let claims =
            ["correlation_id", "project_id", "group_id", "namespace_id", "root_group_id", "organization_id"];
        let claims = claims.map(|claim| (claim, text(claim)));
        let variables = ["user_id", "role_id", "member_role_id", "sub"].map(|name| (name, name.to_owned()));
        Granted {
            display_name: r#""user-" + user_id"#,
            alias: r#""gitlab-user:" + user_id"#,
            policies: "granted",
            metadata: variables.into_iter().chain(claims).collect(),
            bound_cidrs: self.bound_cidrs,
        }
        .expression()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::users("users", Login::User, UserEntity::Project(42))]
    #[case::api("api", Login::Api, UserEntity::Group(7))]
    fn users_have_these_programs(#[case] name: &str, #[case] login: Login, #[case] entity: UserEntity) {
        let spec = serde_json::from_value(json!({"publicKeys": ["key"], "boundIssuer": "i"})).unwrap();
        let tokens = Tokens::of(&steamer_api::JWTIssuer::new("i", spec));
        let lifetime = Lifetime { ttl: Duration::from_secs(30), leeway: Duration::from_secs(60) };
        let audiences = ["https://bao.example.com".to_owned()];
        let bound_cidrs = ["10.0.0.0/8".to_owned()];
        let program = UserProgram {
            login,
            tokens: &tokens,
            entity,
            audiences: &audiences,
            lifetime,
            bound_cidrs: &bound_cidrs,
        };
        insta::assert_yaml_snapshot!(name, program.role());
    }
}
