//! OpenBao's two tables. They are created before any node starts: nodes that start together race to create them.

use steamer_core::error::Error;

use crate::database::recorder::{DROP, RECORDS};
use crate::database::{Database, DatabaseError};

/// Statements of OpenBao's own backend.
pub(crate) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS openbao_kv_store (parent_path TEXT COLLATE \"C\" NOT NULL, path TEXT COLLATE \"C\",
  key TEXT COLLATE \"C\", value BYTEA, CONSTRAINT openbao_kv_store_pkey PRIMARY KEY (path, key));
CREATE INDEX IF NOT EXISTS openbao_kv_store_idx ON openbao_kv_store (parent_path);
CREATE TABLE IF NOT EXISTS openbao_ha_locks (ha_key TEXT COLLATE \"C\" NOT NULL,
  ha_identity TEXT COLLATE \"C\" NOT NULL, ha_value TEXT COLLATE \"C\",
  valid_until TIMESTAMP WITH TIME ZONE NOT NULL, CONSTRAINT openbao_ha_locks_pkey PRIMARY KEY (ha_key));";

const COLUMNS: &str = "
SELECT c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
       || COALESCE(' ' || l.collname, '')
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE c.oid IN (to_regclass('openbao_kv_store'), to_regclass('openbao_ha_locks')) AND a.attnum > 0
  AND NOT a.attisdropped ORDER BY 1";

const EXPECTED: [&str; 8] = [
    "openbao_ha_locks.ha_identity text C",
    "openbao_ha_locks.ha_key text C",
    "openbao_ha_locks.ha_value text C",
    "openbao_ha_locks.valid_until timestamp with time zone",
    "openbao_kv_store.key text C",
    "openbao_kv_store.parent_path text C",
    "openbao_kv_store.path text C",
    "openbao_kv_store.value bytea",
];

const OWNERS: &str = "
SELECT c.relname, r.rolname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
WHERE c.oid IN (to_regclass('openbao_kv_store'), to_regclass('openbao_ha_locks')) AND r.rolname <> current_user";

/// Owner of the data in the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Occupant {
    /// The tables do not exist.
    NoTables,
    /// The tables are empty and unmarked.
    Vacant,
    /// This cluster.
    Own,
    /// Another OpenBao, with its mark if it has one.
    Other(Option<String>),
}

/// State of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) occupant: Occupant,
    /// The database records which login holds the leader's lock.
    pub(crate) records_holder: bool,
}

impl Database {
    /// State of the tables.
    pub(crate) async fn tables(&self, mark: &str) -> Result<Tables, Error> {
        let columns: Vec<String> = self.column(COLUMNS).await?;
        if columns.is_empty() {
            return Ok(Tables { occupant: Occupant::NoTables, records_holder: false });
        }
        if columns != EXPECTED {
            let database = &self.login.database;
            return Err(Error::Conflict(format!(
                "the tables openbao_kv_store and openbao_ha_locks in database `{database}` are not OpenBao's: \
                 use a database that nothing else uses"
            )));
        }
        let sql = format!(
            "SELECT obj_description(to_regclass('openbao_kv_store'), 'pg_class'),
                    EXISTS (SELECT 1 FROM openbao_kv_store), {RECORDS}"
        );
        let found = self.with(|client| async move {
            let row = client.query_one(&sql, &[]).await?;
            Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
        });
        let (comment, filled, records_holder): (Option<String>, bool, bool) = found.await?;
        let marked = comment.as_deref().and_then(|comment| comment.strip_prefix("steamer: "));
        let occupant = match marked {
            Some(marked) if marked == mark => Occupant::Own,
            Some(marked) => Occupant::Other(Some(marked.to_owned())),
            None if filled => Occupant::Other(None),
            None => Occupant::Vacant,
        };
        Ok(Tables { occupant, records_holder })
    }

    /// Creates missing tables and marks them.
    pub(crate) async fn create_tables(&self, mark: &str) -> Result<(), DatabaseError> {
        let comment = format!("COMMENT ON TABLE openbao_kv_store IS 'steamer: {}'", mark.replace('\'', "''"));
        self.change(|client| async move {
            client.batch_execute(TABLES).await?;
            client.batch_execute(&comment).await
        })
        .await
    }

    /// Removes all data. The caller has checked the consent.
    pub(crate) async fn drop_tables(&self) -> Result<(), DatabaseError> {
        let drop = format!("DROP TABLE IF EXISTS openbao_kv_store, openbao_ha_locks; {DROP}");
        self.change(|client| async move { client.batch_execute(&drop).await }).await
    }

    /// Removes the locks of the previous owner, of which no node writes any more.
    pub(crate) async fn clear_locks(&self) -> Result<u64, DatabaseError> {
        self.change(|client| async move { client.execute("DELETE FROM openbao_ha_locks", &[]).await }).await
    }

    /// Refuses tables of another login: this one could not grant rights on them.
    pub(crate) async fn own_tables(&self) -> Result<(), Error> {
        let owners = self.with(|client| async move {
            let rows = client.query(OWNERS, &[]).await?;
            rows.first().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
        });
        let owner: Option<(String, String)> = owners.await?;
        match owner {
            None => Ok(()),
            Some((table, owner)) => {
                let user = &self.login.user;
                Err(Error::Invalid(format!(
                    "table {table} belongs to `{owner}`, not to the login `{user}`: run ALTER TABLE {table} OWNER TO \"{user}\""
                )))
            }
        }
    }
}
