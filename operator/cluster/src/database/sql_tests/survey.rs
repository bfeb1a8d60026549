//! The statements of a reconcile, as PostgreSQL counts them.

use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::Fencing;
use steamer_runtime::ObjectName;

use super::server::Server;
use crate::cluster::Cluster;
use crate::database::incarnations::{entries, secret};
use crate::database::login::{password_of, user_of};
use crate::database::logins;
use crate::database::operator_lock::Operator;
use crate::database::storage;
use crate::database::storage::Storage;
use crate::guard::registry::Guards;
use crate::guard::target::GuardTarget;
use crate::tests::cluster;
use crate::tests::kubernetes::{Access, Fake, context};

/// Statements of Steamer since the last reset: their number, and the statements.
const COUNTED: &str = "
SELECT COALESCE(sum(calls), 0) || ' statements: ' || COALESCE(string_agg(calls || ' x ' || query, '; '), '')
FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid WHERE r.rolname IN ('owner', 'admin')";

/// A seal-wrapped value with the key `k1`: field 5 is the key, and field 3 of that its ID.
const WRAPPED: &str =
    "INSERT INTO openbao_kv_store VALUES ('/', '/core/', 'recovery-key', '\\x2a041a026b31')";

/// A cluster whose database is on a server.
struct Scene<'a> {
    server: &'a Server,
    cluster: Cluster,
    target: Arc<GuardTarget>,
    access: Access,
}

impl<'a> Scene<'a> {
    async fn new(server: &'a Server, fencing: Fencing) -> Self {
        let (context, guards) = (context(&Fake::default()).await, Guards::default());
        let admin = (fencing == Fencing::Database).then(|| server.login("admin", "bao"));
        let cluster = Cluster { owner: server.login("owner", "bao"), admin, fencing, ..cluster() };
        let target = guards.target(&context, None, &cluster);
        // The guard holds the lock of the database.
        target.lasting.operator_lock.set(Operator::This);
        let logins = secret(&cluster, &entries(&cluster, None, Some(&[])).unwrap());
        let name = ObjectName::new(&cluster.name.namespace, logins.name_any());
        context.cluster_objects.of().insert(name, Arc::new(logins));
        let access = Access::new(&context, &cluster, &target);
        Self { server, cluster, target, access }
    }

    /// Creates the role of each node in the Secret.
    async fn create_roles(&self) {
        let role_admin = self.target.role_admin().unwrap();
        let held = self.access.child_api().read(&self.cluster.logins_secret()).await.unwrap();
        for text in entries(&self.cluster, held.as_deref(), Some(&[])).unwrap().values() {
            let (role, password) = (user_of(text).unwrap(), password_of(text).unwrap());
            let password = password.to_owned().into();
            role_admin.admin.create_role(role, &password, &self.target.mark).await.unwrap();
        }
    }

    /// All that a reconcile asks of the database.
    async fn reconcile(&self) -> Storage {
        let child_api = self.access.child_api();
        let effects = self.access.effects(&child_api);
        let storage = storage::open(&effects, &self.cluster).await.unwrap();
        if self.cluster.admin.is_some() {
            let held = child_api.read(&self.cluster.logins_secret()).await.unwrap();
            let logins = logins::plan(&self.cluster, &storage, held.as_deref(), &[]);
            logins::apply(&effects, &self.cluster, &logins).await.unwrap();
        }
        storage
    }

    /// The statements of one reconcile.
    async fn counted(&self) -> String {
        self.server.sql("SELECT pg_stat_statements_reset()").await;
        self.reconcile().await;
        self.server.sql(COUNTED).await
    }

    async fn uses(&self, number: usize) {
        let counted = self.counted().await;
        assert!(counted.starts_with(&format!("{number} statements: ")), "{counted}");
    }
}

#[tokio::test]
async fn a_reconcile_of_a_settled_cluster_uses_two_statements() {
    let Some(server) = Server::start("survey").await else { return };
    server.sql("CREATE EXTENSION pg_stat_statements").await;
    let scene = Scene::new(&server, Fencing::Database).await;
    let child_api = scene.access.child_api();
    let first = storage::open(&scene.access.effects(&child_api), &scene.cluster).await.unwrap();
    assert!(!first.contents.initialized && first.timeline == Some(1));
    scene.create_roles().await;
    scene.reconcile().await;
    scene.uses(2).await;
    let without_roles = Scene::new(&server, Fencing::ProcessEnd).await;
    without_roles.reconcile().await;
    without_roles.uses(1).await;
    reads_the_same_as_before(&server, &scene).await;
    repairs_what_differs(&server, &scene).await;
}

/// The statement contains everything that is decided with.
async fn reads_the_same_as_before(server: &Server, scene: &Scene<'_>) {
    server.sql(WRAPPED).await;
    let found = scene.reconcile().await;
    assert_eq!(found.wrapping_keys, Some(vec!["k1".to_owned()]));
    assert_eq!(found.contents, scene.target.links.owner.contents().await.unwrap());
    assert!(found.contents.recovery_keys && found.obstacle.is_none() && found.ungranted.is_empty());
    assert_eq!(found.roles.unwrap().len(), 3);
    server.sql("DELETE FROM openbao_kv_store").await;
}

/// What a settled cluster does not need is done when something differs. Afterwards, two statements are enough again.
async fn repairs_what_differs(server: &Server, scene: &Scene<'_>) {
    server.sql("REVOKE ALL ON openbao_kv_store FROM main_1_1").await;
    assert_eq!(scene.reconcile().await.ungranted, ["main_1_1"]);
    scene.uses(2).await;
    server.sql("ALTER ROLE main_1_1 RESET ALL").await;
    scene.reconcile().await;
    scene.uses(2).await;
    server.sql("DROP TRIGGER steamer_record_holder ON openbao_ha_locks").await;
    scene.reconcile().await;
    scene.uses(2).await;
    // Not every login may read the timeline.
    server.sql("REVOKE EXECUTE ON FUNCTION pg_control_checkpoint() FROM PUBLIC").await;
    assert_eq!(scene.reconcile().await.timeline, None);
    scene.uses(2).await;
    scene.target.links.owner.drop_tables().await.unwrap();
    assert!(scene.reconcile().await.ungranted.len() == 3, "the tables are created again");
    scene.reconcile().await;
    scene.uses(2).await;
}
