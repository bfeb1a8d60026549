//! Objects of tests.

use std::sync::Arc;

use serde_json::{Value, json};
use steamer_api::{DatabaseConnection, OpenBaoCluster, SecretsApp};
use steamer_openbao::NamespacePath;

use super::bindings::{self, Login, Method};
use super::database::{self, Database};
use super::parts::Parts;
use crate::general::Home;

/// The application `web`.
pub(super) fn app(spec: Value) -> SecretsApp {
    let mut whole = json!({"clusterRef": {"name": "main"}});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let mut app = SecretsApp::new("web", serde_json::from_value(whole).unwrap());
    app.metadata.namespace = Some("ns".to_owned());
    app
}

/// The connection `db` in the mount `postgres`.
pub(super) fn connection(spec: Value) -> DatabaseConnection {
    let mut whole =
        json!({"clusterRef": {"name": "main"}, "mount": "postgres", "plugin": "postgresql-database-plugin"});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let mut connection = DatabaseConnection::new("db", serde_json::from_value(whole).unwrap());
    connection.metadata.namespace = Some("ns".to_owned());
    connection
}

/// What the policies of an application are computed from.
pub(super) fn parts(app: &SecretsApp) -> Parts {
    let with = |_| Database::with(app, Arc::new(connection(json!({})))).unwrap();
    let database = database::settings(app).map(with);
    Parts {
        login: Login { method: Method::Kubernetes, roles: bindings::roles(app, Method::Kubernetes) },
        credentials: database.as_ref().map(|it| it.credentials.clone()),
        database,
        denied: None,
    }
}

/// The root namespace of a managed cluster with the administrator `admin`.
pub(super) fn home() -> Home {
    let spec = json!({
        "managed": {"version": "2.7.2", "seal": {"static": {}}, "storage": {"postgresql": {"secretRef": {"name": "pg"}}}},
        "operatorScope": "Root", "administrators": [{"name": "admin", "serviceAccount": {"name": "admin"}}],
    });
    let mut cluster = OpenBaoCluster::new("main", serde_json::from_value(spec).unwrap());
    cluster.metadata.namespace = Some("ns".to_owned());
    Home { cluster: Arc::new(cluster), namespace: NamespacePath::root() }
}
