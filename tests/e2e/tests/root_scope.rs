//! A cluster with `operatorScope: Root` on the shared OpenBao, and an OpenBao namespace of its own for each test of general
//! kinds.

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_openbao::Session;
use steamer_testing::audit;
use steamer_testing::ground::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE};
use steamer_testing::installation::root_policy;
use steamer_testing::wait::eventually;

use crate::drift::{nudge, passes};
use crate::fixture::Case;

/// Policy and role of the operator for `operatorScope: Root`.
const ROLE: &str = "steamer-root";

/// Creates a role of the operator that grants the policy of the same name, and an OpenBaoCluster with `operatorScope: Root` that
/// uses the role.
pub async fn root_cluster(case: &Case, name: &str, role: &str) -> Result<()> {
    let audience = &case.ground.openbao.audience;
    let body = json!({
        "bound_service_account_names": [OPERATOR_ACCOUNT], "bound_service_account_namespaces": [OPERATOR_NAMESPACE],
        "audience": audience, "token_policies": [role], "token_ttl": "10m", "token_max_ttl": "1h",
    });
    let path = format!("auth/kubernetes/role/{role}");
    case.admin()?.request_any(Method::POST, &path, Some(body)).await?;
    let spec = json!({
        "external": {
            "address": case.ground.openbao.url, "caSecretRef": {"name": "main-ca"},
            "managementAuth": {"kubernetes": {"role": role, "audience": audience}},
        },
        "operatorScope": "Root",
    });
    case.object("OpenBaoCluster", name, spec).await.map(drop)
}

/// A test of a general kind.
pub struct General {
    pub case: Case,
    /// Session of the administrator in the OpenBao namespace of the test.
    pub admin: Session,
    kind: &'static str,
}

fn is_write(operation: &str) -> bool {
    !["read", "list"].contains(&operation)
}

impl General {
    /// Creates the cluster and the OpenBao namespace.
    pub async fn new(name: &str, kind: &'static str) -> Result<Self> {
        let case = Case::new(name).await?;
        root_policy(&case.ground.openbao, ROLE).await?;
        root_cluster(&case, "root", ROLE).await?;
        let root = case.admin()?;
        root.request_any(Method::POST, &format!("sys/namespaces/{name}"), Some(json!({}))).await?;
        Ok(Self { admin: root.within(name), case, kind })
    }

    /// Applies an object in the OpenBao namespace of the test.
    pub async fn object(&self, name: &str, mut spec: Value) -> Result<()> {
        spec["clusterRef"] = json!({"name": "root"});
        spec["namespace"] = json!(self.case.namespace);
        self.case.object(self.kind, name, spec).await.map(drop)
    }

    /// Sends a request of the administrator.
    pub async fn post(&self, path: &str, body: Value) -> Result<()> {
        let sent = self.admin.request_any(Method::POST, path, Some(body)).await;
        sent.map(drop).with_context(|| path.to_owned())
    }

    /// The data of a path. Null for a path that does not exist.
    pub async fn read(&self, path: &str) -> Result<Value, steamer_openbao::Error> {
        match self.admin.request_any(Method::GET, path, None).await {
            Ok(answer) => Ok(answer["data"].clone()),
            Err(error) if error.is_not_found() => Ok(Value::Null),
            Err(error) => Err(error),
        }
    }

    /// The data of several paths.
    pub async fn state(&self, paths: &[&str]) -> Result<Vec<Value>, steamer_openbao::Error> {
        let mut state = Vec::new();
        for path in paths {
            state.push(self.read(path).await?);
        }
        Ok(state)
    }

    /// The requests of the operator in the OpenBao namespace of the test, from the audit log.
    fn requests(&self) -> Result<Vec<(String, String)>> {
        self.audited("request")
    }

    /// Number of writes of the operator at a path that OpenBao has answered.
    pub fn completed(&self, path: &str) -> Result<usize> {
        let answered = self.audited("response")?;
        Ok(answered.iter().filter(|(operation, written)| is_write(operation) && written == path).count())
    }

    /// Operations and paths of the entries of a type.
    fn audited(&self, type_: &str) -> Result<Vec<(String, String)>> {
        let namespace = format!("{}/", self.case.namespace);
        let entries = audit::entries(&self.case.ground.openbao.audit, ROLE)?;
        let own = entries.iter().filter(|entry| {
            entry["type"] == type_ && entry.pointer("/request/namespace/path") == Some(&json!(namespace))
        });
        let text = |entry: &Value, name: &str| entry["request"][name].as_str().unwrap_or_default().to_owned();
        Ok(own.map(|entry| (text(entry, "operation"), text(entry, "path"))).collect())
    }

    /// The paths of the writes of the operator in the OpenBao namespace of the test, in their order.
    pub fn writes(&self) -> Result<Vec<String>> {
        let mut requests = self.requests()?;
        requests.retain(|(operation, _)| is_write(operation));
        Ok(requests.into_iter().map(|(_, path)| path).collect())
    }

    fn reads(&self, path: &str) -> Result<usize> {
        let requests = self.requests()?;
        Ok(requests.iter().filter(|(operation, read)| operation == "read" && read == path).count())
    }

    /// Waits until a complete pass over an object whose first resource is at `path` has ended.
    pub async fn passed(&self, name: &str, path: &str) -> Result<()> {
        passes(&self.case, self.kind, name, || self.reads(path)).await
    }

    /// Makes each alteration, and waits until the operator has repaired it.
    pub async fn repairs(&self, name: &str, paths: &[&str], alterations: &[(&str, Value)]) -> Result<()> {
        let right = self.state(paths).await?;
        for (path, body) in alterations {
            let writes = self.writes()?.len();
            self.post(path, body.clone()).await?;
            let wrong = self.state(paths).await?;
            // A pass of the operator can repair the alteration before it is read.
            let is_effective = wrong != right || self.writes()?.len() > writes;
            anyhow::ensure!(is_effective, "{path} {body} changes nothing that is read");
            nudge(&self.case, self.kind, name).await?;
            eventually(&format!("{path} {body} is repaired"), || async {
                let state = self.state(paths).await.map_err(|error| error.to_string())?;
                if state == right { Ok(()) } else { Err(format!("{state:?}")) }
            })
            .await?;
        }
        Ok(())
    }
}
