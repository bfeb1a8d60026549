//! What OpenBao leaves behind when its nodes come upon each other at the wrong moment: each is brought about in the database.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use reqwest::Method;
use serde_json::json;
use steamer_testing::openbao::mount_kv;
use steamer_testing::wait::eventually;

use crate::bao::{Bao, NODES, condition, whole};

/// A leader that takes its time between its lock and its address.
const LATE: &str = "
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(4); RETURN NEW; END $$;
CREATE TRIGGER late BEFORE INSERT ON openbao_kv_store FOR EACH ROW WHEN (NEW.path = '/core/leader/')
  EXECUTE FUNCTION late()";

#[tokio::test]
async fn a_standby_that_does_not_learn_who_leads_is_started_anew() -> Result<()> {
    let bao = Bao::serving("astray", |_| {}).await?;
    let admin = bao.admin().await?;
    mount_kv(&admin, "kv").await?;
    bao.postgres.sql("astray", LATE)?;
    let leader = bao.another_leader(&admin).await?;
    bao.postgres.sql("astray", "DROP TRIGGER late ON openbao_kv_store")?;
    // Who has looked meanwhile keeps that there is no leader.
    let mut astray = Vec::new();
    for pod in NODES {
        if bao.followed_by(&[pod]).await?.is_none() {
            astray.push((pod, bao.run_of(pod).await?));
        }
    }
    ensure!(!astray.is_empty(), "every standby has learned who leads");
    let told = bao.until("it is said", |object| {
        condition(object, "Degraded").is_some_and(|(status, ..)| status == "True")
    });
    let told = told.await?;
    let (_, _, message) = condition(&told, "Degraded").context("a condition")?;
    ensure!(message.ends_with("of 3 nodes serve"), "{message}");
    for (pod, run) in astray {
        bao.comes_back(pod, &run).await?;
    }
    let now = bao.leader().await?;
    assert_eq!(now, leader, "the leader was left alone");
    for pod in NODES {
        assert_eq!(bao.followed_by(&[pod]).await?.as_deref(), Some(&*now), "{pod}");
        let own = bao.client(&[pod], std::time::Duration::ZERO).await?.session(admin.identity().clone());
        own.request_any(Method::POST, "kv/data/a", Some(json!({"data": {"from": pod}}))).await?;
    }
    Ok(())
}

/// The next lock is nobody's, as when a node forgets that it has taken it, and does not run out.
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
async fn a_lock_that_nobody_leads_with_is_freed() -> Result<()> {
    let bao = Bao::serving("abandoned", |_| {}).await?;
    let admin = bao.admin().await?;
    bao.postgres.sql("abandoned", FORGOTTEN)?;
    bao.another_leader(&admin).await?;
    // Two nodes that come at once both leave a line.
    let forgotten = bao.postgres.sql("abandoned", "SELECT EXISTS (SELECT FROM forgotten)")?;
    assert_eq!(forgotten.trim(), "t", "no lock was forgotten");
    let object = bao.until("all is well", whole).await?;
    let fenced = object.status.context("a status")?.fenced;
    ensure!(fenced.is_empty(), "nobody is fenced who has never led: {fenced:?}");
    let events: Api<Event> = Api::namespaced(bao.kube.clone(), "abandoned");
    eventually("the event tells of it", || async {
        let all = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let notes = all.items.into_iter().filter_map(|event| event.note);
        let mut freed = notes.filter(|note| note.contains("lock was freed"));
        freed.next().map(drop).ok_or_else(|| "no such event".to_owned())
    })
    .await
}
