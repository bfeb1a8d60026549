use std::collections::BTreeMap;

use steamer_api::Operation;
use steamer_core::error::Error;
use steamer_core::layout::PIPELINE_MOUNT;
use steamer_core::ownership::mark::{Claim, Mark, claim, foreign};
use steamer_openbao::{Cas, JwtConfig, JwtKeys, KvConfig, Mount, MountRequest};

use crate::project::change::{Change, Planned, creation, deletion, update};
use crate::project::fetch::{Seen, SeenAuth};
use crate::project::validate::{Auth, Project, name_digest};

/// The difference between what should be and what is, in the order in which it is safe: what takes access away first,
/// and a way in only after what it leads to.
pub(crate) fn plan(
    project: &Project,
    seen: &Seen,
    living: impl Fn(&Mark) -> bool,
) -> Result<Vec<Planned>, Error> {
    let whose = Whose { project, living: &living };
    let mut plan = Vec::new();
    namespace(&whose, seen, &mut plan)?;
    engine(&whose, seen, &mut plan)?;
    for (path, auth) in &seen.auth {
        if !project.auth.contains_key(path) && whose.of(auth.mount.description.as_str()) == Claim::Ours {
            plan.push(deletion(Change::DisableAuth(path), "nobody is to get in by it"));
        }
    }
    policies(&whose, seen, &mut plan)?;
    for (path, auth) in &project.auth {
        auth_mount(&whose, path, auth, seen.auth.get(path), &mut plan)?;
    }
    // Stable: within a kind of operation the order above stays.
    plan.sort_by_key(|planned| planned.operation != Operation::Delete);
    Ok(plan)
}

struct Whose<'a, F> {
    project: &'a Project,
    living: &'a F,
}

impl<F: Fn(&Mark) -> bool> Whose<'_, F> {
    fn of(&self, description: &str) -> Claim {
        self.claim(Mark::read(description).as_ref())
    }

    /// A policy that was ours and has no mark any more was edited by hand: it is still ours.
    fn of_policy(&self, name: &str, text: &str) -> Claim {
        match Mark::of_policy(text) {
            None if self.project.policies_written.contains(&name_digest(name)) => Claim::Ours,
            owner => self.claim(owner.as_ref()),
        }
    }

    fn claim(&self, found: Option<&Mark>) -> Claim {
        claim(&self.project.mark, found, self.project.adopt, self.living)
    }

    fn path(&self, path: &str) -> String {
        self.project.namespace.path(path)
    }
}

fn namespace<F: Fn(&Mark) -> bool>(
    whose: &Whose<'_, F>,
    seen: &Seen,
    plan: &mut Vec<Planned>,
) -> Result<(), Error> {
    let Some(namespace) = &seen.namespace else {
        plan.push(creation(Change::CreateNamespace, "it is not there"));
        return Ok(());
    };
    let owner = Mark::of_metadata(&namespace.custom_metadata);
    match whose.claim(owner.as_ref()) {
        Claim::Ours => {}
        Claim::Adopt => plan.push(update(Change::MarkNamespace, "it is taken over")),
        Claim::Foreign => {
            return Err(foreign(&format!("namespace {}", whose.project.namespace), owner.as_ref()));
        }
    }
    Ok(())
}

fn engine<F: Fn(&Mark) -> bool>(
    whose: &Whose<'_, F>,
    seen: &Seen,
    plan: &mut Vec<Planned>,
) -> Result<(), Error> {
    let project = whose.project;
    match &seen.engine {
        None => {
            let request = MountRequest {
                kind: "kv".to_owned(),
                description: project.mark.description(),
                options: BTreeMap::from([("version".to_owned(), "2".to_owned())]),
            };
            plan.push(creation(Change::EnableEngine(request), "it is not there"));
        }
        Some(mount) => {
            let what = whose.path(&project.engine);
            match whose.of(&mount.description) {
                Claim::Foreign => {
                    return Err(foreign(&format!("mount {what}"), Mark::read(&mount.description).as_ref()));
                }
                _ if !is_kv2(mount) => {
                    return Err(Error::Conflict(format!(
                        "mount {what} in OpenBao is no KV version 2: remove it"
                    )));
                }
                Claim::Ours => {}
                Claim::Adopt => {
                    let description = project.mark.description();
                    plan.push(update(Change::DescribeEngine(description), "it is taken over"));
                }
            }
        }
    }
    match &seen.kv {
        Some(kv) if same_kv(kv, &project.kv) => {}
        _ => plan.push(update(Change::PutKvConfig(project.kv.clone()), "its settings differ")),
    }
    Ok(())
}

fn is_kv2(mount: &Mount) -> bool {
    mount.kind == "kv" && mount.options.get("version").is_some_and(|version| version == "2")
}

/// OpenBao writes `90s` as `1m30s`.
fn same_kv(seen: &KvConfig, wanted: &KvConfig) -> bool {
    let seconds = |text: &str| text.parse::<steamer_api::Duration>().map(|duration| duration.get()).ok();
    seen.max_versions == wanted.max_versions
        && seen.cas_required == wanted.cas_required
        && seconds(&seen.delete_version_after) == seconds(&wanted.delete_version_after)
}

