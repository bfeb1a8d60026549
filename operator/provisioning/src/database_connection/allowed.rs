//! DatabaseRoles and SecretsApps that refer to a connection.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt;
use serde_json::Value;
use steamer_api::{Adopt, DatabaseConnection, DatabaseRole, Kind, SecretsApp};
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

use crate::database_names::{allowed_in, connection_path, is_postgresql, owner_check, role};
use crate::engine::Lookup;
use crate::relations::{children, connection_of};
use crate::secrets_app::database::{self, role_names};

/// Most names in a message.
const MOST_NAMES: usize = 5;

/// Names of the roles that may use a connection: those of the spec, or else of the objects that refer to it, with the checks of their
/// owner roles.
pub(super) fn roles(connection: &DatabaseConnection, lookup: &Lookup<'_>) -> Result<Vec<String>, Error> {
    if let Some(names) = &connection.spec.allowed_roles {
        return Ok(names.clone());
    }
    let roles = remaining(connection, referring(connection, lookup)?, lookup);
    let apps = remaining(connection, applications(connection, lookup)?, lookup);
    let checks = roles.iter().filter(|_| is_postgresql(connection)).filter_map(|it| owner_check(it));
    let names = roles.iter().map(|it| role(it)).chain(checks);
    let names: BTreeSet<String> = names.chain(apps.iter().flat_map(|it| role_names(it))).collect();
    Ok(names.into_iter().collect())
}

/// The objects that are not being deleted and that may refer to the connection.
fn remaining<K: Kind>(
    connection: &DatabaseConnection,
    objects: Vec<Arc<K>>,
    lookup: &Lookup<'_>,
) -> Vec<Arc<K>> {
    let own = connection.namespace().unwrap_or_default();
    let is_allowed = |object: &K| {
        let from = object.meta().namespace.clone().unwrap_or_default();
        lookup.stores.allowed(lookup.dependencies, &connection.spec.allowed_namespaces, (&own, &from))
    };
    let is_remaining = |object: &Arc<K>| object.meta().deletion_timestamp.is_none() && is_allowed(object);
    objects.into_iter().filter(is_remaining).collect()
}

/// Checks that the adoption of an existing connection keeps every role that may use it, because the computed list replaces
/// that of OpenBao.
///
/// # Errors
/// [`Error::Conflict`] that names the other roles.
pub(super) fn keeps_roles(
    connection: &DatabaseConnection,
    computed: &[&str],
    existing: Option<&Value>,
) -> Result<(), Error> {
    let spec = &connection.spec;
    if spec.allowed_roles.is_some() || spec.lifecycle.adopt == Adopt::Never {
        return Ok(());
    }
    let lost: Vec<&str> = allowed_in(existing).into_iter().filter(|it| !computed.contains(it)).collect();
    if lost.is_empty() {
        return Ok(());
    }
    let names = lost.iter().take(MOST_NAMES).copied().collect::<Vec<_>>().join(", ");
    Err(Error::Conflict(format!(
        "{} in OpenBao allows roles without a DatabaseRole: {names} ({} in total): write every role that may use the connection \
         to allowedRoles",
        connection_path(connection),
        lost.len()
    )))
}

/// Fails with [`Error::Waiting`] while DatabaseRoles or SecretsApps refer to a connection.
pub(super) fn none_refer(connection: &DatabaseConnection, lookup: &Lookup<'_>) -> Result<(), Error> {
    let roles: Vec<_> = referring(connection, lookup)?.iter().map(|it| ObjectName::of(&**it)).collect();
    let apps: Vec<_> = applications(connection, lookup)?.iter().map(|it| ObjectName::of(&**it)).collect();
    for (kind, objects) in [("DatabaseRoles", roles), ("SecretsApps", apps)] {
        if !objects.is_empty() {
            let names =
                objects.iter().take(MOST_NAMES).map(ObjectName::to_string).collect::<Vec<_>>().join(", ");
            return Err(Error::Waiting(format!(
                "waits for the deletion of the {kind} that refer to it: {names} ({} in total)",
                objects.len()
            )));
        }
    }
    Ok(())
}

fn referring(connection: &DatabaseConnection, lookup: &Lookup<'_>) -> Result<Vec<Arc<DatabaseRole>>, Error> {
    let name = ObjectName::of(connection);
    let key = children::<DatabaseRole>(name.clone());
    lookup.children::<DatabaseRole, DatabaseConnection>((key, &name), |role| connection_of(role) == name)
}

