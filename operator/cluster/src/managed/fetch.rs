//! Reads the objects that the spec of a managed cluster refers to, and its last status.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::Api;
use steamer_api::{DatabaseTlsMode, JWTIssuer, ManagedServer, OpenBaoCluster, OpenBaoClusterStatus};
use steamer_core::access::issuer::administrator_config;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::{Dependencies, ObjectName};

use crate::database::login::{Entries, Login, LoginSource};
use crate::objects::initialization::AdministratorIssuer;

/// The referenced objects of a cluster, and its last status.
#[derive(Clone)]
pub(crate) struct Found {
    /// Login of the tables' owner.
    pub(crate) owner: Login,
    /// Login that creates roles.
    pub(crate) admin: Option<Login>,
    pub(crate) last: OpenBaoClusterStatus,
    pub(crate) issuers: Vec<AdministratorIssuer>,
    /// ServiceAccount of the operator.
    pub(crate) operator: ObjectName,
    /// Image of the operator.
    pub(crate) image: Option<String>,
    /// Images of OpenBao by version, if the spec refers to a catalog.
    pub(crate) catalog: Option<Catalog>,
}

/// Images of OpenBao by version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Catalog {
    /// Name of the ConfigMap.
    pub(crate) name: String,
    pub(crate) images: BTreeMap<String, String>,
}

/// The managed part of the spec.
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
    let references = References { context, dependencies, namespace: namespace(object) };
    let checks_ca = matches!(storage.tls.mode, DatabaseTlsMode::VerifyCA | DatabaseTlsMode::VerifyFull);
    let ca = match &storage.tls.ca_secret_ref {
        Some(ca) if checks_ca => references.text(&ca.name, &ca.key).await?,
        _ => String::new(),
    };
    let entries = references.entries(&storage.secret_ref.name).await?;
    let source = LoginSource {
        name: &storage.secret_ref.name,
        entries: &entries,
        defaults: None,
        namespace: references.namespace,
        tls: storage.tls.mode,
        ca: &ca,
    };
    let owner = Login::read(&source)?;
    let admin = match &storage.admin_secret_ref {
        Some(reference) => {
            let entries = references.entries(&reference.name).await?;
            let (name, entries) = (reference.name.as_str(), &entries);
            Some(Login::read(&LoginSource { name, entries, defaults: Some(&owner), ..source })?)
        }
        None => None,
    };
    let issuers = issuers(&references, object)?;
    let (operator, image) = (context.operator.clone(), context.image.clone());
    let catalog = references.catalog(spec(object)?).await?;
    Ok(Found { owner, admin, last: context.status(object), issuers, operator, image, catalog })
}

fn namespace(object: &OpenBaoCluster) -> &str {
    object.metadata.namespace.as_deref().unwrap_or_default()
}

/// Reads objects in the namespace of a cluster.
struct References<'a> {
    context: &'a Context,
    dependencies: &'a Dependencies,
    namespace: &'a str,
}

impl References<'_> {
    async fn text(&self, name: &str, key: &str) -> Result<String, Error> {
        let name = ObjectName::new(self.namespace, name);
        let value = self.context.secrets.value(self.dependencies, &name, key).await?;
        Ok(String::from_utf8_lossy(&value).into_owned())
    }

    async fn entries(&self, name: &str) -> Result<Entries, Error> {
        let name = ObjectName::new(self.namespace, name);
        let secret: &Secret = &*self.context.secrets.existing(self.dependencies, &name).await?;
        Ok(secret.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone())).collect())
    }

    /// The image catalog. It is not watched, but read in each reconcile.
    async fn catalog(&self, spec: &ManagedServer) -> Result<Option<Catalog>, Error> {
        let Some(reference) = &spec.image_catalog_ref else { return Ok(None) };
        let api: Api<ConfigMap> = Api::namespaced(self.context.client.clone(), self.namespace);
        let name = || ObjectName::new(self.namespace, &reference.name);
        let found = api.get_opt(&reference.name).await?;
        let found = found.ok_or_else(|| Error::NotFound { kind: "ConfigMap", name: name() })?;
        Ok(Some(Catalog { name: reference.name.clone(), images: found.data.unwrap_or_default() }))
    }

    fn issuer(&self, name: &str, default_audience: Option<&String>) -> Result<AdministratorIssuer, Error> {
        let reference = ObjectName::new(self.namespace, name);
        let issuer = self.context.stores.named::<JWTIssuer>(self.dependencies, &reference, self.namespace)?;
        let audiences = if issuer.spec.audiences.is_empty() {
            default_audience.into_iter().cloned().collect()
        } else {
            issuer.spec.audiences.clone()
        };
        if audiences.is_empty() {
            return Err(Error::Invalid(format!(
                "an administrator's JWT needs an audience: set audiences in JWTIssuer {name}, or jwtAudience in the cluster"
            )));
        }
        Ok(AdministratorIssuer { name: name.to_owned(), config: administrator_config(&issuer)?, audiences })
    }
}

/// The issuers of the administrators' JWTs.
fn issuers(references: &References<'_>, object: &OpenBaoCluster) -> Result<Vec<AdministratorIssuer>, Error> {
    let mut all: BTreeMap<&str, AdministratorIssuer> = BTreeMap::new();
    for subject in object.spec.administrators.iter().filter_map(|administrator| administrator.jwt.as_ref()) {
        let name = subject.issuer_ref.name.as_str();
        if !all.contains_key(name) {
            all.insert(name, references.issuer(name, object.spec.jwt_audience.as_ref())?);
        }
    }
    Ok(all.into_values().collect())
}
