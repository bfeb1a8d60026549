//! The API server accepts every sample and every YAML block in the docs.

use anyhow::{Context, Result};
use kube::api::{Api, DynamicObject, Patch, PatchParams, ValidationDirective};
use kube::discovery::Scope;
use serde_json::Value;
use steamer_testing::cache::checkout;
use steamer_testing::ground::yaml;

use crate::fixture::Case;

#[tokio::test]
async fn every_sample_and_every_yaml_block_in_the_docs_is_valid() -> Result<()> {
    let case = Case::new("samples").await?;
    for namespace in ["openbao", "web", "tools", "webapp", "erp", "cms"] {
        case.make_namespace(namespace, serde_json::json!({})).await?;
    }
    let samples = steamer_testing::demo::samples()?.into_iter().chain(steamer_testing::demo::homelab()?);
    let mut texts: Vec<(String, String)> =
        samples.map(|(path, text)| (path.display().to_string(), text)).collect();
    let mut kinds = std::collections::BTreeSet::new();
    for page in pages()? {
        let text = std::fs::read_to_string(&page)?;
        texts.extend(blocks(&text).into_iter().map(|block| (page.display().to_string(), block)));
    }
    for (source, text) in texts {
        for object in yaml(&text).with_context(|| source.clone())? {
            if object["apiVersion"] == "steamer.dev/v1alpha1" {
                kinds.insert(object["kind"].as_str().unwrap_or_default().to_owned());
                try_apply(&case, &object).await.with_context(|| format!("{source}: {object}"))?;
            }
        }
    }
    let all: std::collections::BTreeSet<String> =
        steamer_api::definitions().into_iter().map(|definition| definition.spec.names.kind).collect();
    assert_eq!(kinds, all, "every kind needs a sample");
    Ok(())
}

/// Returns README.md and every Markdown page below `docs`.
pub fn pages() -> Result<Vec<std::path::PathBuf>> {
    let mut pages = vec![checkout().join("README.md")];
    let mut folders = vec![checkout().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)?.flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if path.extension().is_some_and(|ending| ending == "md") => pages.push(path),
                _ => {}
            }
        }
    }
    Ok(pages)
}

fn blocks(text: &str) -> Vec<String> {
    text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect()
}

async fn try_apply(case: &Case, object: &Value) -> Result<()> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let gvk = kube::core::GroupVersionKind::gvk("steamer.dev", "v1alpha1", kind);
    let (resource, capabilities) = kube::discovery::pinned_kind(&case.client, &gvk).await?;
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Namespaced => Api::namespaced_with(case.client.clone(), namespace, &resource),
        Scope::Cluster => Api::all_with(case.client.clone(), &resource),
    };
    let parameters = PatchParams {
        dry_run: true,
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply("samples").force()
    };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    api.patch(name, &parameters, &Patch::Apply(object)).await?;
    Ok(())
}
