//! UserPolicy: access of people to secrets of a project.

use std::collections::BTreeSet;

use jiff::Timestamp;
use steamer_api::{Reference, UserPolicy, UserPolicyStatus, Verb};

use crate::grants::Grant;
use crate::users::{Login, Who, logins};

impl Grant for UserPolicy {
    const NAME: &'static str = "userpolicy";

    fn project_ref(&self) -> &Reference {
        &self.spec.project_ref
    }

    fn expires_at(&self) -> Option<Timestamp> {
        self.spec.expires_at.as_ref().map(|at| at.0)
    }

    fn summary(&self) -> String {
        let grants = &self.spec.grants;
        let secrets = match grants.secrets.len() {
            0 => "all secrets".to_owned(),
            1 => "1 secret".to_owned(),
            count => format!("{count} secrets"),
        };
        let who = Who::of(&self.spec.principal).map(|who| who.to_string()).unwrap_or_default();
        format!("{who} may access {secrets}")
    }

    fn facts(&self, status: &mut UserPolicyStatus, is_effective: bool) {
        let who = Who::of(&self.spec.principal);
        let is_temporary = self.spec.expires_at.is_some();
        let granted = if is_effective { logins_of(self) } else { BTreeSet::new() };
        let policies =
            who.into_iter().flat_map(|who| granted.iter().map(move |it| who.policy(*it, is_temporary)));
        status.policies = policies.collect();
        status.principal = who.map(|who| who.to_string());
    }
}

/// The logins that the object needs.
pub(crate) fn logins_of(policy: &UserPolicy) -> BTreeSet<Login> {
    logins(verbs(policy))
}

fn verbs(policy: &UserPolicy) -> impl Iterator<Item = Verb> {
    let grants = &policy.spec.grants;
    grants.all.iter().chain(grants.secrets.iter().flat_map(|secret| &secret.verbs)).copied()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_status_names_the_principal_and_the_policies() {
        let policy = |grants: serde_json::Value| {
            let spec = json!({
                "projectRef": {"name": "web"}, "principal": {"user": {"id": 5}}, "grants": grants,
                "expiresAt": "2099-01-01T00:00:00Z",
            });
            UserPolicy::new("dev", serde_json::from_value(spec).unwrap())
        };
        let both = policy(json!({"secrets": [{"name": "DB", "verbs": ["ReadValue", "Write"]}]}));
        let mut status = UserPolicyStatus::default();
        both.facts(&mut status, true);
        assert_eq!(status.principal.as_deref(), Some("user 5"));
        assert_eq!(status.policies, ["users/temporary/direct/user_5", "api/users/temporary/direct/user_5"]);
        assert_eq!(both.summary(), "user 5 may access 1 secret");
        both.facts(&mut status, false);
        assert!(status.policies.is_empty());
        let only = policy(json!({"all": ["ReadValue"]}));
        assert_eq!(logins_of(&only), [Login::Api].into());
    }
}
