//! Invalid states that races between OpenBao nodes leave behind; triggers in the database reproduce each race.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use reqwest::Method;
use serde_json::json;
use steamer_testing::openbao::mount_kv;
use steamer_testing::wait::eventually;

use crate::bao::{Bao, NODES, condition, whole};

/// Delays the leader between acquiring its lock and publishing its address.
const LATE: &str = "
CREATE OR REPLACE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(4); RETURN NEW; END $$;
CREATE TRIGGER late BEFORE INSERT ON openbao_kv_store FOR EACH ROW WHEN (NEW.path = '/core/leader/')
  EXECUTE FUNCTION late()";

#[tokio::test]
async fn a_standby_that_does_not_know_the_leader_is_restarted() -> Result<()> {
    // A standby that answers reads itself follows the leader by more than the lock.
    let bao = Bao::serving("leaderless", |spec| spec["managed"]["standbyReads"] = json!(true)).await?;
    let admin = bao.admin().await?;
    mount_kv(&admin, "kv").await?;
    let (mut leader, mut leaderless) = (bao.leader().await?, Vec::new());
    // Not every standby looks up the leader during the delay.
    for _ in 0..CHANGES {
        bao.postgres.sql("leaderless", LATE)?;
        leader = bao.another_leader(&admin).await?;
        bao.postgres.sql("leaderless", "DROP TRIGGER late ON openbao_kv_store")?;
        leaderless = without_leader(&bao).await?;
        if !leaderless.is_empty() {
            break;
        }
    }
    ensure!(!leaderless.is_empty(), "every standby knows the leader");
    let degraded = bao.until("the missing standby is reported", |object| {
        condition(object, "Degraded").is_some_and(|(status, ..)| status == "True")
    });
    let degraded = degraded.await?;
    let (_, _, message) = condition(&degraded, "Degraded").context("the condition is missing")?;
    ensure!(message.ends_with("of 3 nodes serve"), "{message}");
    for (pod, run) in leaderless {
        bao.comes_back(pod, &run).await?;
    }
    bao.until("all three nodes are Ready", whole).await?;
    let now = bao.leader().await?;
    assert_eq!(now, leader, "the leader did not change");
    for pod in NODES {
        assert_eq!(bao.followed_by(&[pod]).await?.as_deref(), Some(&*now), "{pod}");
        let own =
            bao.client(&[pod], std::time::Duration::from_secs(20)).await?.session(admin.identity().clone());
        own.request_any(Method::POST, "kv/data/a", Some(json!({"data": {"from": pod}}))).await?;
    }
    Ok(())
}

/// Changes of the leader after which a standby must have missed one.
const CHANGES: usize = 5;

/// Returns the standbys that looked up the leader during the delay, and cache that there is none.
async fn without_leader(bao: &Bao) -> Result<Vec<(&'static str, String)>> {
    let mut leaderless = Vec::new();
    for pod in NODES {
        let answers = format!("{pod} answers");
        let followed = eventually(&answers, || async {
            bao.followed_by(&[pod]).await.map_err(|error| format!("{error:#}"))
        });
        if followed.await?.is_none() {
            leaderless.push((pod, bao.run_of(pod).await?));
        }
    }
    Ok(leaderless)
}

/// Turns the next leader lock into one without a holder, as when a node forgets its lock, and keeps it from expiring.
const FORGOTTEN: &str = "
CREATE TABLE forgotten (lock text);
CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
  IF NOT EXISTS (SELECT FROM public.openbao_ha_locks WHERE ha_key = 'core/lock') AND NOT EXISTS (SELECT FROM public.forgotten) THEN
    INSERT INTO public.forgotten VALUES (NEW.ha_value);
    NEW.ha_identity := 'nobody';
    NEW.ha_value := '6f6e6f62-6f64-4979-8000-000000000000';
  END IF;
  RETURN NEW; END $$;
CREATE FUNCTION remain() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER remain BEFORE UPDATE ON openbao_ha_locks FOR EACH ROW WHEN (OLD.ha_identity = 'nobody')
  EXECUTE FUNCTION remain();
CREATE TRIGGER forget BEFORE INSERT ON openbao_ha_locks FOR EACH ROW WHEN (NEW.ha_key = 'core/lock')
  EXECUTE FUNCTION forget()";

#[tokio::test]
async fn an_abandoned_leader_lock_is_freed() -> Result<()> {
    let bao = Bao::serving("abandoned", |_| {}).await?;
    let admin = bao.admin().await?;
    bao.postgres.sql("abandoned", FORGOTTEN)?;
    bao.another_leader(&admin).await?;
    // Two nodes that compete for the lock both insert a row.
    let forgotten = bao.postgres.sql("abandoned", "SELECT EXISTS (SELECT FROM forgotten)")?;
    assert_eq!(forgotten.trim(), "t", "no lock was abandoned");
    let object = bao.until("all three nodes are Ready", whole).await?;
    let fenced = object.status.context("the object has no status")?.fenced;
    ensure!(fenced.is_empty(), "a node that never led was fenced: {fenced:?}");
    let events: Api<Event> = Api::namespaced(bao.kube.clone(), "abandoned");
    eventually("an Event reports the freed lock", || async {
        let all = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let notes = all.items.into_iter().filter_map(|event| event.note);
        let mut freed = notes.filter(|note| note.contains("lock was freed"));
        freed.next().map(drop).ok_or_else(|| "no such Event".to_owned())
    })
    .await
}
