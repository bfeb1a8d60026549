//! State of a database, read with one statement: a reconcile of a settled cluster needs no other one of the owner.
//!
//! A statement that refers to a table fails if the table does not exist. Therefore the first survey of a process reads the
//! catalog first, and so does one that follows a failure.

use steamer_core::error::Error;
use steamer_runtime::Locked;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use crate::database::facts::{CONTENTS, Contents, SERVER, Server};
use crate::database::recorder::RECORDS;
use crate::database::roles::{LACKS_A_GRANT, LOGINS, pattern};
use crate::database::schema::{SCHEMA, Schema, Tables};
use crate::database::wrapping::{self, WRAPPED};
use crate::database::{Database, DatabaseError};

/// The columns of OpenBao's tables while these do not exist.
const NO_TABLES: &str = "
NULL::bool AS filled, NULL::bool AS initialized, NULL::bool AS self_init_failed, NULL::bool AS recovery_keys,
NULL::text AS seal, NULL::bytea[] AS wrapped";

const TIMELINE: &str = "(SELECT timeline_id::int8 FROM pg_control_checkpoint())";

/// Parts of a survey that not every database can answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parts {
    /// OpenBao's tables exist.
    tables: bool,
    /// The login may read the timeline.
    timeline: bool,
}

/// Parts that the last survey has read.
#[derive(Default)]
pub(crate) struct Known(Locked<Parts>);

impl Known {
    fn get(&self) -> Parts {
        *self.0.lock()
    }

    fn set(&self, parts: Parts) {
        *self.0.lock() = parts;
    }
}

/// State of a database.
pub(crate) struct Survey {
    pub(crate) server: Server,
    pub(crate) schema: Schema,
    /// Logins of the sessions of OpenBao.
    pub(crate) logins: Vec<String>,
    /// Roles with a name of a node of the cluster that lack a right of a node.
    pub(crate) ungranted: Vec<String>,
    /// The timeline, if the login may read it. Another one means that another server was promoted.
    pub(crate) timeline: Option<i64>,
    /// None: OpenBao's tables do not exist.
    pub(crate) data: Option<Data>,
}

/// Data in OpenBao's tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Data {
    pub(crate) contents: Contents,
    /// ID of the key that wraps each value that the seal wraps. None if a value does not name it.
    pub(crate) wrapping_keys: Option<Vec<String>>,
}

impl Parts {
    fn statement(self) -> String {
        let timeline = if self.timeline { TIMELINE } else { "NULL::int8" };
        let data =
            format!("EXISTS (SELECT 1 FROM openbao_kv_store) AS filled, {CONTENTS}, {WRAPPED} AS wrapped");
        let data = if self.tables { &data } else { NO_TABLES };
        format!(
            "SELECT {SERVER}, {SCHEMA}, {RECORDS} AS records_holder, {LOGINS} AS logins, \
             ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname ~ $1 AND {LACKS_A_GRANT} ORDER BY 1) AS ungranted, \
             {timeline} AS timeline, {data}"
        )
    }
}

impl Survey {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let schema = Schema::of(row)?;
        Ok(Self {
            server: Server::of(row)?,
            logins: row.try_get("logins")?,
            ungranted: row.try_get("ungranted")?,
            timeline: row.try_get("timeline")?,
            data: if schema.filled.is_some() { Some(Data::of(row)?) } else { None },
            schema,
        })
    }
}

impl Data {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let wrapped: Option<Vec<Vec<u8>>> = row.try_get("wrapped")?;
        Ok(Self { contents: Contents::of(row)?, wrapping_keys: wrapping::keys(&wrapped.unwrap_or_default()) })
    }
}

impl Database {
    /// Reads the state of the database of a cluster. `known` are the parts that an earlier survey has read.
    pub(crate) async fn survey(&self, cluster: &str, known: &Known) -> Result<Survey, Error> {
        let parts = known.get();
        if parts != Parts::default() {
            match self.ask(cluster, parts).await {
                // For example, a table was dropped.
                Err(error) if error.code().is_some() => known.set(Parts::default()),
                surveyed => return Ok(surveyed?),
            }
        }
        let survey = self.ask(cluster, Parts::default()).await?;
        if !survey.schema.is_expected() {
            return Ok(survey);
        }
        let surveyed = self.survey_tables(cluster).await;
        if surveyed.as_ref().is_err_and(|error| error.code().is_some()) {
            // The owner of the tables explains more than a refused statement.
            survey.schema.check_owner(&self.login)?;
        }
        let (parts, survey) = surveyed?;
        known.set(parts);
        Ok(survey)
    }

    /// State of the tables.
    pub(crate) async fn tables(&self, mark: &str) -> Result<Tables, Error> {
        self.survey("", &Known::default()).await?.schema.tables(&self.login, mark)
    }

    /// Reads the state of a database with tables. Not every login may read the timeline.
    async fn survey_tables(&self, cluster: &str) -> Result<(Parts, Survey), DatabaseError> {
        let parts = Parts { tables: true, timeline: true };
        match self.ask(cluster, parts).await {
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {}
            surveyed => return surveyed.map(|survey| (parts, survey)),
        }
        let parts = Parts { timeline: false, ..parts };
        self.ask(cluster, parts).await.map(|survey| (parts, survey))
    }

    async fn ask(&self, cluster: &str, parts: Parts) -> Result<Survey, DatabaseError> {
        let (sql, roles) = (parts.statement(), pattern(cluster));
        self.with(|client| async move { Survey::of(&client.query_one(&sql, &[&roles]).await?) }).await
    }
}
