//! IdentityGroup: a group of the identity engine, with the alias of an external group.

use kube::ResourceExt;
use reqwest::Method;
use serde_json::{Map, Value, json};
use steamer_api::{GroupAlias, GroupType, IdentityGroup};
use steamer_core::error::Error;
use steamer_openbao::Error as OpenBao;

use crate::auth_mounts::{self, ABSENT, policies, withdrawal};
use crate::engine::Lookup;
use crate::general::{Body, Found, General, Home, Late, Resource, Site, requests_of};
use crate::write::Request;

/// Path of the request that creates or changes an alias. OpenBao gives each group one alias.
const ALIASES: &str = "identity/group-alias";

impl General for IdentityGroup {
    const NAME: &'static str = "identitygroup";

    fn site(&self) -> Site<'_> {
        Site::Placed(&self.spec.placement)
    }

    /// In lower case, because OpenBao ignores the case of names.
    fn title(&self) -> String {
        format!("group {}", name(self).to_lowercase())
    }

    async fn resources(&self, found: &Found<'_>) -> Result<Vec<Resource>, Error> {
        refuse_policies(self, found.home)?;
        let (members, missing) = members(self, found).await?;
        let mut group = group(self);
        group.body.parameters.extend(members);
        let path = group.path.clone();
        if let Some(problem) = missing {
            return withdrawal::without_missing(group, problem, found).await;
        }
        match alias(self, &path, found).await {
            Ok(alias) => Ok([Some(group), alias].into_iter().flatten().collect()),
            Err(problem) => withdrawal::without_missing(group, problem, found).await,
        }
    }

    fn outline(&self, _home: &Home, _lookup: &Lookup<'_>) -> Vec<Request> {
        let group = group(self);
        let alias = self.spec.alias.as_ref().map(|it| aliased(it, "", &group.path, &self.title()));
        [Some(group), alias].iter().flatten().flat_map(requests_of).collect()
    }

    fn claims(&self, home: &Home, _lookup: &Lookup<'_>) -> Vec<String> {
        let is_refused = refuse_policies(self, home).is_err();
        if is_refused { Vec::new() } else { vec![group(self).path] }
    }
}

/// # Errors
/// [`Error::Invalid`] for a policy that gives more access than a group should.
fn refuse_policies(group: &IdentityGroup, home: &Home) -> Result<(), Error> {
    let mut policies = group.spec.policies.iter();
    policies.try_for_each(|policy| policies::refuse(policy, home.namespace.is_root(), "the group"))
}

/// The group of a spec, without its members.
pub(crate) fn group(object: &IdentityGroup) -> Resource {
    let path = format!("identity/group/name/{}", name(object));
    Resource { fixed: vec!["type"], ..Resource::at(object.title(), path, own(object)) }
}

/// The alias of the group. None for an internal group.
async fn alias(group: &IdentityGroup, path: &str, found: &Found<'_>) -> Result<Option<Resource>, Error> {
    let Some(alias) = &group.spec.alias else {
        return Ok(None);
    };
    let accessor = auth_mounts::existing(found, &alias.mount).await?.accessor;
    Ok(Some(aliased(alias, &accessor, path, &group.title())))
}

/// Name of the group in OpenBao.
fn name(group: &IdentityGroup) -> String {
    group.spec.name.clone().unwrap_or_else(|| group.name_any())
}

/// Parameters that need nothing from OpenBao. All of them are written, so that a policy or a member that is removed from the
/// spec is removed from the group.
fn own(group: &IdentityGroup) -> Map<String, Value> {
    let type_ = match group.spec.type_ {
        GroupType::Internal => "internal",
        GroupType::External => "external",
    };
    let parameters = [
        ("type", json!(type_)),
        ("policies", json!(group.spec.policies)),
        ("metadata", json!(group.spec.metadata)),
    ];
    parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The alias, which OpenBao returns with its group and removes with it.
fn aliased(alias: &GroupAlias, accessor: &str, group: &str, title: &str) -> Resource {
    let parameters = [("name", alias.name.as_str()), ("mount_accessor", accessor)];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), Value::from(value)));
    let late = Late { path: group.to_owned(), field: "id" };
    let resource =
        Resource::at(format!("alias {} of {title}", alias.name), format!("{group}/alias"), Map::new());
    Resource {
        read_at: Some(group.to_owned()),
        deleted_at: None,
        changed_at: Some(ALIASES.to_owned()),
        body: Body {
            parameters: Map::from_iter(parameters),
            late: [("canonical_id", late)].into(),
            ..Body::default()
        },
        read: alias_of,
        ..resource
    }
}

