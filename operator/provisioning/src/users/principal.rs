//! Principals and the names of their policies.

use std::fmt;

use steamer_api::{AccessLevel, Principal};
use steamer_core::layout::{API_POLICIES, DEFAULT_ROLES, USER_POLICIES, is_default_policy};

use super::rules::Login;

/// Who gets the access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// Everyone with that access level.
    Role(i64),
    /// A user.
    User(i64),
    /// Everyone with a custom role.
    MemberRole(i64),
}

/// Segment of the policies with rules that expire. They are separate, because a path of a policy has one expiration for all
/// of its capabilities.
pub(super) const TEMPORARY: &str = "temporary";
/// Last segment of the default policies with the verbs that need an entitlement.
const WRITE: &str = "write";

impl Who {
    /// The principal of a spec. None for a spec without one, which the schema rejects.
    pub(crate) fn of(principal: &Principal) -> Option<Self> {
        let Principal { user, member_role, role } = principal;
        let role = role.as_ref().map(|role| Self::Role(role.access_level.number()));
        let member_role = member_role.as_ref().map(|role| Self::MemberRole(role.id));
        user.as_ref().map(|user| Self::User(user.id)).or(member_role).or(role)
    }

    /// The policy of the principal. OpenBao changes names to lower case; these contain no other letters.
    pub(crate) fn policy(self, login: Login, is_temporary: bool) -> String {
        let temporary = if is_temporary { format!("{TEMPORARY}/") } else { String::new() };
        format!("{}/{temporary}{}", prefix(login), self.segment())
    }

    fn segment(self) -> String {
        match self {
            Self::Role(level) => format!("roles/{level}"),
            Self::User(id) => format!("direct/user_{id}"),
            Self::MemberRole(id) => format!("direct/member_role_{id}"),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(level) => write!(f, "access level {level}"),
            Self::User(id) => write!(f, "user {id}"),
            Self::MemberRole(id) => write!(f, "member role {id}"),
        }
    }
}

/// Prefix of the policies of a login.
pub(super) fn prefix(login: Login) -> String {
    match login {
        Login::User => USER_POLICIES.to_owned(),
        Login::Api => format!("{API_POLICIES}/{USER_POLICIES}"),
    }
}

/// The login whose tokens have a policy.
pub(crate) fn login_of(policy: &str) -> Login {
    let is_of_users = policy.strip_prefix(USER_POLICIES).is_some_and(|rest| rest.starts_with('/'));
    if is_of_users { Login::User } else { Login::Api }
}

/// The policy of an access level that a project writes once. `writes`: the part that creates and changes values.
pub(super) fn default_policy(level: AccessLevel, login: Login, writes: bool) -> String {
    let name = format!("{}/{DEFAULT_ROLES}/{}", prefix(login), level.number());
    if writes { format!("{name}/{WRITE}") } else { name }
}

/// Returns true if a project writes the policy once.
pub(crate) fn is_default(name: &str) -> bool {
    is_default_policy(name)
}

/// Returns true if a project writes the policy once, and it permits to create and change values.
pub(crate) fn is_default_write(name: &str) -> bool {
    is_default(name) && name.ends_with(&format!("/{WRITE}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::user(json!({"user": {"id": 5}}), "users/direct/user_5 api/users/temporary/direct/user_5")]
    #[case::member_role(json!({"memberRole": {"id": 5}}), "users/direct/member_role_5 api/users/temporary/direct/member_role_5")]
    #[case::owner(json!({"role": {"accessLevel": "Owner"}}), "users/roles/50 api/users/temporary/roles/50")]
    #[case::maintainer(json!({"role": {"accessLevel": "Maintainer"}}), "users/roles/40 api/users/temporary/roles/40")]
    #[case::developer(json!({"role": {"accessLevel": "Developer"}}), "users/roles/30 api/users/temporary/roles/30")]
    #[case::reporter(json!({"role": {"accessLevel": "Reporter"}}), "users/roles/20 api/users/temporary/roles/20")]
    fn each_principal_has_policies_of_its_own(#[case] principal: Value, #[case] expected: &str) {
        let who = Who::of(&serde_json::from_value(principal).unwrap()).unwrap();
        let names = [who.policy(Login::User, false), who.policy(Login::Api, true)];
        assert_eq!(names.join(" "), expected);
        assert!(names.iter().all(|name| !is_default(name)));
    }

    #[test]
    fn default_policies_are_recognized_by_their_names() {
        let name = |login, writes| default_policy(AccessLevel::Owner, login, writes);
        assert_eq!(name(Login::User, true), "users/defaults/50/write");
        assert_eq!(name(Login::Api, false), "api/users/defaults/50");
        assert!(is_default(&name(Login::Api, false)) && is_default(&name(Login::User, true)));
        assert!(is_default_write(&name(Login::User, true)) && !is_default_write(&name(Login::User, false)));
    }
}
