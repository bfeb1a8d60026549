//! Statements of a role whose users act as an owner role in PostgreSQL.

/// Lists of statements, whose order matters.
pub(super) const NAMES: [&str; 5] = [
    "creation_statements",
    "revocation_statements",
    "renew_statements",
    "rollback_statements",
    "rotation_statements",
];

/// Creates a user that is a member of the owner role and uses its identity from the login on.
pub(crate) fn creation(owner: &str) -> Vec<String> {
    let owner = quoted(owner);
    vec![
        format!(
            "CREATE ROLE \"{{{{name}}}}\" WITH LOGIN PASSWORD '{{{{password}}}}' VALID UNTIL '{{{{expiration}}}}' IN ROLE {owner};"
        ),
        format!("ALTER ROLE \"{{{{name}}}}\" SET role TO {owner};"),
    ]
}

/// As [`creation`], after the owner role is created if it does not exist.
pub(crate) fn creation_with_owner(owner: &str) -> Vec<String> {
    let (name, role) = (owner.replace('\'', "''"), quoted(owner));
    let exists = format!("SELECT FROM pg_catalog.pg_roles WHERE rolname = '{name}'");
    let first =
        format!("DO $$ BEGIN IF NOT EXISTS ({exists}) THEN CREATE ROLE {role} NOLOGIN; END IF; END $$;");
    [first].into_iter().chain(creation(owner)).collect()
}

/// The query that fails if a role or a database does not exist. Without a database, it is that of the connection. OpenBao divides
/// statements at each `;`, so it contains none.
pub(crate) fn existence(owner: &str, database: Option<&str>) -> String {
    let literal = |name: &str| format!("'{}'", name.replace('\'', "''"));
    let database = database.map_or_else(|| "current_database()".to_owned(), literal);
    format!("SELECT has_database_privilege({}, {database}, 'CONNECT')", literal(owner))
}

/// Drops a user. PostgreSQL keeps the sessions of a dropped user, which act as the owner role: they are ended if the user of
/// OpenBao has the right to do so.
pub(crate) fn revocation() -> Vec<String> {
    vec![
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}' AND pg_has_role(CURRENT_USER, \
         'pg_signal_backend', 'USAGE');"
            .to_owned(),
        "DROP ROLE IF EXISTS \"{{name}}\";".to_owned(),
    ]
}

/// A quoted identifier.
pub(super) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("it's", Some("shop"), "SELECT has_database_privilege('it''s', 'shop', 'CONNECT')")]
    #[case("app", None, "SELECT has_database_privilege('app', current_database(), 'CONNECT')")]
    fn names_in_the_query_are_literals(
        #[case] owner: &str,
        #[case] database: Option<&str>,
        #[case] expected: &str,
    ) {
        assert_eq!(existence(owner, database), expected);
    }

    #[rstest]
    #[case("app", r#"IN ROLE "app";"#)]
    #[case("My App", r#"IN ROLE "My App";"#)]
    #[case(r#"a" ; DROP"#, r#"IN ROLE "a"" ; DROP";"#)]
    fn the_owner_role_is_a_quoted_identifier(#[case] owner: &str, #[case] end: &str) {
        let statements = creation(owner);
        assert!(statements[0].ends_with(end), "{statements:?}");
        assert_eq!(
            statements[1],
            format!(r#"ALTER ROLE "{{{{name}}}}" SET role TO {}"#, &end["IN ROLE ".len()..])
        );
    }
}
