//! The statements of a guard against a real PostgreSQL server.

mod server;
mod survey;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use steamer_runtime::Metrics;

use crate::database::Database;
use crate::database::incarnations::RoleAdmin;
use crate::database::lock::{Attempt, Lock};
use crate::database::operator_lock::{Claim, Operator};
use crate::database::roles::FenceNote;
use crate::database::schema::Occupant;
use crate::database::survey::Known;

use server::Server;

const MARK: &str = "i/OpenBaoCluster/openbao/main";

const TAKE: &str =
    "INSERT INTO openbao_ha_locks VALUES ('core/lock', 'id', 'leader-1', now() + interval '15 s')
  ON CONFLICT (ha_key) DO UPDATE SET ha_value = EXCLUDED.ha_value, valid_until = EXCLUDED.valid_until";
const RENEW: &str = "UPDATE openbao_ha_locks SET valid_until = valid_until + interval '5 s'";

fn note(lock: &str) -> FenceNote {
    FenceNote { since: 1, lock: lock.to_owned(), uid: "u".to_owned(), reason: "it hangs".to_owned() }
}

async fn openbao_id(owner: &Database) -> Option<String> {
    let survey = owner.survey("main", &Known::default()).await.unwrap();
    survey.schema.openbao_id()
}

async fn lock(owner: &Database) -> Lock {
    owner.lock().await.unwrap().unwrap()
}

/// One server for all statements: its start is the largest part of the time.
#[tokio::test]
async fn a_guard_fences_the_holder_that_the_database_records() {
    let Some(server) = Server::start("guard").await else { return };
    let (owner, admin) = (server.database("owner"), server.database("admin"));
    owner.create_tables(MARK).await.unwrap();
    records(&server, &owner).await;
    let roles = RoleAdmin { owner: &owner, admin: &admin, mark: MARK };
    for role in ["main_0_1", "main_1_1"] {
        admin.create_role(role, &"p".to_owned().into(), MARK).await.unwrap();
        owner.grant(role).await.unwrap();
    }
    let nodes = [server.database("main_0_1"), server.database("main_1_1")];
    identifies(&owner, &nodes).await;
    only_unchanged(&server, &roles, &nodes).await;
    blocked(&server, &roles, &nodes).await;
    in_one_transaction(&server, &roles, &nodes).await;
    dropped(&server, &roles, &nodes).await;
    with_another_database(&server, &roles, &nodes).await;
    fenced(&server, &roles, &nodes).await;
    undone(&server, &roles, &nodes).await;
    timeouts(&server, &nodes).await;
    one_operator(&server, &owner).await;
    owner.drop_tables().await.unwrap();
    assert_eq!(server.sql("SELECT count(*) FROM pg_class WHERE relname LIKE 'steamer%'").await, "0");
    assert_eq!(server.sql("SELECT count(*) FROM pg_proc WHERE proname LIKE 'steamer%'").await, "0");
}

/// The recorder is created once, a failure of it does not reach OpenBao, and its state is visible.
async fn records(server: &Server, owner: &Database) {
    let tables = owner.tables(MARK).await.unwrap();
    assert_eq!((tables.occupant, tables.records_holder), (Occupant::Own, false));
    let refused = server.database("stranger").create_recorder().await.unwrap();
    assert!(refused.is_some(), "a login that owns nothing cannot create it");
    for _ in 0..2 {
        assert_eq!(owner.create_recorder().await.unwrap(), None);
    }
    assert!(owner.tables(MARK).await.unwrap().records_holder);
    server.sql("ALTER TABLE steamer_guard RENAME TO elsewhere").await;
    assert!(!owner.tables(MARK).await.unwrap().records_holder);
    owner.run(TAKE).await.unwrap();
    assert!(!lock(owner).await.is_recorded);
    server.sql("ALTER TABLE elsewhere RENAME TO steamer_guard; DELETE FROM openbao_ha_locks").await;
    // The trigger writes to the schema of its table, which is not the first one here.
    server.sql("CREATE SCHEMA owner AUTHORIZATION owner; ALTER TABLE steamer_guard SET SCHEMA owner").await;
    assert!(!owner.tables(MARK).await.unwrap().records_holder);
    assert!(owner.create_recorder().await.unwrap().unwrap().contains("drop it"));
    server.sql("DROP TABLE owner.steamer_guard").await;
    assert_eq!(owner.create_recorder().await.unwrap(), None);
    assert!(owner.tables(MARK).await.unwrap().records_holder);
    server.sql("DROP SCHEMA owner CASCADE").await;
    assert_eq!(openbao_id(owner).await, None);
    owner.record_openbao("a-1").await.unwrap();
    assert_eq!(openbao_id(owner).await.as_deref(), Some("a-1"));
    assert_eq!(owner.tables(MARK).await.unwrap().occupant, Occupant::Own, "the mark is another comment");
}