fn applications(connection: &DatabaseConnection, lookup: &Lookup<'_>) -> Result<Vec<Arc<SecretsApp>>, Error> {
    let name = ObjectName::of(connection);
    let key = children::<SecretsApp>(name.clone());
    let refers = |app: &SecretsApp| database::connection_of(app).as_ref() == Some(&name);
    lookup.children::<SecretsApp, DatabaseConnection>((key, &name), refers)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use steamer_core::Stores;
    use steamer_runtime::Index;

    use super::*;

    fn connection(changes: &Value) -> DatabaseConnection {
        let mut spec = json!({
            "clusterRef": {"name": "main"}, "mount": "database", "plugin": "postgresql-database-plugin",
            "connectionURL": "postgresql://{{username}}:{{password}}@db/app", "rootSecretRef": {"name": "root"},
        });
        for (key, value) in changes.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let mut connection = DatabaseConnection::new("db", serde_json::from_value(spec).unwrap());
        connection.metadata.namespace = Some("ns".to_owned());
        connection
    }

    fn role(namespace: &str, name: &str, connection: &str) -> DatabaseRole {
        let spec = json!({"connectionRef": {"name": connection, "namespace": "ns"}, "creationStatements": ["CREATE"]});
        let mut role = DatabaseRole::new(name, serde_json::from_value(spec).unwrap());
        role.metadata.namespace = Some(namespace.to_owned());
        role
    }

    #[rstest]
    #[case::same_roles(json!({"adopt": "IfUnowned"}), json!(["a"]), None)]
    #[case::fewer_roles(json!({"adopt": "IfUnowned"}), json!([]), None)]
    #[case::no_list(json!({"adopt": "IfUnowned"}), json!(null), None)]
    #[case::every_role(json!({"adopt": "IfUnowned"}), json!(["*"]), Some("without a DatabaseRole: * (1 in total)"))]
    #[case::other_roles(
        json!({"adopt": "IfUnowned"}),
        json!(["a", "b", "c"]),
        Some("database/config/db in OpenBao allows roles without a DatabaseRole: b, c (2 in total)")
    )]
    #[case::written_list(json!({"adopt": "IfUnowned", "allowedRoles": ["a"]}), json!(["*"]), None)]
    #[case::no_adoption(json!({}), json!(["*"]), None)]
    fn an_adoption_without_a_list_keeps_every_role(
        #[case] changes: Value,
        #[case] existing: Value,
        #[case] expected: Option<&str>,
    ) {
        let outcome = keeps_roles(&connection(&changes), &["a"], Some(&existing));
        let message = outcome.err().map(|error| error.to_string());
        assert_eq!(message.is_some(), expected.is_some(), "{message:?}");
        let (message, expected) = (message.unwrap_or_default(), expected.unwrap_or_default());
        assert!(message.contains(expected), "{message}");
    }

    #[rstest]
    #[case::postgresql(json!({}), vec!["a", "a.owner-a172cedc"])]
    #[case::other_plugin(json!({"plugin": "mysql-database-plugin"}), vec!["a"])]
    fn the_check_of_an_owner_role_may_use_the_connection(
        #[case] changes: Value,
        #[case] expected: Vec<&str>,
    ) {
        let (stores, index, connection) = (Stores::default(), Arc::<Index>::default(), connection(&changes));
        stores.of::<DatabaseRole>().listed(None, 0);
        stores.of::<SecretsApp>().listed(None, 0);
        let mut owned = role("ns", "a", "db");
        (owned.spec.owner_role, owned.spec.creation_statements) = (Some("app".to_owned()), Vec::new());
        stores.of::<DatabaseRole>().insert(ObjectName::of(&owned), Arc::new(owned));
        let dependencies = index.pass("test", ObjectName::of(&connection));
        let lookup = Lookup { stores: &stores, dependencies: &dependencies };
        assert_eq!(roles(&connection, &lookup).unwrap(), expected);
    }

    #[rstest]
    #[case::same_namespace(json!({}), vec!["a", "b"])]
    #[case::all_namespaces(json!({"allowedNamespaces": {"from": "All"}}), vec!["a", "b", "c"])]
    #[case::listed(json!({"allowedRoles": ["x"]}), vec!["x"])]
    #[case::every_role(json!({"allowedRoles": ["*"]}), vec!["*"])]
    #[case::no_role(json!({"allowedRoles": []}), vec![])]
    fn only_roles_that_may_refer_to_the_connection_use_it(
        #[case] changes: Value,
        #[case] expected: Vec<&str>,
    ) {
        let (stores, index, connection) = (Stores::default(), Arc::<Index>::default(), connection(&changes));
        let store = stores.of::<DatabaseRole>();
        store.listed(None, 0);
        stores.of::<SecretsApp>().listed(None, 0);
        let mut deleted = role("ns", "deleted", "db");
        deleted.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH));
        for role in [
            role("ns", "b", "db"),
            role("ns", "a", "db"),
            role("web", "c", "db"),
            role("ns", "d", "other"),
            deleted,
        ] {
            store.insert(ObjectName::of(&role), Arc::new(role));
        }
        let dependencies = index.pass("test", ObjectName::of(&connection));
        let lookup = Lookup { stores: &stores, dependencies: &dependencies };
        assert_eq!(roles(&connection, &lookup).unwrap(), expected);
        let message = none_refer(&connection, &lookup).unwrap_err().to_string();
        assert!(message.contains("(4 in total)"), "{message}");
    }
}
