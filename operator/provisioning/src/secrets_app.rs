//! SecretsApp: policies, roles and identities of one application, whose names are derived from one name.

mod bindings;
mod ci;
pub(crate) mod database;
mod differences;
mod engines;
#[cfg(test)]
mod fixture;
mod hcl;
mod inventory;
mod kept;
mod names;
mod ops;
mod outline;
mod parts;
mod policies;
mod reduction;
mod repository;
mod rivals;
mod roles;
mod status;
mod withdrawal;

use std::collections::BTreeSet;

use steamer_api::{SecretsApp, SecretsAppStatus};
use steamer_core::error::Error;
use steamer_openbao::NamespacePath;
use steamer_runtime::{Key, Reason};

use crate::bao_policy::policy;
use crate::engine::Lookup;
use crate::general::{Found, General, Home, Resource, Site};
use crate::relations::children;
use crate::write::Request;
use parts::Parts;

impl General for SecretsApp {
    const NAME: &'static str = "secretsapp";

    fn site(&self) -> Site<'_> {
        Site::Root(&self.spec.cluster_ref)
    }

    fn title(&self) -> String {
        format!("application {}", names::app(self))
    }

    async fn resources(&self, found: &Found<'_>) -> Result<Vec<Resource>, Error> {
        names::check(self)?;
        match complete(self, found).await {
            Err(problem) => withdrawal::without_missing(self, problem, found).await,
            resources => resources,
        }
    }

    fn outline(&self, _home: &Home, lookup: &Lookup<'_>) -> Vec<Request> {
        outline::requests(self, lookup)
    }

    fn claims(&self, home: &Home, lookup: &Lookup<'_>) -> Vec<String> {
        let connection = database::connection(self, home, lookup).ok().flatten();
        outline::claims(self, connection.as_deref())
    }

    /// The facts are those of the complete application.
    fn facts(&self, status: &mut SecretsAppStatus, resources: &[Resource]) {
        if !resources.iter().any(withdrawal::is_withdrawn) {
            status::write(self, status, resources);
        }
    }

    fn message(&self, namespace: &NamespacePath) -> String {
        format!("policies and roles of application {} exist in namespace {namespace}", names::app(self))
    }

    fn parents(&self) -> Vec<Key> {
        let connection = database::connection_of(self).map(children::<Self>);
        connection.into_iter().chain([rivals::key(self)]).collect()
    }
}

/// All resources. Policies come first, so that no role gives access that its policy does not state.
async fn complete(app: &SecretsApp, found: &Found<'_>) -> Result<Vec<Resource>, Error> {
    let parts = Parts::of(app, found).await?;
    let differences = differences::of_roles(app, &parts, found).await?;
    let mut resources = Vec::new();
    for (name, text) in policies::all(app, &parts)? {
        resources.push(policy(&name, text, found).await?);
    }
    if let Some(policy) = resources.first_mut() {
        policy.stamp.clone_from(&parts.credentials);
        let denied = parts.denied.clone().map(|text| (Reason::ReferenceDenied, text));
        policy.withheld = denied.or(differences.map(|text| (Reason::Conflict, text)));
    }
    resources.extend(ci::group(app, found).await?);
    resources.extend(roles::all(app, &parts.login, found.home)?);
    resources.extend(ci::role(app, found).await?);
    if let Some(database) = &parts.database {
        resources.extend(database.check(app, found).await?);
        resources.extend(database.role(app, found).await?);
    }
    distinct(&resources)?;
    Ok(resources)
}

/// Checks that no two resources have the same path. OpenBao compares names of policies and roles without their case.
fn distinct(resources: &[Resource]) -> Result<(), Error> {
    let mut paths = BTreeSet::new();
    match resources.iter().find(|it| !paths.insert(it.path.to_lowercase())) {
        None => Ok(()),
        Some(second) => Err(Error::Invalid(format!(
            "two parts of the spec have the name of {}: give the reader or the role of ci another name",
            second.name
        ))),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Map;

    use super::*;

    #[rstest]
    #[case::distinct(&["auth/jwt/role/web", "auth/jwt/role/web_reader"], None)]
    #[case::same(&["auth/jwt/role/web", "auth/jwt/role/web"], Some("have the name of role auth/jwt/role/web:"))]
    #[case::other_case(&["auth/jwt/role/web_r", "auth/jwt/role/Web_R"], Some("have the name of role auth/jwt/role/Web_R:"))]
    fn two_resources_never_have_one_path(#[case] paths: &[&str], #[case] problem: Option<&str>) {
        let resource = |path: &&str| Resource::at(format!("role {path}"), *path, Map::new());
        let resources: Vec<Resource> = paths.iter().map(resource).collect();
        let message = distinct(&resources).err().map(|error| error.to_string());
        assert_eq!(message.is_some(), problem.is_some(), "{message:?}");
        assert!(message.unwrap_or_default().contains(problem.unwrap_or_default()));
    }
}
