//! Issuers of PKI engines, with their certificates. No private key is read.

use serde_json::json;
use steamer_openbao::Error;

use super::reader::Reader;
use crate::resource::{Class, text};

impl Reader<'_> {
    pub(super) async fn issuers(&mut self, mount: &str) -> Result<(), Error> {
        let settings = self.fields(&format!("{mount}/config/issuers")).await?.unwrap_or_default();
        for id in self.names(&format!("{mount}/issuers")).await? {
            let Some(mut fields) = self.fields(&format!("{mount}/issuer/{id}")).await? else { continue };
            if text(&settings, "default") == id {
                fields.insert("default".to_owned(), json!(true));
            }
            let name = Some(text(&fields, "issuer_name")).filter(|name| !name.is_empty()).unwrap_or(&id);
            let place = self.place(Class::Issuer, name).inside(mount, "issuer");
            self.add(place, "pki", fields);
        }
        Ok(())
    }
}
