//! OpenBao's two tables. They are created before any node starts: nodes that start together race to create them.

use steamer_core::error::Error;
use tokio_postgres::Row;

use crate::database::login::Login;
use crate::database::recorder::DROP;
use crate::database::{Database, DatabaseError};

/// Statements of OpenBao's own backend.
pub(crate) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS openbao_kv_store (parent_path TEXT COLLATE \"C\" NOT NULL, path TEXT COLLATE \"C\",
  key TEXT COLLATE \"C\", value BYTEA, CONSTRAINT openbao_kv_store_pkey PRIMARY KEY (path, key));
CREATE INDEX IF NOT EXISTS openbao_kv_store_idx ON openbao_kv_store (parent_path);
CREATE TABLE IF NOT EXISTS openbao_ha_locks (ha_key TEXT COLLATE \"C\" NOT NULL,
  ha_identity TEXT COLLATE \"C\" NOT NULL, ha_value TEXT COLLATE \"C\",
  valid_until TIMESTAMP WITH TIME ZONE NOT NULL, CONSTRAINT openbao_ha_locks_pkey PRIMARY KEY (ha_key));";

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

/// Columns of a [`Schema`], except whether there is data. They refer to no table that may not exist.
pub(super) const SCHEMA: &str = "
ARRAY(SELECT (c.relname::text || '.' || a.attname::text || ' ' || format_type(a.atttypid, a.atttypmod)
              || COALESCE(' ' || l.collname::text, '')) COLLATE \"C\"
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_collation l ON l.oid = a.attcollation
      WHERE c.oid IN (to_regclass('openbao_kv_store'), to_regclass('openbao_ha_locks')) AND a.attnum > 0
        AND NOT a.attisdropped ORDER BY 1) AS columns,
pg_catalog.obj_description(to_regclass('openbao_kv_store'), 'pg_class') AS comment,
pg_catalog.obj_description(to_regclass('openbao_ha_locks'), 'pg_class') AS lock_comment,
(SELECT ARRAY[c.relname::text, r.rolname::text] FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
 WHERE c.oid IN (to_regclass('openbao_kv_store'), to_regclass('openbao_ha_locks')) AND r.rolname <> current_user
 ORDER BY 1 LIMIT 1) AS foreign_owner";

/// Table whose comment contains the cluster ID of OpenBao.
pub(crate) const ID_TABLE: &str = "openbao_ha_locks";
/// Start of the comment on the table of the lock. The cluster ID of OpenBao follows: a backup contains it, too.
const OPENBAO: &str = "steamer: OpenBao ";

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

/// The tables in the catalog of PostgreSQL.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    columns: Vec<String>,
    comment: Option<String>,
    /// Comment on the table of the lock.
    lock_comment: Option<String>,
    /// A table and its owner, if another login owns it.
    foreign_owner: Option<Vec<String>>,
    records_holder: bool,
    /// OpenBao's table contains data. None: this was not read.
    pub(super) filled: Option<bool>,
}

impl Schema {
    pub(super) fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            columns: row.try_get("columns")?,
            comment: row.try_get("comment")?,
            lock_comment: row.try_get("lock_comment")?,
            foreign_owner: row.try_get("foreign_owner")?,
            records_holder: row.try_get("records_holder")?,
            filled: row.try_get("filled")?,
        })
    }

    /// Returns true if the tables exist and are those of OpenBao.
    pub(super) fn is_expected(&self) -> bool {
        self.columns == EXPECTED
    }

    /// Cluster ID of the OpenBao that Steamer ran on these tables. OpenBao itself stores it encrypted.
    pub(crate) fn openbao_id(&self) -> Option<String> {
        self.lock_comment.as_deref()?.strip_prefix(OPENBAO).map(str::to_owned)
    }

    /// State of the tables. Refuses tables that are not those of OpenBao.
    pub(crate) fn tables(&self, login: &Login, mark: &str) -> Result<Tables, Error> {
        if self.columns.is_empty() {
            return Ok(Tables { occupant: Occupant::NoTables, records_holder: false });
        }
        if !self.is_expected() {
            let database = &login.database;
            return Err(Error::Conflict(format!(
                "the tables openbao_kv_store and openbao_ha_locks in database `{database}` are not OpenBao's: \
                 use a database that nothing else uses"
            )));
        }
        let marked = self.comment.as_deref().and_then(|comment| comment.strip_prefix("steamer: "));
        let occupant = match marked {
            Some(marked) if marked == mark => Occupant::Own,
            Some(marked) => Occupant::Other(Some(marked.to_owned())),
            None if self.filled == Some(true) => Occupant::Other(None),
            None => Occupant::Vacant,
        };
        Ok(Tables { occupant, records_holder: self.records_holder })
    }

    /// Refuses tables of another login: this one could not grant rights on them.
    pub(crate) fn check_owner(&self, login: &Login) -> Result<(), Error> {
        let Some([table, owner]) = self.foreign_owner.as_deref() else { return Ok(()) };
        let user = &login.user;
        Err(Error::Invalid(format!(
            "table {table} belongs to `{owner}`, not to the login `{user}`: run ALTER TABLE {table} OWNER TO \"{user}\""
        )))
    }
}

impl Database {
    /// Creates missing tables and marks them.
    pub(crate) async fn create_tables(&self, mark: &str) -> Result<(), DatabaseError> {
        let comment = format!("COMMENT ON TABLE openbao_kv_store IS 'steamer: {}'", mark.replace('\'', "''"));
        self.change(|client| async move {
            client.batch_execute(TABLES).await?;
            client.batch_execute(&comment).await
        })
        .await
    }

    /// Records the cluster ID of OpenBao, where it can be read before a node starts. Waits at most a second for other sessions.
    pub(crate) async fn record_openbao(&self, id: &str) -> Result<(), DatabaseError> {
        let id = id.replace('\'', "''");
        let sql = format!(
            "BEGIN; SET LOCAL lock_timeout = '1s'; COMMENT ON TABLE {ID_TABLE} IS '{OPENBAO}{id}'; COMMIT"
        );
        self.transaction(sql).await
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
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::tests::owner_login;

    #[rstest]
    #[case::no_tables(&[], None, None, "NoTables")]
    #[case::empty(&EXPECTED, None, Some(false), "Vacant")]
    #[case::own(&EXPECTED, Some("steamer: i/main"), Some(true), "Own")]
    #[case::own_and_empty(&EXPECTED, Some("steamer: i/main"), Some(false), "Own")]
    #[case::of_another_cluster(&EXPECTED, Some("steamer: i/x"), Some(false), "Other(Some(\"i/x\"))")]
    #[case::of_another_tool(&EXPECTED, Some("a comment"), Some(true), "Other(None)")]
    #[case::other_columns(&EXPECTED[1..], None, None, "are not OpenBao's")]
    fn the_owner_of_the_data_follows_from_the_catalog(
        #[case] columns: &[&str],
        #[case] comment: Option<&str>,
        #[case] filled: Option<bool>,
        #[case] expected: &str,
    ) {
        let schema = Schema {
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
            comment: comment.map(str::to_owned),
            lock_comment: None,
            foreign_owner: None,
            records_holder: true,
            filled,
        };
        let text = match schema.tables(&owner_login(), "i/main") {
            Ok(tables) => format!("{:?}", tables.occupant),
            Err(error) => error.to_string(),
        };
        assert!(text.contains(expected), "{text}");
    }
}
