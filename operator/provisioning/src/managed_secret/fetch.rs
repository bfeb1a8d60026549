//! Everything that a secret depends on: its project, the Secret with its value, and its entry in OpenBao.

use std::sync::Arc;

use kube::ResourceExt;
use secrecy::SecretString;
use steamer_api::{
    Entitlement, HasConditions, KvType, ManagedSecret, OpenBaoCluster, SecretValueReference, SecretsProject,
    SecretsTenant,
};
use steamer_core::Error;
use steamer_core::layout;
use steamer_core::ownership::secret::check_origin;
use steamer_core::writes::KvEngine;
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::ObjectName;

use super::entry::Entry;
use super::place::{Place, namespace_of, path_of};
use crate::engine::{Lookup, Pass, Provision};

/// Objects that a secret refers to. Every right is checked.
pub(crate) struct References {
    pub(super) project: Arc<SecretsProject>,
    pub(super) tenant: Arc<SecretsTenant>,
    pub(super) cluster: Arc<OpenBaoCluster>,
}

/// Everything that validation needs.
pub(crate) struct Found {
    pub(super) project: Arc<SecretsProject>,
    pub(super) place: Place,
    /// Namespace that is the root of the cluster.
    pub(super) root: NamespacePath,
    /// The value of the Secret. Its error matters only if the value is needed.
    pub(super) value: Option<Result<Sealed, Error>>,
    /// None: the secret does not exist.
    pub(super) entry: Option<Entry>,
    /// Why nothing may be written.
    pub(super) withheld: Option<String>,
    /// Number of the version that the status records.
    pub(super) last_version: Option<i64>,
    /// Digest of the request for a rotation that the status records as carried out.
    pub(super) handled: Option<String>,
}

/// A value of a Secret, with a keyed digest that is different for each secret.
pub(crate) struct Sealed {
    pub(super) value: SecretString,
    pub(super) digest: String,
}

pub(super) fn references(secret: &ManagedSecret, lookup: &Lookup<'_>) -> Result<References, Error> {
    let own = secret.namespace().unwrap_or_default();
    let project: Arc<SecretsProject> = lookup.resolve(&secret.spec.project_ref, &own)?;
    let found = project.references(lookup)?;
    Ok(References { project, tenant: found.tenant, cluster: found.cluster })
}

pub(super) async fn fetch(
    secret: &ManagedSecret,
    references: References,
    pass: &Pass<'_>,
) -> Result<(Session, Found), Error> {
    let References { project, tenant, cluster } = references;
    let place = place(secret, &project, &tenant, &cluster)?;
    let session = pass.session(&cluster).await?;
    let root = session.namespace().clone();
    watch(&place, &root, pass);
    let inside = session.within(place.namespace.as_str());
    let entry = inside.kv_metadata(&place.mount, &place.path).await?.map(Entry);
    let source = secret.spec.value_from.as_ref().and_then(|it| it.secret_key_ref.as_ref());
    let value = match source {
        Some(reference) => Some(value(secret, reference, &place, pass).await),
        None => None,
    };
    let withheld = withheld(&project, &tenant);
    let last = pass.context.status(secret);
    let (last_version, handled) = (last.version, last.last_handled_rotate);
    Ok((session, Found { project, place, root, value, entry, withheld, last_version, handled }))
}

/// Requeues the secret when a relay reports a write of it.
fn watch(place: &Place, root: &NamespacePath, pass: &Pass<'_>) {
    let Place { cluster, mount, path, .. } = place;
    let namespace = root.join(place.namespace.as_str());
    let engine = KvEngine { cluster, namespace: namespace.as_str(), mount, version: KvType::V2 };
    pass.dependencies.on(engine.value(path));
}

fn place(
    secret: &ManagedSecret,
    project: &SecretsProject,
    tenant: &SecretsTenant,
    cluster: &OpenBaoCluster,
) -> Result<Place, Error> {
    let (name, namespace) = (ObjectName::of(project), namespace_of(tenant, project));
    let status = project.status.as_ref();
    let is_there = status.and_then(|it| it.provisioned.as_ref());
    let is_there = is_there.is_some_and(|it| it.openbao_namespace == namespace.as_str());
    let has_engine = status.and_then(|it| it.condition("EngineReady")).is_some_and(|it| it.status == "True");
    let Some(engine) = project.spec.engines.first().filter(|_| is_there && has_engine) else {
        return Err(Error::Waiting(format!("SecretsProject {name} has not created its secrets engine yet")));
    };
    Ok(Place {
        cluster: ObjectName::of(cluster),
        tenant: ObjectName::of(tenant),
        namespace,
        mount: layout::engine(&engine.name),
        path: path_of(&secret.spec.name),
    })
}

/// The value of a key of a Secret.
async fn value(
    secret: &ManagedSecret,
    reference: &SecretValueReference,
    place: &Place,
    pass: &Pass<'_>,
) -> Result<Sealed, Error> {
    let name = ObjectName::new(secret.namespace().unwrap_or_default(), &reference.name);
    let secrets = &pass.context.secrets;
    let remedy = "choose another secret in valueFrom.secretKeyRef";
    check_origin(&*secrets.existing(pass.dependencies, &name).await?, remedy)?;
    let bytes = secrets.value(pass.dependencies, &name, &reference.key).await?;
    let subject =
        format!("ManagedSecret {}: {}", ObjectName::of(secret), place.namespace.path(&place.data()));
    let digest = pass.context.mac.of([(subject.as_str(), bytes.as_slice())]);
    let text = String::from_utf8(bytes).map_err(|_| {
        Error::Invalid(format!("key `{}` of Secret {name} is not UTF-8: replace its value", reference.key))
    })?;
    Ok(Sealed { value: text.into(), digest })
}

/// Why nothing may be written, if so.
fn withheld(project: &SecretsProject, tenant: &SecretsTenant) -> Option<String> {
    let (project_name, tenant_name) = (ObjectName::of(project), ObjectName::of(tenant));
    if !project.spec.enabled || !tenant.spec.gives_access() {
        return Some(format!(
            "SecretsProject {project_name} is disabled: it or its tenant has enabled: false, or the entitlement of the tenant is \
             Blocked"
        ));
    }
    (tenant.spec.entitlement == Entitlement::ReadOnly)
        .then(|| format!("the entitlement ReadOnly of SecretsTenant {tenant_name} permits no writes"))
}
