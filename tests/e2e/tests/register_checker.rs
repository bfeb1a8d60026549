//! The checker of the nodes tier finds lost, late and repeated writes: each is made by hand in the database.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use steamer_openbao::{Identity, Session};
use steamer_testing::Ground;
use steamer_testing::openbao::OpenBao;
use steamer_testing::registers::Registers;
use steamer_testing::registers::chain::{Chain, Version};
use steamer_testing::registers::keys::{MOUNT, differences, mount, write};

const NAME: &str = "checker";

/// Rows that a write changes, as they are before and after it.
struct Rows(&'static str);

impl Rows {
    /// Remembers the rows of the database.
    fn before(ground: &Ground, name: &'static str) -> Result<Self> {
        ground.postgres.run(NAME, &format!("CREATE TABLE {name}_before AS TABLE openbao_kv_store"))?;
        Ok(Self(name))
    }

    /// Takes the changes of a write back, as if it was not committed yet.
    fn revert(&self, ground: &Ground) -> Result<()> {
        let name = self.0;
        ground.postgres.run(
            NAME,
            &format!(
                "CREATE TABLE {name}_late AS SELECT * FROM openbao_kv_store WHERE path LIKE '/logical/%'
                   EXCEPT TABLE {name}_before"
            ),
        )?;
        self.replace(ground, "before")
    }

    /// Commits the write, whatever was written in the meantime.
    fn commit(&self, ground: &Ground) -> Result<()> {
        self.replace(ground, "late")
    }

    fn replace(&self, ground: &Ground, by: &str) -> Result<()> {
        let name = self.0;
        ground.postgres.run(
            NAME,
            &format!(
                "BEGIN;
                 DELETE FROM openbao_kv_store kv USING {name}_late late WHERE kv.path = late.path AND kv.key = late.key;
                 INSERT INTO openbao_kv_store SELECT rows.* FROM {name}_{by} rows
                   JOIN {name}_late late ON rows.path = late.path AND rows.key = late.key;
                 COMMIT"
            ),
        )?;
        Ok(())
    }
}

/// Restarts the server: like another leader, it has not cached anything.
async fn another_leader(ground: &Ground, mut openbao: OpenBao) -> Result<OpenBao> {
    openbao.stop();
    // The lock of the killed leader would expire after 15 s.
    ground.postgres.run(NAME, "DELETE FROM openbao_ha_locks")?;
    ground
        .at_home(async move {
            openbao.run()?;
            openbao.serves().await?;
            Ok(openbao)
        })
        .await
}

/// A chain with one acknowledged version.
async fn begun(admin: &Session, path: &str) -> Result<Chain> {
    let mut chain = Chain::default();
    chain.acknowledge(write(admin, path, 1, 0).await?)?;
    Ok(chain)
}

#[tokio::test]
async fn the_checker_finds_a_deleted_row_a_late_commit_and_a_repeated_version() -> Result<()> {
    let ground = Ground::shared();
    let openbao = ground.own_openbao(NAME).await?;
    let admin = openbao.admin()?;
    mount(&admin).await?;
    ground.postgres.run(NAME, "CREATE TABLE mounted AS TABLE openbao_kv_store")?;
    let client = openbao.client()?.session(Identity::Token(openbao.root.clone()));
    let mut registers = Registers::start(vec![client.clone(), client]).await?;
    registers.goes_on().await?;
    registers.stop().await?;
    ground.postgres.run(NAME, "CREATE TABLE worked AS TABLE openbao_kv_store")?;
    // A write that is not acknowledged, and is committed later.
    let mut late = begun(&admin, "late").await?;
    let late_rows = Rows::before(&ground, "unanswered")?;
    let unanswered = write(&admin, "late", 2, 1).await?;
    late.lose_response(unanswered.value);
    late_rows.revert(&ground)?;
    // An acknowledged write that the database does not have anymore.
    let mut repeated = begun(&admin, "repeated").await?;
    let lost_rows = Rows::before(&ground, "lost")?;
    repeated.acknowledge(write(&admin, "repeated", 2, 1).await?)?;
    lost_rows.revert(&ground)?;

    let openbao = another_leader(&ground, openbao).await?;
    let admin = openbao.admin()?;
    let differences_of = async |path: &str, chain: &Chain| differences(&admin, path, chain).await;
    assert_eq!(registers.differences(&admin).await?, Vec::<String>::new(), "nothing is lost");
    assert_eq!(
        differences_of("late", &late).await?,
        Vec::<String>::new(),
        "the write may be committed or not"
    );
    // Without its condition, the next write gets the version of the lost one.
    let number = admin.write_kv2(MOUNT, "repeated", &json!({"count": 3})).await?;
    let again = repeated.acknowledge(Version { number, value: 3 });
    ensure!(again.is_err(), "version {number} was given twice");
    late.acknowledge(write(&admin, "late", 3, 1).await?)?;
    late_rows.commit(&ground)?;
    let deleted = "DELETE FROM openbao_kv_store WHERE (path, key) = (
                     SELECT path, key FROM worked WHERE path LIKE '%/versions/%'
                       AND (path, key) NOT IN (SELECT path, key FROM mounted) LIMIT 1) RETURNING key";
    ensure!(!ground.postgres.run(NAME, deleted)?.trim().is_empty(), "no row was deleted");

    let openbao = another_leader(&ground, openbao).await?;
    let admin = openbao.admin()?;
    let mut found = registers.differences(&admin).await?;
    found.extend(differences(&admin, "late", &late).await?);
    found.extend(differences(&admin, "repeated", &repeated).await?);
    for expected in [
        "is lost",
        "late: version 2 was acknowledged with 3 and holds 2: a late commit",
        "repeated: version 2",
    ] {
        found
            .iter()
            .find(|found| found.contains(expected))
            .with_context(|| format!("{expected}: {found:?}"))?;
    }
    Ok(())
}
