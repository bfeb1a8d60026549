//! Indexes of OpenBao's tables: without the unique ones every write fails, and without the other one every list reads the
//! whole table.

use steamer_core::error::Error;

use crate::database::Database;

/// Table, uniqueness and columns of each index that applies to all rows.
const INDEXES: &str = "
SELECT c.relname::text || CASE WHEN i.indisunique THEN ' unique ' ELSE ' ' END
       || (SELECT string_agg(a.attname::text, ',' ORDER BY k.number)
           FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attribute, number)
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attribute)
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
WHERE i.indrelid IN (to_regclass('openbao_kv_store'), to_regclass('openbao_ha_locks'))
  AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL ORDER BY 1";

/// The indexes that OpenBao needs, each in all its forms, and the statement that creates it.
const REQUIRED: [(&[&str], &str); 3] = [
    (
        &["openbao_kv_store unique path,key", "openbao_kv_store unique key,path"],
        "ALTER TABLE openbao_kv_store ADD PRIMARY KEY (path, key)",
    ),
    (
        &["openbao_kv_store parent_path"],
        "CREATE INDEX openbao_kv_store_idx ON openbao_kv_store (parent_path)",
    ),
    (&["openbao_ha_locks unique ha_key"], "ALTER TABLE openbao_ha_locks ADD PRIMARY KEY (ha_key)"),
];

impl Database {
    /// Refuses tables without the indexes that OpenBao needs.
    pub(crate) async fn check_indexes(&self) -> Result<(), Error> {
        let indexes: Vec<String> = self.column(INDEXES).await?;
        match missing(&indexes) {
            None => Ok(()),
            Some(statement) => Err(Error::Invalid(format!(
                "the tables of OpenBao in database `{}` lack an index: run {statement}",
                self.login.database
            ))),
        }
    }
}

/// The statement that creates the first missing index.
fn missing(indexes: &[String]) -> Option<&'static str> {
    let exists = |forms: &[&str]| indexes.iter().any(|index| forms.contains(&index.as_str()));
    REQUIRED.into_iter().find(|(forms, _)| !exists(forms)).map(|(_, statement)| statement)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::complete(
        "openbao_kv_store unique path,key;openbao_kv_store parent_path;openbao_ha_locks unique ha_key",
        None
    )]
    #[case::another_order(
        "openbao_ha_locks unique ha_key;openbao_kv_store parent_path;openbao_kv_store unique key,path",
        None
    )]
    #[case::no_key(
        "openbao_kv_store parent_path;openbao_ha_locks unique ha_key",
        Some("ADD PRIMARY KEY (path, key)")
    )]
    #[case::key_that_is_not_unique(
        "openbao_kv_store path,key;openbao_kv_store parent_path;openbao_ha_locks unique ha_key",
        Some("ADD PRIMARY KEY (path, key)")
    )]
    #[case::no_parent(
        "openbao_kv_store unique path,key;openbao_ha_locks unique ha_key",
        Some("(parent_path)")
    )]
    #[case::no_key_of_locks(
        "openbao_kv_store unique path,key;openbao_kv_store parent_path",
        Some("(ha_key)")
    )]
    fn a_missing_index_is_named_with_its_statement(#[case] indexes: &str, #[case] expected: Option<&str>) {
        let indexes: Vec<String> = indexes.split(';').map(str::to_owned).collect();
        let said = missing(&indexes);
        assert_eq!(said.is_some(), expected.is_some(), "{said:?}");
        assert!(said.unwrap_or_default().contains(expected.unwrap_or_default()), "{said:?}");
    }
}
