//! Groups, with the names of their members.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use steamer_openbao::Error;

use super::reader::Reader;
use crate::resource::{Class, Fields, items, text};

/// Members of groups, which the API states by ID.
struct Members {
    ids: &'static str,
    /// Field that receives the names.
    names: &'static str,
    /// Path of a member by ID.
    path: &'static str,
}

const MEMBERS: [Members; 2] = [
    Members { ids: "member_entity_ids", names: "member_entities", path: "identity/entity/id" },
    Members { ids: "member_group_ids", names: "member_groups", path: "identity/group/id" },
];

/// Names by ID.
type Names = BTreeMap<String, String>;

impl Reader<'_> {
    pub(super) async fn groups(&mut self) -> Result<(), Error> {
        let mut known = Names::new();
        for name in self.names("identity/group/name").await? {
            let Some(mut fields) = self.fields(&format!("identity/group/name/{name}")).await? else {
                continue;
            };
            for members in &MEMBERS {
                let found = self.members(&fields, members, &mut known).await?;
                fields.insert(members.names.to_owned(), json!(found));
            }
            let alias = alias(&fields);
            fields.insert("alias".to_owned(), alias.unwrap_or_default());
            self.add(self.place(Class::Group, &name), "", fields);
        }
        Ok(())
    }

    /// The names of the members of a group. A member that does not exist is left out.
    async fn members(
        &mut self,
        group: &Fields,
        members: &Members,
        known: &mut Names,
    ) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for id in items(group, members.ids) {
            if !known.contains_key(id)
                && let Some(member) = self.fields(&format!("{}/{id}", members.path)).await?
            {
                known.insert(id.to_owned(), text(&member, "name").to_owned());
            }
            names.extend(known.get(id).cloned());
        }
        Ok(names)
    }
}

/// The alias of an external group, which has at most one.
fn alias(group: &Fields) -> Option<Value> {
    let alias = group.get("alias")?.as_object()?;
    let mount = text(alias, "mount_path").trim_matches('/');
    let name = Some(text(alias, "name")).filter(|name| !name.is_empty())?;
    Some(json!({"name": name, "mount": mount.strip_prefix("auth/").unwrap_or(mount)}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_names_its_mount_without_auth() {
        let group = |alias: Value| json!({"alias": alias}).as_object().cloned().unwrap();
        let found = alias(&group(json!({"name": "a/b", "mount_path": "auth/team/jwt/", "id": "1"})));
        assert_eq!(found, Some(json!({"name": "a/b", "mount": "team/jwt"})));
        assert_eq!(alias(&group(json!({}))), None);
    }
}
