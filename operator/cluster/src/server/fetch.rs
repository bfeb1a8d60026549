//! Reads the state of a server with the operator's own login.

use steamer_api::OpenBaoCluster;
use steamer_core::access::server_audience::server_audience;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::layout::OPERATOR_ROLE;
use steamer_openbao::{Error as OpenBao, Identity};
use steamer_runtime::{Dependencies, ObjectName};

use crate::operator_policy::{self, PolicyChecks, PolicyScope, Subject};
use crate::server::Server;

/// Reads the state of a server.
///
/// # Errors
/// If the server cannot be asked at all, for example because a Secret is missing.
pub(crate) async fn fetch(
    (context, checks): (&Context, &PolicyChecks),
    dependencies: &Dependencies,
    object: &OpenBaoCluster,
) -> Result<Server, Error> {
    let name = ObjectName::of(object);
    context.safe_audiences(&[server_audience(object)])?;
    let anonymous = context.cluster_server(dependencies, object).await?.client.session(Identity::Anonymous);
    let health = anonymous.health().await;
    let managed = object.spec.managed.is_some();
    let scope = PolicyScope::from(&object.spec);
    let mut server = Server { health, leader: None, missing: Ok(Vec::new()), managed, scope };
    if server.is_open() {
        let session = context.operator_session(dependencies, object).await?;
        server.leader = session.leader().await.ok();
        let needed = operator_policy::needed_rules(object);
        let id = server.health.as_ref().map_or("", |health| health.cluster_id.as_str());
        let subject = Subject { needed: &needed, generation: object.metadata.generation, server: id };
        let missing = checks.missing(&name, &session, subject).await;
        server.missing = missing.map_err(|error| Error::from(explained(error, object)));
    } else {
        checks.forget(&name);
    }
    Ok(server)
}

/// Adds to a rejected login of a managed cluster that its role has to bind the audience. Restored data contains the role
/// of another cluster.
fn explained(error: OpenBao, object: &OpenBaoCluster) -> OpenBao {
    match error {
        OpenBao::Login { path, message } if object.spec.managed.is_some() => OpenBao::Login {
            path,
            message: format!(
                "{message}; role `{OPERATOR_ROLE}` has to bind audience `{}`: for data of another OpenBaoCluster, set \
                 managed.audience to the audience of that cluster, or bind this audience in the role",
                server_audience(object)
            ),
        },
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::object;

    #[test]
    fn a_rejected_login_of_a_managed_cluster_names_the_audience_to_bind() {
        let login =
            || OpenBao::Login { path: "auth/kubernetes/login".to_owned(), message: "denied".to_owned() };
        let text = explained(login(), &object()).to_string();
        assert!(
            text.contains("denied; role `steamer` has to bind audience `openbao:openbao/main`"),
            "{text}"
        );
        let mut restored = object();
        restored.spec.managed.as_mut().unwrap().audience = Some("openbao:old/main".to_owned());
        assert!(explained(login(), &restored).to_string().contains("`openbao:old/main`"));
        restored.spec.managed = None;
        assert_eq!(explained(login(), &restored).to_string(), login().to_string());
        assert!(matches!(explained(OpenBao::Sealed, &object()), OpenBao::Sealed));
    }
}
