//! Access of users: auth mounts, roles and policies.

use std::collections::BTreeMap;

use steamer_api::{Scope, SecretsProject};
use steamer_core::access::issuer::config;
use steamer_core::error::Error;
use steamer_core::layout::{API_MOUNT, USER_MOUNT};
use steamer_openbao::CelRole;

use super::audiences::pipeline_audiences;
use super::desired::{Auth, KeyRemovals};
use super::fetch::Found;
use super::terms::Terms;
use crate::cel::Lifetime;
use crate::pipelines::Tokens;
use crate::users::{Login, ROLE_API, ROLE_USERS, UserEntity, UserProgram, login_of, logins};

/// The auth mounts of users, by path. Each exists while a policy or a default role needs it.
pub(crate) fn auth(
    project: &SecretsProject,
    found: &Found,
    terms: &Terms,
    needs: (&BTreeMap<String, String>, KeyRemovals),
) -> Result<BTreeMap<String, Auth>, Error> {
    let (policies, key_removals) = needs;
    let by_default = project.spec.default_roles.iter().flat_map(|role| role.verbs.iter().copied());
    let needed: Vec<Login> = policies.keys().map(|name| login_of(name)).chain(logins(by_default)).collect();
    let mut auth = BTreeMap::new();
    for login in [Login::User, Login::Api].into_iter().filter(|login| needed.contains(login)) {
        if terms.permits(login) {
            let (mount, role) = names(login);
            let role = (role.to_owned(), self::role(project, found, login)?);
            let config = config(&found.references.issuer, found.issuer_ca.clone());
            let (cel_roles, jwt_roles) = (BTreeMap::from([role]), BTreeMap::new());
            let key_removals = Some(key_removals);
            auth.insert(mount.to_owned(), Auth { config, key_removals, cel_roles, jwt_roles });
        }
    }
    Ok(auth)
}

/// Auth mount and role of a login.
fn names(login: Login) -> (&'static str, &'static str) {
    match login {
        Login::User => (USER_MOUNT, ROLE_USERS),
        Login::Api => (API_MOUNT, ROLE_API),
    }
}

fn role(project: &SecretsProject, found: &Found, login: Login) -> Result<CelRole, Error> {
    let (spec, references) = (&project.spec, &found.references);
    let (ttl, bound_cidrs) = match login {
        Login::User => (&spec.user_auth.token_ttl, &spec.user_auth.bound_cidrs),
        Login::Api => (&spec.api_auth.token_ttl, &spec.api_auth.bound_cidrs),
    };
    let audiences = pipeline_audiences(&references.issuer, &references.cluster)?;
    let entity = match spec.scope {
        Scope::Project => UserEntity::Project(spec.id),
        Scope::Group => UserEntity::Group(spec.id),
    };
    let program = UserProgram {
        login,
        tokens: &Tokens::of(&references.issuer),
        entity,
        audiences: &audiences,
        lifetime: Lifetime { ttl: ttl.get(), leeway: references.issuer.spec.leeway.get() },
        bound_cidrs,
    };
    Ok(program.role())
}
