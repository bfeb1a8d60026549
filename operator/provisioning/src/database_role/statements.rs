//! Statements of a role whose users act as an owner role in PostgreSQL. A user of the role can create functions and operators in the
//! schema `public`, and PostgreSQL prefers one whose parameters fit better to those of `pg_catalog`. Therefore each function,
//! operator and table has its schema.

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
    let exists = format!("SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) '{name}'");
    let first =
        format!("DO $$ BEGIN IF NOT EXISTS ({exists}) THEN CREATE ROLE {role} NOLOGIN; END IF; END $$;");
    [first].into_iter().chain(creation(owner)).collect()
}

/// The query that fails if a role or a database does not exist. Without a database, it is that of the connection. OpenBao divides
/// statements at each `;`, so it contains none.
pub(crate) fn existence(owner: &str, database: Option<&str>) -> String {
    let literal = |name: &str| format!("'{}'", name.replace('\'', "''"));
    let database = database.map_or_else(|| "pg_catalog.current_database()".to_owned(), literal);
    format!("SELECT pg_catalog.has_database_privilege({}, {database}, 'CONNECT')", literal(owner))
}

/// Drops a user, in one block. A step that fails is a warning in the log of PostgreSQL, and the next one follows.
///
/// * As a member of the role of the user, OpenBao's user may end its sessions, which PostgreSQL keeps after the role is dropped, and
///   give its objects away. A superuser may do both without the membership, and cannot get it if it is a member of the owner role.
/// * What the user owns in the database of the connection, after it changed its role, goes to the owner role.
/// * The plugin of OpenBao executes nothing else for the connection meanwhile: a lock that another session holds is not waited for
///   longer than 5 seconds.
/// * A user that still owns something, such as a table in another database, cannot be dropped. It can no longer log in then.
/// * A client can connect again while the objects are given away: the sessions are ended before and after. PostgreSQL caches the list
///   of sessions in a transaction.
pub(crate) fn revocation(owner: &str) -> Vec<String> {
    let reassign =
        format!("REASSIGN OWNED BY \"{{{{name}}}}\" TO {}; DROP OWNED BY \"{{{{name}}}}\";", quoted(owner));
    let end = "PERFORM pg_catalog.pg_stat_clear_snapshot(); PERFORM pg_catalog.pg_terminate_backend(pid) FROM \
               pg_catalog.pg_stat_activity WHERE usename OPERATOR(pg_catalog.=) '{{name}}';";
    let steps = ["GRANT \"{{name}}\" TO CURRENT_USER;", end, reassign.as_str(), end];
    let steps =
        steps.map(|step| format!("BEGIN {step} EXCEPTION WHEN OTHERS THEN RAISE WARNING '%', SQLERRM; END;"));
    vec![format!(
        "DO $$ BEGIN PERFORM pg_catalog.set_config('lock_timeout', '5s', true); {} BEGIN DROP ROLE IF EXISTS \"{{{{name}}}}\"; \
         EXCEPTION WHEN dependent_objects_still_exist THEN ALTER ROLE \"{{{{name}}}}\" NOLOGIN PASSWORD NULL; END; END $$;",
        steps.join(" ")
    )]
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
    #[case("it's", Some("shop"), "SELECT pg_catalog.has_database_privilege('it''s', 'shop', 'CONNECT')")]
    #[case(
        "app",
        None,
        "SELECT pg_catalog.has_database_privilege('app', pg_catalog.current_database(), 'CONNECT')"
    )]
    fn names_in_the_query_are_literals(
        #[case] owner: &str,
        #[case] database: Option<&str>,
        #[case] expected: &str,
    ) {
        assert_eq!(existence(owner, database), expected);
    }

    #[test]
    fn what_a_user_owns_goes_to_the_owner_role_before_the_user_is_dropped() {
        let statements = revocation(r#"My "App""#);
        let step = r#"BEGIN REASSIGN OWNED BY "{{name}}" TO "My ""App"""; DROP OWNED BY "{{name}}"; EXCEPTION WHEN OTHERS THEN"#;
        assert_eq!(statements.len(), 1);
        let (before, after) = statements[0].split_once(step).unwrap();
        assert!(before.contains("pg_terminate_backend"), "{before}");
        assert!(after.contains(r#"DROP ROLE IF EXISTS "{{name}}";"#), "{after}");
    }

    #[test]
    fn openbao_executes_the_block_as_one_statement() {
        // OpenBao divides a statement at each semicolon unless it contains this text outside of literals.
        assert!(revocation("app").iter().all(|statement| statement.ends_with(" END $$;")));
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
