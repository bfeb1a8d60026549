//! Secrets engines and auth methods, with what their mounts contain.

use serde_json::Value;
use steamer_openbao::Error;

use super::reader::Reader;
use crate::configs::paths;
use crate::owner::is_built_in_mount;
use crate::resource::{Class, Fields, text};
use crate::tables::{Collection, configuration, contents, engine_type, roles, without_kind};

/// Types of engines with a configuration at `<mount>/config` without secret values.
const CONFIGURED: [&str; 2] = ["kv-v2", "kubernetes"];

impl Reader<'_> {
    pub(super) async fn engines(&mut self) -> Result<(), Error> {
        for (path, mut fields) in self.objects("sys/mounts").await? {
            let (path, plugin) = (path.trim_matches('/'), text(&fields, "type").to_owned());
            if is_built_in_mount(path) {
                continue;
            }
            let version = fields.get("options").and_then(|options| options["version"].as_str());
            let type_ = engine_type(&plugin, version);
            fields.extend(self.settings(path, &type_).await?);
            let place = self.place(Class::Engine, path);
            self.without_kind(path, &plugin);
            self.add(place, &type_, fields);
            self.collections(path, &plugin, contents(&plugin)).await?;
            if plugin == "pki" {
                self.issuers(path).await?;
            }
        }
        Ok(())
    }

    /// The configuration of a secrets engine: that of `<mount>/config`, and by path those below it.
    async fn settings(&mut self, mount: &str, type_: &str) -> Result<Fields, Error> {
        let mut found = Fields::new();
        if CONFIGURED.contains(&type_)
            && let Some(settings) = self.fields(&format!("{mount}/config")).await?
        {
            found.insert("config_of_engine".to_owned(), Value::Object(settings));
        }
        let mut configs = Fields::new();
        for path in paths(type_) {
            if let Some(settings) = self.fields(&format!("{mount}/config/{path}")).await? {
                configs.insert(path.to_owned(), Value::Object(settings));
            }
        }
        found.insert("configs_of_engine".to_owned(), Value::Object(configs));
        Ok(found)
    }

    fn without_kind(&mut self, path: &str, plugin: &str) {
        let parts = without_kind(plugin);
        if !parts.is_empty() {
            let place = self.place(Class::Engine, path);
            self.note(
                &place,
                format!("{parts} of the engine are not imported: Steamer leaves them unchanged"),
            );
        }
    }

    pub(super) async fn methods(&mut self) -> Result<(), Error> {
        for (path, mut fields) in self.objects("sys/auth").await? {
            let (path, method) = (path.trim_matches('/'), text(&fields, "type").to_owned());
            let method = method.trim_start_matches("ns_");
            if let Some(configured) = configuration(method)
                && let Some(settings) = self.fields(&format!("auth/{path}/{configured}")).await?
            {
                fields.insert("config_of_method".to_owned(), Value::Object(settings));
            }
            let place = self.place(Class::Method, path);
            match roles(method) {
                Some(roles) => self.collections(path, method, roles).await?,
                None => self.note(
                    &place,
                    "the roles of this method are not imported: write a BaoAuthRole for each of them"
                        .to_owned(),
                ),
            }
            self.add(place, method, fields);
        }
        Ok(())
    }

    /// Adds the resources of a mount.
    async fn collections(
        &mut self,
        mount: &str,
        method: &str,
        collections: &[Collection],
    ) -> Result<(), Error> {
        for Collection { class, list, folder } in collections {
            let prefix = if *class == Class::Role { "auth/" } else { "" };
            for name in self.names(&format!("{prefix}{mount}/{list}")).await? {
                let path = format!("{prefix}{mount}/{folder}/{name}");
                let fields: Option<Fields> = self.fields(&path).await?;
                if let Some(fields) = fields {
                    self.add(self.place(*class, &name).inside(mount, folder), method, fields);
                }
            }
        }
        Ok(())
    }
}
