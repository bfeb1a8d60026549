//! Objects of a login, from files.

use anyhow::{Context, Result, anyhow, bail};
use kube::Resource;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use steamer_api::{PipelinePolicy, SecretsProject};
use steamer_runtime::ObjectName;

use super::objects::{Labels, Objects, cluster_of, issuer_of, project_name, tenant_of};

/// Namespace of objects that state none.
const DEFAULT: &str = "default";

/// Objects of files. `namespace` is that of objects that state none.
///
/// # Errors
/// When an object is missing or invalid.
pub(super) fn objects(
    found: Vec<Map<String, Value>>,
    project: Option<&str>,
    namespace: Option<&str>,
) -> Result<Objects> {
    let files = Files { objects: found, namespace: namespace.unwrap_or(DEFAULT) };
    let project = files.project(project)?;
    let tenant = files.named(&tenant_of(&project))?;
    let cluster = files.named(&cluster_of(&tenant))?;
    let issuer = files.named(&issuer_of(&project, &tenant).0)?;
    let (policies, notes) = (Vec::new(), Vec::new());
    let mut objects = Objects { project, tenant, cluster, issuer, policies, notes };
    let labels = files.labels();
    objects.check_references(Some(&labels))?;
    objects.keep(files.of::<PipelinePolicy>()?, Some(&labels));
    Ok(objects)
}

struct Files<'a> {
    objects: Vec<Map<String, Value>>,
    namespace: &'a str,
}

impl Files<'_> {
    fn project(&self, text: Option<&str>) -> Result<SecretsProject> {
        if let Some(text) = text {
            return self.named(&project_name(text, self.namespace)?);
        }
        let mut projects = self.of::<SecretsProject>()?;
        match (projects.pop(), projects.is_empty()) {
            (Some(project), true) => Ok(project),
            (None, _) => bail!("the files contain no SecretsProject: add its file with --filename"),
            (Some(_), false) => bail!("the files contain several SecretsProjects: choose one with --project"),
        }
    }

    fn named<K>(&self, name: &ObjectName) -> Result<K>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let mut found = self.of::<K>()?.into_iter().filter(|object| ObjectName::of(object) == *name);
        let kind = K::kind(&());
        found
            .next()
            .with_context(|| format!("the files do not contain {kind} {name}: add its file with --filename"))
    }

    /// All objects of a kind.
    fn of<K>(&self) -> Result<Vec<K>>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let (kind, group) = (K::kind(&()), format!("{}/", K::group(&())));
        let is_of_kind = |object: &&Map<String, Value>| {
            let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
            text("kind") == kind && text("apiVersion").starts_with(&group)
        };
        self.objects.iter().filter(is_of_kind).map(|object| self.parsed(object)).collect()
    }

    fn parsed<K: DeserializeOwned>(&self, object: &Map<String, Value>) -> Result<K> {
        let mut object = Value::Object(object.clone());
        let name = format!("{} {}", object["kind"], object["metadata"]["name"]).replace('"', "");
        if object["metadata"]["namespace"].is_null() {
            object["metadata"]["namespace"] = Value::String(self.namespace.to_owned());
        }
        serde_json::from_value(object).map_err(|error| anyhow!("{name} is invalid: {error}"))
    }

    /// Labels of the namespaces in the files. The namespaces of other objects have none.
    fn labels(&self) -> Labels {
        let namespaces = self
            .objects
            .iter()
            .filter(|object| object.get("kind") == Some(&Value::String("Namespace".to_owned())));
        let labels = namespaces.filter_map(|object| {
            let metadata = object.get("metadata")?;
            let labels = metadata.get("labels").cloned().unwrap_or_default();
            Some((metadata["name"].as_str()?.to_owned(), serde_json::from_value(labels).unwrap_or_default()))
        });
        labels.collect()
    }
}
