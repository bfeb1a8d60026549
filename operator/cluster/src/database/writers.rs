//! Sessions of other programs that can change the data of OpenBao.

use crate::database::{Database, DatabaseError};

/// The login with most sessions that can write, and their number. Superusers can always write: backups and exporters often
/// log in as one.
const WRITERS: &str = "
SELECT r.rolname::text, count(*) FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND NOT r.rolsuper
  AND COALESCE(a.application_name, '') <> 'steamer'
  AND COALESCE(pg_catalog.has_table_privilege(r.oid, to_regclass('openbao_kv_store'), 'INSERT'), false)
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1";

/// Sessions of a login that can write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Writers {
    pub(crate) login: String,
    pub(crate) sessions: i64,
}

impl Database {
    /// Sessions that can write, except those of Steamer.
    pub(crate) async fn other_writers(&self) -> Result<Option<Writers>, DatabaseError> {
        let found = self.with(|client| async move {
            let row = client.query_opt(WRITERS, &[]).await?;
            row.map(|row| Ok(Writers { login: row.try_get(0)?, sessions: row.try_get(1)? })).transpose()
        });
        found.await
    }
}
