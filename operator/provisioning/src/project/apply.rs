use steamer_core::error::Error;
use steamer_openbao::{Error as OpenBao, KvConfig, Session};

use crate::project::change::{Change, Planned};
use crate::project::validate::Project;

/// Carries a plan out, in its order. Each step may be repeated.
pub(crate) async fn apply(session: &Session, project: &Project, plan: Vec<Planned>) -> Result<(), Error> {
    let tenant = session.within(project.tenant_namespace.as_str());
    let session = session.within(project.namespace.as_str());
    if !plan.is_empty() {
        tracing::info!(namespace = %project.namespace, changes = plan.len(), "changing OpenBao");
    }
    for Planned { change, .. } in plan {
        tracing::debug!(?change, namespace = %project.namespace, "writing to OpenBao");
        match change {
            Change::CreateNamespace => {
                tenant.create_namespace(&project.own, &project.mark.metadata()).await?
            }
            Change::MarkNamespace => tenant.mark_namespace(&project.own, &project.mark.metadata()).await?,
            Change::EnableEngine(request) => session.enable_mount(&project.engine, &request).await?,
            Change::DescribeEngine(description) => {
                session.describe_mount(&project.engine, &description).await?
            }
            Change::PutKvConfig(config) => put_kv_config(&session, &project.engine, &config).await?,
            Change::DisableAuth(mount) => session.disable_auth(mount).await?,
            Change::EnableAuth(mount, request) => session.enable_auth(mount, &request).await?,
            Change::DescribeAuth(mount, description) => session.describe_auth(mount, &description).await?,
            Change::PutConfig(mount, config) => session.put_jwt_config(mount, &config).await?,
            Change::DeleteCelRole(mount, name) => session.delete_cel_role(mount, &name).await?,
            Change::PutCelRole(mount, name, role) => session.put_cel_role(mount, &name, &role).await?,
            Change::DeleteJwtRole(mount, name) => session.delete_jwt_role(mount, &name).await?,
            Change::PutJwtRole(mount, name, role) => session.put_jwt_role(mount, &name, &role).await?,
            Change::DeletePolicy(name) => session.delete_policy(&name).await?,
            Change::PutPolicy(name, text, cas) => session.put_policy(&name, &text, cas).await?,
        }
    }
    Ok(())
}

/// In its first moments a KV v2 mount refuses its settings; they pass in milliseconds.
async fn put_kv_config(session: &Session, mount: &str, config: &KvConfig) -> Result<(), Error> {
    for _ in 0..20 {
        match session.put_kv_config(mount, config).await {
            Err(OpenBao::Server { status: 400, .. }) => {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            result => return Ok(result?),
        }
    }
    Ok(session.put_kv_config(mount, config).await?)
}
