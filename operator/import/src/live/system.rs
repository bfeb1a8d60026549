//! Policies, namespaces and quotas.

use serde_json::json;
use steamer_openbao::Error;

use super::reader::Reader;
use crate::owner::closed;
use crate::resource::{Class, Fields};

impl Reader<'_> {
    pub(super) async fn policies(&mut self) -> Result<(), Error> {
        for name in self.names("sys/policies/acl").await? {
            if let Some(fields) = self.fields(&format!("sys/policies/acl/{name}")).await? {
                self.add(self.place(Class::Policy, &name), "", fields);
            }
        }
        Ok(())
    }

    /// Adds the child namespaces. Returns the paths of those to read.
    pub(super) async fn namespaces(&mut self) -> Result<Vec<String>, Error> {
        let mut paths = Vec::new();
        let children = self.session.child_namespaces().await;
        for (name, child) in self.permitted(children)?.unwrap_or_default() {
            let place = self.place(Class::Namespace, &name);
            if let Some(why) = closed(&child) {
                self.note(&place, why);
                continue;
            }
            let fields = json!({"custom_metadata": child.custom_metadata}).as_object().cloned();
            self.add(place, "", fields.unwrap_or_default());
            paths.push(format!("{}/{name}", self.namespace).trim_matches('/').to_owned());
        }
        Ok(paths)
    }

    /// Adds the quotas, which exist only in the root namespace of the server.
    pub(super) async fn quotas(&mut self) -> Result<(), Error> {
        for name in self.names("sys/quotas/rate-limit").await? {
            let fields: Option<Fields> = self.fields(&format!("sys/quotas/rate-limit/{name}")).await?;
            if let Some(fields) = fields {
                self.add(self.place(Class::Quota, &name), "", fields);
            }
        }
        Ok(())
    }
}
