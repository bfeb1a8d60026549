//! The table of the lock for the admin login: a fence locks the row of the lock in the transaction that disables the login of
//! its holder, which only the admin may do.

use crate::database::login::Login;
use crate::database::roles::quoted;
use crate::database::{Database, DatabaseError};

/// The table and its schema, and the rights of a role. The right to update any column is sufficient to lock a row.
const FOUND: &str = "
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.format('%I', n.nspname),
       pg_catalog.has_table_privilege(r.oid, c.oid, 'SELECT') AND pg_catalog.has_any_column_privilege(r.oid, c.oid, 'UPDATE')
         AND (NOT c.relrowsecurity OR r.rolbypassrls OR r.rolsuper),
       pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE'), pg_catalog.has_schema_privilege(n.oid, 'USAGE WITH GRANT OPTION')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.rolname = $1
WHERE c.oid = to_regclass('openbao_ha_locks')";

/// The table, and the rights of a role.
struct Found {
    /// Qualified name of the table.
    table: String,
    schema: String,
    may_lock: bool,
    may_use_schema: bool,
    /// The owner of the table may permit the use of its schema.
    grants_schema: bool,
}

impl Database {
    /// Qualified name of the table, if the admin may lock its rows. None: it may not, uses another database, or has another name
    /// there.
    pub(crate) async fn lock_table(&self, admin: &Login) -> Result<Option<String>, DatabaseError> {
        let found = self.found(admin).await?;
        Ok(found.filter(|found| found.may_lock && found.may_use_schema).map(|found| found.table))
    }

    /// Permits the admin to lock the rows of the table, unless it may. Waits at most a second for other sessions.
    pub(crate) async fn permit_locks(&self, admin: &Login) -> Result<(), DatabaseError> {
        let Some(found) = self.found(admin).await? else { return Ok(()) };
        let role = quoted(&admin.user);
        let mut grants = String::new();
        if !found.may_lock {
            grants += &format!("GRANT SELECT, UPDATE (valid_until) ON {} TO {role}; ", found.table);
        }
        if !found.may_use_schema && found.grants_schema {
            grants += &format!("GRANT USAGE ON SCHEMA {} TO {role}; ", found.schema);
        }
        if grants.is_empty() {
            return Ok(());
        }
        self.transaction(format!("BEGIN; SET LOCAL lock_timeout = '1s'; {grants}COMMIT")).await
    }

    async fn found(&self, admin: &Login) -> Result<Option<Found>, DatabaseError> {
        if admin.database != self.login.database {
            return Ok(None);
        }
        let role = admin.user.clone();
        let found = self.with(|client| async move {
            let Some(row) = client.query_opt(FOUND, &[&role]).await? else { return Ok(None) };
            Ok(Some(Found {
                table: row.try_get(0)?,
                schema: row.try_get(1)?,
                may_lock: row.try_get(2)?,
                may_use_schema: row.try_get(3)?,
                grants_schema: row.try_get(4)?,
            }))
        });
        found.await
    }
}