/// The alias in the answer for a group: empty if the group has none.
fn alias_of(mut group: Map<String, Value>) -> Map<String, Value> {
    match group.remove("alias") {
        Some(Value::Object(alias)) => alias,
        _ => Map::new(),
    }
}

/// The members that exist, as parameters of an internal group, and the problem of the first one that does not exist.
async fn members(
    group: &IdentityGroup,
    found: &Found<'_>,
) -> Result<(Map<String, Value>, Option<Error>), Error> {
    let (spec, mut parameters, mut problem) = (&group.spec, Map::new(), None);
    if spec.type_ == GroupType::External {
        return Ok((parameters, problem));
    }
    for (kind, names) in [("group", &spec.member_groups), ("entity", &spec.member_entities)] {
        let (ids, missing) = ids(names, kind, found).await?;
        parameters.insert(format!("member_{kind}_ids"), Value::Array(ids));
        problem = problem.or(missing);
    }
    Ok((parameters, problem))
}

/// The IDs of the groups or entities that exist, and the problem of the first one that does not exist.
pub(crate) async fn ids(
    names: &[String],
    kind: &str,
    found: &Found<'_>,
) -> Result<(Vec<Value>, Option<Error>), Error> {
    let (mut ids, mut problem) = (Vec::new(), None);
    for name in names {
        if is_id(name) {
            ids.push(Value::from(name.as_str()));
            continue;
        }
        match id(name, kind, found).await {
            Ok(id) => ids.push(id),
            Err(missing @ Error::SourceMissing(..)) => problem = problem.or(Some(missing)),
            Err(error) => return Err(error),
        }
    }
    Ok((ids, problem))
}

async fn id(name: &str, kind: &str, found: &Found<'_>) -> Result<Value, Error> {
    let path = format!("identity/{kind}/name/{name}");
    let answer = match found.session.request_any(Method::GET, &path, None).await {
        Err(OpenBao::NotFound { .. }) => Value::Null,
        answer => answer?,
    };
    answer.pointer("/data/id").cloned().ok_or_else(|| {
        let namespace = found.session.namespace();
        let text = format!(
            "{kind} {name} does not exist in namespace {namespace}: create it, or remove it from the members"
        );
        Error::SourceMissing(text, ABSENT)
    })
}

/// Returns true for an ID of the identity engine, which is a UUID.
fn is_id(name: &str) -> bool {
    let lengths = name.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn object(spec: Value) -> IdentityGroup {
        let mut whole = json!({"clusterRef": {"name": "main"}});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        IdentityGroup::new("web", serde_json::from_value(whole).unwrap())
    }

    #[rstest]
    #[case(json!({}), json!({"type": "internal", "policies": [], "metadata": {}}))]
    #[case(
        json!({"type": "External", "policies": ["a"], "metadata": {"x": "y"}, "alias": {"name": "devs", "mount": "jwt"}}),
        json!({"type": "external", "policies": ["a"], "metadata": {"x": "y"}})
    )]
    fn everything_that_a_spec_can_remove_is_written(#[case] spec: Value, #[case] expected: Value) {
        assert_eq!(Value::Object(own(&object(spec))), expected);
    }

    #[test]
    fn objects_whose_names_differ_in_their_case_only_claim_the_same_group() {
        assert_eq!(object(json!({"name": "Web"})).title(), object(json!({})).title());
    }

    #[rstest]
    #[case(json!({"id": "g", "alias": {"name": "devs", "mount_accessor": "a"}}), json!({"name": "devs", "mount_accessor": "a"}))]
    #[case(json!({"id": "g", "alias": {}}), json!({}))]
    #[case(json!({"id": "g", "alias": null}), json!({}))]
    fn the_alias_is_part_of_the_group(#[case] answer: Value, #[case] expected: Value) {
        assert_eq!(Value::Object(alias_of(answer.as_object().unwrap().clone())), expected);
    }

    #[rstest]
    #[case("da45ecff-1238-d7e9-44a3-9bb952071779", true)]
    #[case("da45ecff-1238-d7e9-44a3-9bb95207177", false)]
    #[case("xa45ecff-1238-d7e9-44a3-9bb952071779", false)]
    #[case("platform-team", false)]
    fn an_id_is_a_uuid(#[case] name: &str, #[case] expected: bool) {
        assert_eq!(is_id(name), expected);
    }
}