fn policies<F: Fn(&Mark) -> bool>(
    whose: &Whose<'_, F>,
    seen: &Seen,
    plan: &mut Vec<Planned>,
) -> Result<(), Error> {
    for (name, policy) in &seen.policies {
        if !whose.project.policies.contains_key(name) && whose.of_policy(name, &policy.policy) == Claim::Ours
        {
            plan.push(deletion(Change::DeletePolicy(name.clone()), "nothing grants it"));
        }
    }
    for (name, text) in &whose.project.policies {
        let put = |cas| Change::PutPolicy(name.clone(), text.clone(), cas);
        match seen.policies.get(name) {
            None => plan.push(creation(put(Cas::Absent), "it is not there")),
            Some(policy) if policy.policy == *text => {}
            Some(policy) if whose.of_policy(name, &policy.policy) == Claim::Foreign => {
                let owner = Mark::of_policy(&policy.policy);
                return Err(foreign(&format!("policy {}", whose.path(name)), owner.as_ref()));
            }
            Some(policy) => plan.push(update(put(Cas::Version(policy.version)), "its text differs")),
        }
    }
    Ok(())
}

fn auth_mount<F: Fn(&Mark) -> bool>(
    whose: &Whose<'_, F>,
    path: &'static str,
    wanted: &Auth,
    seen: Option<&SeenAuth>,
    plan: &mut Vec<Planned>,
) -> Result<(), Error> {
    match seen {
        None => {
            let description = whose.project.mark.description();
            let request = MountRequest { kind: "jwt".to_owned(), description, options: BTreeMap::new() };
            plan.push(creation(Change::EnableAuth(path, request), "it is not there"));
        }
        Some(seen) => match whose.of(&seen.mount.description) {
            Claim::Foreign => {
                let what = format!("auth mount {}", whose.path(&format!("auth/{path}")));
                return Err(foreign(&what, Mark::read(&seen.mount.description).as_ref()));
            }
            _ if seen.mount.kind != "jwt" => {
                let what = whose.path(&format!("auth/{path}"));
                return Err(Error::Conflict(format!(
                    "auth mount {what} in OpenBao is no JWT auth: remove it"
                )));
            }
            Claim::Ours => {}
            Claim::Adopt => {
                let description = whose.project.mark.description();
                plan.push(update(Change::DescribeAuth(path, description), "it is taken over"));
            }
        },
    }
    config(whose.project, path, wanted, seen, plan);
    roles(path, wanted, seen, plan);
    Ok(())
}

fn config(
    project: &Project,
    path: &'static str,
    wanted: &Auth,
    seen: Option<&SeenAuth>,
    plan: &mut Vec<Planned>,
) {
    let removed = path == PIPELINE_MOUNT
        && !matches!(wanted.config.keys, JwtKeys::Static(_))
        && project.key_removals != project.key_removals_written;
    match seen.and_then(|seen| seen.config.as_ref()) {
        None => plan.push(creation(Change::PutConfig(path, wanted.config.clone()), "it is not there")),
        Some(config) if !same_config(config, &wanted.config) => {
            plan.push(update(Change::PutConfig(path, wanted.config.clone()), "its settings differ"));
        }
        Some(_) if removed => {
            let reason = "the issuer removed a key that OpenBao would go on accepting";
            plan.push(update(Change::PutConfig(path, wanted.config.clone()), reason));
        }
        Some(_) => {}
    }
}

fn same_config(seen: &JwtConfig, wanted: &JwtConfig) -> bool {
    let trimmed = |keys: &JwtKeys| match keys {
        JwtKeys::Static(keys) => JwtKeys::Static(keys.iter().map(|key| key.trim().to_owned()).collect()),
        other => other.clone(),
    };
    let JwtConfig { keys, ca, bound_issuer, algorithms, skip_validation: _ } = wanted;
    trimmed(&seen.keys) == trimmed(keys)
        && seen.ca.trim() == ca.trim()
        && seen.bound_issuer == *bound_issuer
        && seen.algorithms == *algorithms
}

fn roles(path: &'static str, wanted: &Auth, seen: Option<&SeenAuth>, plan: &mut Vec<Planned>) {
    let (no_cel, no_jwt) = (BTreeMap::new(), BTreeMap::new());
    let seen_cel = seen.map_or(&no_cel, |seen| &seen.cel_roles);
    let seen_jwt = seen.map_or(&no_jwt, |seen| &seen.jwt_roles);
    for name in seen_cel.keys().filter(|name| !wanted.cel_roles.contains_key(*name)) {
        plan.push(deletion(
            Change::DeleteCelRole(path, name.clone()),
            "a role that nobody asked for lets people in",
        ));
    }
    for name in seen_jwt.keys().filter(|name| !wanted.jwt_roles.contains_key(*name)) {
        plan.push(deletion(
            Change::DeleteJwtRole(path, name.clone()),
            "a role that nobody asked for lets people in",
        ));
    }
    for (name, role) in &wanted.cel_roles {
        let change = Change::PutCelRole(path, name.clone(), role.clone());
        plan.extend(role_change(seen_cel.get(name), role, change));
    }
    for (name, role) in &wanted.jwt_roles {
        let change = Change::PutJwtRole(path, name.clone(), role.clone());
        plan.extend(role_change(seen_jwt.get(name), role, change));
    }
}

fn role_change<T: PartialEq>(seen: Option<&T>, wanted: &T, change: Change) -> Option<Planned> {
    match seen {
        None => Some(creation(change, "it is not there")),
        Some(seen) if seen != wanted => Some(update(change, "it differs")),
        Some(_) => None,
    }
}