/// Every login that takes the lock is recorded, with one write for each holder.
async fn identifies(owner: &Database, nodes: &[Database; 2]) {
    nodes[0].run(TAKE).await.unwrap();
    assert_eq!(owner.holder("leader-1").await.unwrap().as_deref(), Some("main_0_1"));
    let version = "SELECT xmin::text || at::text FROM steamer_guard WHERE key = 'lock'";
    let before: String = owner.value(version).await.unwrap();
    nodes[0].run(RENEW).await.unwrap();
    assert_eq!(owner.value::<String>(version).await.unwrap(), before, "a renewal writes nothing");
    nodes[1].run("UPDATE openbao_ha_locks SET ha_value = 'leader-2'").await.unwrap();
    assert_eq!(owner.holder("leader-2").await.unwrap().as_deref(), Some("main_1_1"));
    assert_eq!(owner.holder("leader-1").await.unwrap(), None);
    // A role of a node can neither read nor change the record.
    assert!(nodes[0].run("UPDATE steamer_guard SET login = 'main_1_1'").await.is_err());
    assert!(!owner.pulse("leader-2").await.unwrap(), "its holder has not written its address");
    nodes[1]
        .run("INSERT INTO openbao_kv_store VALUES ('/core/', '/core/leader/', 'leader-2', '')")
        .await
        .unwrap();
    assert!(owner.pulse("leader-2").await.unwrap());
    assert_eq!(owner.namespaces().await.unwrap(), 0);
    nodes[1]
        .run(
            "INSERT INTO openbao_kv_store VALUES ('/core/', '/core/namespaces/', 'a', ''),
             ('/namespaces/a/core/', '/namespaces/a/core/namespaces/', 'b', ''),
             ('/namespaces/a/', '/namespaces/a/core/', 'namespaces', '')",
        )
        .await
        .unwrap();
    assert_eq!(owner.namespaces().await.unwrap(), 2);
}

/// A lock that was renewed, released or taken since it was judged fences no node.
async fn only_unchanged(server: &Server, roles: &RoleAdmin<'_>, nodes: &[Database; 2]) {
    let judged = lock(roles.owner).await;
    nodes[1].run(RENEW).await.unwrap();
    assert!(!roles.fence("main_1_1", &note("leader-2"), &judged).await.unwrap());
    let judged = Lock { value: "leader-1".to_owned(), ..lock(roles.owner).await };
    assert!(!roles.fence("main_1_1", &note("leader-1"), &judged).await.unwrap());
    assert_eq!(
        server.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'main%' AND rolcanlogin").await,
        "2"
    );
    assert_eq!(server.sql("SELECT count(*) FROM openbao_ha_locks").await, "1");
}

/// A session that holds the row: of another login, the fence waits; of the holder itself, it goes on.
async fn blocked(server: &Server, roles: &RoleAdmin<'_>, nodes: &[Database; 2]) {
    const HOLD: &str = "BEGIN; SELECT 1 FROM openbao_ha_locks FOR UPDATE";
    nodes[0].run(HOLD).await.unwrap();
    let judged = lock(roles.owner).await;
    let attempt = roles.owner.hold_lock(&judged, "main_1_1").await.unwrap();
    assert!(matches!(attempt, Attempt::Blocked(Some(login)) if login == "main_0_1"));
    nodes[0].run("ROLLBACK").await.unwrap();
    let Attempt::Held(row) = roles.owner.hold_lock(&judged, "main_1_1").await.unwrap() else {
        panic!("no session holds the row");
    };
    // No client renews or takes the lock in the meantime.
    let waits = nodes[0].run("SET lock_timeout = '100ms'; UPDATE openbao_ha_locks SET ha_value = 'x'").await;
    assert!(waits.is_err());
    row.release().await.unwrap();
    // A slow renewal that ends is no hanging session.
    nodes[1]
        .run("BEGIN; UPDATE openbao_ha_locks SET valid_until = valid_until + interval '5 s'")
        .await
        .unwrap();
    let commit = tokio::time::timeout(Duration::from_secs(10), committed_while_waiting(server, &nodes[1]));
    let (attempt, _) = tokio::join!(roles.owner.hold_lock(&judged, "main_1_1"), commit);
    assert!(matches!(attempt.unwrap(), Attempt::Changed));
    nodes[1].run("ROLLBACK").await.unwrap();
    let judged = lock(roles.owner).await;
    nodes[1].run(HOLD).await.unwrap();
    assert!(roles.fence("main_1_1", &note("leader-2"), &judged).await.unwrap());
    assert_eq!(server.sql("SELECT count(*) FROM openbao_ha_locks").await, "0");
    roles.admin.enable("main_1_1", MARK).await.unwrap();
}

