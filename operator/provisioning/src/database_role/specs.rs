//! Specs of roles that Steamer itself defines.

use steamer_api::{DatabaseRole, DatabaseRoleSpec, Lifecycle, Parameters, Reference, StaticUser};

/// A role without statements.
pub(crate) fn empty() -> DatabaseRoleSpec {
    DatabaseRoleSpec {
        connection_ref: Reference::default(),
        name: None,
        creation_statements: Vec::new(),
        owner_role: None,
        revocation_statements: Vec::new(),
        renew_statements: Vec::new(),
        rollback_statements: Vec::new(),
        default_ttl: None,
        max_ttl: None,
        credential_type: None,
        static_user: None,
        parameters: Parameters::default(),
        lifecycle: Lifecycle::default(),
    }
}

/// A role with a static user instead of statements.
pub(crate) fn static_role(name: &str, user: StaticUser) -> DatabaseRole {
    DatabaseRole::new(name, DatabaseRoleSpec { static_user: Some(user), ..empty() })
}
