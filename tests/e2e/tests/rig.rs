//! A dedicated operator on a dedicated ground, with proxies for all of its requests.

use std::sync::Arc;

use anyhow::Result;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;
use steamer_api::OpenBaoCluster;
use steamer_testing::Ground;
use steamer_testing::ground::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, account_token};
use steamer_testing::installation::install_root_scope;
use steamer_testing::operator::{Operator, RunningOperator};
use steamer_testing::process::Server;
use steamer_testing::proxy::{Gate, Proxy};

use crate::fixture::Case;

pub struct Rig {
    /// The first field: it ends before its control plane is cleaned for the next rig.
    pub running: Option<RunningOperator>,
    pub case: Case,
    /// Gate of the requests to the API server.
    pub kubernetes: Gate,
    /// Gate of the requests to OpenBao.
    pub openbao: Gate,
    pub operator: Operator,
    proxies: [Proxy; 2],
}

impl Rig {
    /// Creates a rig with one gate that both proxies share.
    pub async fn with_one_gate(name: &'static str) -> Result<Self> {
        let gate = Gate::default();
        Self::on(Ground::shared().apart(name).await?, name, [gate.clone(), gate]).await
    }

    /// Creates a rig whose API server other rigs use before and after it.
    pub async fn new(name: &'static str) -> Result<Self> {
        Self::on(Ground::shared().apart(name).await?, name, Default::default()).await
    }

    /// Creates a rig with an API server of its own, for a test that stops it, searches its files, or changes
    /// CustomResourceDefinitions or roles.
    pub async fn alone(name: &'static str) -> Result<Self> {
        Self::on(Ground::shared().alone(name).await?, name, Default::default()).await
    }

    async fn on(ground: Arc<Ground>, name: &'static str, [kubernetes, openbao]: [Gate; 2]) -> Result<Self> {
        let case = Case::on(ground.clone(), name).await?;
        let proxies = [
            Proxy::start(&kubernetes, &ground.plane.url, &ground.plane.ca)?,
            Proxy::start(&openbao, &ground.openbao.url, &ground.openbao.ca)?,
        ];
        case.cluster_at("main", &ground.openbao, &proxies[1].url).await?;
        let token = account_token(&case.client, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, &[]).await?;
        let kubeconfig = ground.plane.kubeconfig_through(&proxies[0].url, "proxied", &token)?;
        let mut operator = Operator { kubeconfig, ..ground.operator.clone() };
        // The lease must not expire while a test blocks the API server; `kill` deletes the lease.
        operator.arguments[0] = "--lease-duration=120s".to_owned();
        Ok(Self { running: None, case, kubernetes, openbao, operator, proxies })
    }

    /// Lets the cluster `main` create resources in every namespace of its OpenBao.
    pub async fn install_root_scope(&self) -> Result<()> {
        install_root_scope(&self.case.ground.openbao).await?;
        let scope = Patch::Merge(json!({"spec": {"operatorScope": "Root"}}));
        self.case.api::<OpenBaoCluster>().patch("main", &PatchParams::default(), &scope).await?;
        Ok(())
    }

    /// The writes to those paths of OpenBao, such as `POST /v1/sys/namespaces/a`.
    pub fn writes(&self, is_counted: impl Fn(&str) -> bool) -> Vec<String> {
        let seen = self.openbao.seen();
        let writes = seen.iter().filter(|asked| asked.writes() && is_counted(&asked.path));
        writes.map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    }

    /// Returns the URL of OpenBao's proxy.
    pub fn openbao_url(&self) -> &str {
        &self.proxies[1].url
    }

    /// Starts the operator and waits until it is ready.
    pub async fn start(&mut self) -> Result<()> {
        self.running = Some(self.case.ground.run(&self.operator).await?);
        Ok(())
    }

    /// Starts the operator with a fail point, as [`Operator::fails_at`], and does not wait: it can end before it is ready. Returns
    /// its process.
    pub async fn start_failing(&mut self, fails_at: &str) -> Result<Server> {
        let operator = Operator { fails_at: Some(fails_at.to_owned()), ..self.operator.clone() };
        let running = self.case.ground.at_home(async move { operator.start() }).await?;
        let server = running.process.server();
        self.running = Some(running);
        Ok(server)
    }

    /// Kills the operator and deletes its lease, so that the next one need not wait for the lease to expire.
    pub async fn kill(&mut self) -> Result<()> {
        self.running = None;
        let leases: Api<Lease> = Api::namespaced(self.case.client.clone(), OPERATOR_NAMESPACE);
        match leases.delete("steamer", &DeleteParams::default()).await {
            // It ended before it acquired the lease.
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            deleted => Ok(deleted.map(drop)?),
        }
    }
}