/// Commits the transaction of a node while the second attempt to hold the row waits for it.
async fn committed_while_waiting(server: &Server, node: &Database) {
    const WAITS: &str =
        "SELECT query_start FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'owner'";
    let mut attempts = BTreeSet::new();
    while attempts.len() < 2 {
        attempts.extend(Some(server.sql(WAITS).await).filter(|start| !start.is_empty()));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    node.run("COMMIT").await.unwrap();
}

/// The transaction that disables a login has locked the row, which the owner holds until the fence is complete.
async fn in_one_transaction(server: &Server, roles: &RoleAdmin<'_>, nodes: &[Database; 2]) {
    const TOGETHER: &str = "
SELECT bool_or(m.xid = a.xmin) FROM openbao_ha_locks l, pg_authid a, pg_get_multixact_members(l.xmax) m
WHERE a.rolname = 'main_1_1'";
    nodes[1].run(TAKE).await.unwrap();
    let judged = lock(roles.owner).await;
    server.sql("REVOKE ALL ON openbao_ha_locks FROM admin").await;
    assert_eq!(roles.owner.lock_table(&roles.admin.login).await.unwrap(), None, "a fence grants no right");
    roles.owner.permit_locks(&roles.admin.login).await.unwrap();
    let table = roles.owner.lock_table(&roles.admin.login).await.unwrap();
    assert_eq!(table.as_deref(), Some("public.openbao_ha_locks"));
    let Attempt::Held(row) = roles.owner.hold_lock(&judged, "main_1_1").await.unwrap() else {
        panic!("no session holds the row");
    };
    let disable = "ALTER ROLE main_1_1 NOLOGIN";
    assert!(roles.admin.change_beside(&row, "public.openbao_ha_locks", disable).await.unwrap());
    assert_eq!(server.sql(TOGETHER).await, "t");
    assert!(nodes[0].run("SET lock_timeout = '100ms'; DELETE FROM openbao_ha_locks").await.is_err());
    row.delete().await.unwrap();
    assert_eq!(server.sql("SELECT count(*) FROM openbao_ha_locks").await, "0");
    roles.admin.enable("main_1_1", MARK).await.unwrap();
}

/// A fence that is dropped half-way leaves no transaction open.
async fn dropped(server: &Server, roles: &RoleAdmin<'_>, nodes: &[Database; 2]) {
    nodes[1].run(TAKE).await.unwrap();
    let judged = lock(roles.owner).await;
    let Attempt::Held(row) = roles.owner.hold_lock(&judged, "main_1_1").await.unwrap() else {
        panic!("no session holds the row");
    };
    assert!(!roles.owner.is_connected().await, "no other statement uses its connection");
    drop(row);
    nodes[0].run("SET lock_timeout = '4s'; UPDATE openbao_ha_locks SET ha_value = 'x'").await.unwrap();
    server.sql("DELETE FROM openbao_ha_locks").await;
}

/// An admin that cannot lock the row fences, too: the owner holds it.
async fn with_another_database(server: &Server, roles: &RoleAdmin<'_>, nodes: &[Database; 2]) {
    let elsewhere =
        Database::new(server.login("admin", "postgres"), Arc::default(), Arc::new(Metrics::default()));
    assert_eq!(roles.owner.lock_table(&elsewhere.login).await.unwrap(), None);
    let roles = RoleAdmin { admin: &elsewhere, ..*roles };
    nodes[1].run(TAKE).await.unwrap();
    let judged = lock(roles.owner).await;
    nodes[1].run(RENEW).await.unwrap();
    assert!(!roles.fence("main_1_1", &note("leader-1"), &judged).await.unwrap());
    let judged = lock(roles.owner).await;
    assert!(roles.fence("main_1_1", &note("leader-1"), &judged).await.unwrap());
    assert!(!server.database("main_1_1").accepts_login().await.unwrap());
    assert!(roles.owner.lock().await.unwrap().is_none());
    roles.admin.enable("main_1_1", MARK).await.unwrap();
}

/// A fenced role can neither log in nor use its sessions, and the database knows why.
async fn fenced(server: &Server, roles: &RoleAdmin<'_>, nodes: &[Database; 2]) {
    nodes[0].run(TAKE).await.unwrap();
    let judged = lock(roles.owner).await;
    assert!(roles.fence("main_0_1", &note("leader-1"), &judged).await.unwrap());
    assert!(nodes[0].run(RENEW).await.is_err());
    let refused = server.database("main_0_1").accepts_login().await.unwrap();
    assert!(!refused, "a fenced role logs in");
    let found = roles.admin.node_roles("main", MARK).await.unwrap();
    let role = found.iter().find(|role| role.name == "main_0_1").unwrap();
    assert_eq!(role.note.as_ref(), Some(&note("leader-1")));
    assert!(role.own && !role.can_login && role.may_change && role.has_timeouts);
    assert!(!roles.owner.is_in_use("main_0_1", "leader-1").await.unwrap());
    assert!(roles.owner.lock().await.unwrap().is_none());
}

/// Without the right to end sessions, a fence leaves the role as it was.
async fn undone(server: &Server, roles: &RoleAdmin<'_>, nodes: &[Database; 2]) {
    nodes[1].run(TAKE).await.unwrap();
    let judged = lock(roles.owner).await;
    server.sql("REVOKE pg_signal_backend FROM admin").await;
    assert!(roles.fence("main_1_1", &note("leader-1"), &judged).await.is_err());
    let found = roles.admin.node_roles("main", MARK).await.unwrap();
    let role = found.iter().find(|role| role.name == "main_1_1").unwrap();
    assert!(role.can_login && role.note.is_none() && role.own);
    assert!(roles.admin.check_rights(role).await.is_err());
    nodes[1].run(RENEW).await.unwrap();
    server.sql("GRANT pg_signal_backend TO admin").await;
    assert!(roles.admin.check_rights(role).await.is_ok());
    let survey = roles.owner.survey("main", &Known::default()).await.unwrap();
    assert!(survey.logins.is_empty(), "sessions of Steamer are no nodes");
}

/// PostgreSQL ends the transaction of a node that hangs.
async fn timeouts(server: &Server, nodes: &[Database; 2]) {
    let shown: String =
        nodes[1].value("SELECT current_setting('idle_in_transaction_session_timeout')").await.unwrap();
    assert_eq!(shown, "15s");
    server.sql("ALTER ROLE main_1_1 RESET ALL").await;
    let found = server.database("admin").node_roles("main", MARK).await.unwrap();
    assert!(found.iter().any(|role| role.name == "main_1_1" && !role.has_timeouts));
    server.database("admin").set_timeouts("main_1_1").await.unwrap();
    assert!(
        server
            .sql("SELECT rolconfig FROM pg_roles WHERE rolname = 'main_1_1'")
            .await
            .contains("tcp_user_timeout=15s")
    );
}

/// A running operator keeps its database, and a lost connection of it is noticed.
async fn one_operator(server: &Server, owner: &Database) {
    let (mut first, mut second, mut copy) = (Claim::default(), Claim::default(), server.database("owner"));
    assert_eq!(first.take(owner, MARK).await.unwrap(), Operator::This);
    assert_eq!(first.take(owner, MARK).await.unwrap(), Operator::This);
    assert_eq!(second.take(&copy, MARK).await.unwrap(), Operator::Unknown, "it may be closing");
    assert!(!second.holds(&copy) && first.holds(owner) && !first.take_gap());
    let other = server.database("owner");
    assert_eq!(Claim::default().take(&other, "another cluster").await.unwrap(), Operator::This);
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'").await;
    while owner.is_connected().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    copy = server.database("owner");
    assert_eq!(second.take(&copy, MARK).await.unwrap(), Operator::This);
    assert_eq!(first.take(owner, MARK).await.unwrap(), Operator::Unknown);
    assert!(first.take_gap() && !first.holds(owner));
    let refused = owner.claim(MARK).await.unwrap_err().to_string();
    assert!(refused.contains("another Steamer uses this database (session "), "{refused}");
    copy.disconnect().await;
    owner.claim(MARK).await.unwrap();
    assert_eq!(second.take(&copy, MARK).await.unwrap(), Operator::Unknown, "the work goes on");
}
