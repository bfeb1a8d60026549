use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use steamer_api::{DatabaseTlsMode, Kind, ManagedServer, OpenBaoCluster, OpenBaoClusterStatus};
use steamer_core::context::Context;
use steamer_core::digest::digest;
use steamer_core::error::Error;
use steamer_core::ownership::Owner;
use steamer_openbao::Settings;
use steamer_runtime::{Dependencies, ObjectName};

use crate::children::ChildApi;
use crate::cluster::{Cluster, RESTORE};
use crate::controller::Controller;
use crate::database::Database;
use crate::database::login::{Entries, Login};
use crate::guard::GuardTarget;
use crate::objects::initialization::AdministratorIssuer;

/// What a cluster refers to, and what is known of it.
pub(crate) struct Found {
    pub(crate) owner: Login,
    pub(crate) admin: Option<Login>,
    pub(crate) last: OpenBaoClusterStatus,
    pub(crate) issuers: Vec<AdministratorIssuer>,
    /// Its database had another cluster before.
    pub(crate) adopted: bool,
}

pub(crate) fn spec(object: &OpenBaoCluster) -> Result<&ManagedServer, Error> {
    let spec = object.spec.managed.as_ref();
    spec.ok_or_else(|| {
        Error::Invalid("an OpenBaoCluster needs exactly one of managed and external".to_owned())
    })
}

pub(crate) async fn fetch(
    context: &Context,
    dependencies: &Dependencies,
    object: &OpenBaoCluster,
) -> Result<Found, Error> {
    let storage = &spec(object)?.storage.postgresql;
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let named = |name: &str| ObjectName::new(&namespace, name);
    let checks = matches!(storage.tls.mode, DatabaseTlsMode::VerifyCA | DatabaseTlsMode::VerifyFull);
    let ca = match &storage.tls.ca_secret_ref {
        Some(ca) if checks => {
            let ca = context.secrets.value(dependencies, &named(&ca.name), &ca.key).await?;
            String::from_utf8_lossy(&ca).into_owned()
        }
        _ => String::new(),
    };
    let tls = (storage.tls.mode, ca.as_str());
    let entries = |secret: Arc<Secret>| -> Entries {
        secret.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone())).collect()
    };
    let secret = context.secrets.existing(dependencies, &named(&storage.secret_ref.name)).await?;
    let owner = Login::read(&storage.secret_ref.name, (&entries(secret), None), &namespace, tls)?;
    let admin = match &storage.admin_secret_ref {
        Some(reference) => {
            let secret = context.secrets.existing(dependencies, &named(&reference.name)).await?;
            Some(Login::read(&reference.name, (&entries(secret), Some(&owner)), &namespace, tls)?)
        }
        None => None,
    };
    let issuers = issuers(context, dependencies, object)?;
    let adopted = object.annotations().contains_key(RESTORE);
    Ok(Found { owner, admin, last: context.last(object), issuers, adopted })
}

/// The issuers that administrators log in with.
fn issuers(
    context: &Context,
    dependencies: &Dependencies,
    object: &OpenBaoCluster,
) -> Result<Vec<AdministratorIssuer>, Error> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let mut all: BTreeMap<String, AdministratorIssuer> = BTreeMap::new();
    for subject in object.spec.administrators.iter().filter_map(|administrator| administrator.jwt.as_ref()) {
        let name = &subject.issuer_ref.name;
        if all.contains_key(name) {
            continue;
        }
        let issuer = context.stores.named::<steamer_api::JWTIssuer>(
            dependencies,
            &ObjectName::new(namespace, name),
            namespace,
        )?;
        let audiences = match issuer.spec.audiences.is_empty() {
            false => issuer.spec.audiences.clone(),
            true => object.spec.jwt_audience.iter().cloned().collect(),
        };
        if audiences.is_empty() {
            return Err(Error::Invalid(format!(
                "JWTIssuer {name} names no audiences and the cluster no jwtAudience: an administrator's JWT needs one"
            )));
        }
        let config = steamer_core::access::issuer::administrator_config(&issuer)?;
        all.insert(name.clone(), AdministratorIssuer { name: name.clone(), config, audiences });
    }
    Ok(all.into_values().collect())
}

/// The work of the cluster's guard; the same as before while nothing of it has changed.
pub(crate) fn guard_target(
    controller: &Controller,
    child_api: &ChildApi<'_>,
    cluster: &Cluster,
) -> Arc<GuardTarget> {
    let Controller { context, guards } = controller;
    let server = server(context, child_api, cluster);
    let admin = cluster.admin.as_ref().map(|admin| admin.service_file("")).unwrap_or_default();
    let text = format!(
        "{} {admin} {:?} {:?} {} {}",
        cluster.owner.service_file(""),
        cluster.fencing,
        cluster.spec.failover,
        cluster.owner.ca,
        String::from_utf8_lossy(&server.ca),
    );
    let digest = digest(text.as_bytes());
    if let Some(guard_target) = guards.guard_target(&cluster.name, &digest) {
        return guard_target;
    }
    let metrics = &context.runtime.metrics;
    Arc::new(GuardTarget {
        cluster: cluster.clone(),
        mark: mark(context, cluster),
        owner: Arc::new(Database::new(cluster.owner.clone(), metrics.clone())),
        admin: cluster.admin.clone().map(|admin| Arc::new(Database::new(admin, metrics.clone()))),
        server,
        logins: guards.logins(&cluster.name),
        unhealthy: std::sync::Mutex::default(),
        digest,
    })
}

/// What tells this cluster's database and roles from another's.
pub(crate) fn mark(context: &Context, cluster: &Cluster) -> String {
    context.mark(Owner::Object(OpenBaoCluster::ID), cluster.name.clone()).to_string()
}

/// How nodes are reached: by their stable names, at their pods' addresses.
fn server(context: &Context, child_api: &ChildApi<'_>, cluster: &Cluster) -> Settings {
    let ca =
        child_api.get::<ConfigMap>(&cluster.child("-ca")).and_then(|map| map.data.clone()?.remove("ca.crt"));
    Settings {
        ca: ca.unwrap_or_default().into_bytes(),
        resolver: Some(context.node_resolver()),
        ..Settings::default()
    }
}
