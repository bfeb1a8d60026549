//! Trigger that records which login takes the leader's lock, in a table of Steamer beside those of OpenBao.

use steamer_core::error::Error;
use steamer_runtime::describe;

use crate::database::{Database, DatabaseError};

/// The name of the table and of the trigger must not change: an older Steamer removes and reads them.
///
/// All parts are in the schema of OpenBao's tables, which is not always the first one of the login.
///
/// The function must never fail: the write of the lock would fail with it. Its own writes are rare, because the renewal
/// of a lock changes neither the value nor the login.
const CREATE: &str = "
BEGIN;
SET LOCAL lock_timeout = '1s';
SELECT set_config('search_path', relnamespace::regnamespace::text, true) FROM pg_class
WHERE oid = to_regclass('openbao_ha_locks');
CREATE TABLE IF NOT EXISTS steamer_guard (key text PRIMARY KEY, value text, login text, at timestamptz NOT NULL);
CREATE OR REPLACE FUNCTION steamer_record_holder() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp AS $steamer$
BEGIN
  EXECUTE format('INSERT INTO %I.steamer_guard AS g VALUES (''lock'', $1, $2, now())
    ON CONFLICT (key) DO UPDATE SET value = $1, login = $2, at = now()
    WHERE (g.value, g.login) IS DISTINCT FROM ($1, $2)', TG_TABLE_SCHEMA) USING NEW.ha_value, session_user::text;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  RETURN NULL;
END $steamer$;
REVOKE ALL ON FUNCTION steamer_record_holder() FROM PUBLIC;
CREATE OR REPLACE TRIGGER steamer_record_holder AFTER INSERT OR UPDATE ON openbao_ha_locks
  FOR EACH ROW WHEN (NEW.ha_key = 'core/lock') EXECUTE FUNCTION steamer_record_holder();
COMMIT";

/// Condition that the login of the holder is recorded and can be read.
pub(crate) const RECORDS: &str = "
EXISTS (SELECT 1 FROM pg_trigger JOIN pg_class locks ON locks.oid = tgrelid
        JOIN pg_class record ON record.relnamespace = locks.relnamespace
        WHERE locks.oid = to_regclass('openbao_ha_locks') AND record.oid = to_regclass('steamer_guard')
        AND tgname = 'steamer_record_holder' AND tgenabled IN ('O', 'A'))
AND COALESCE(pg_catalog.has_table_privilege(to_regclass('steamer_guard'), 'SELECT')
             AND pg_catalog.has_table_privilege(to_regclass('steamer_guard'), 'INSERT')
             AND pg_catalog.has_table_privilege(to_regclass('steamer_guard'), 'UPDATE'), false)";

/// Removes the recorder. The tables of OpenBao, and with them the trigger, are dropped before.
pub(crate) const DROP: &str =
    "DROP TABLE IF EXISTS steamer_guard; DROP FUNCTION IF EXISTS steamer_record_holder()";

impl Database {
    /// Creates the recorder. Returns the reason if PostgreSQL refuses it: OpenBao works without it.
    pub(crate) async fn create_recorder(&self) -> Result<Option<String>, Error> {
        match self.transaction(CREATE.to_owned()).await {
            Ok(()) => self.not_recording().await,
            Err(error @ DatabaseError::Statement { .. }) => Ok(Some(describe(&error))),
            Err(error) => Err(error.into()),
        }
    }

    /// Reason why a recorder that was created does not work.
    async fn not_recording(&self) -> Result<Option<String>, Error> {
        let sql = format!("SELECT {RECORDS}");
        let records = self.with(|client| async move { client.query_one(&sql, &[]).await?.try_get(0) });
        let records: bool = records.await?;
        Ok((!records).then(|| {
            "another table steamer_guard precedes that in the schema of OpenBao's tables in the search_path: drop it"
                .to_owned()
        }))
    }
}
