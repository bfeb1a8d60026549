//! An operator of a test's own on a ground of its own, with everything it asks for going through proxies.

use anyhow::Result;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams};
use steamer_testing::Ground;
use steamer_testing::ground::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, account_token};
use steamer_testing::operator::{Operator, RunningOperator};
use steamer_testing::proxy::{Gate, Proxy};

use crate::cases::Case;

pub struct Rig {
    pub case: Case,
    /// What goes to the API server.
    pub kubernetes: Gate,
    /// What goes to OpenBao.
    pub openbao: Gate,
    pub operator: Operator,
    pub running: Option<RunningOperator>,
    proxies: [Proxy; 2],
}

impl Rig {
    /// A rig whose two proxies count as one.
    pub async fn with_one_gate(name: &'static str) -> Result<Self> {
        let gate = Gate::default();
        Self::with(name, gate.clone(), gate).await
    }

    pub async fn new(name: &'static str) -> Result<Self> {
        Self::with(name, Gate::default(), Gate::default()).await
    }

    async fn with(name: &'static str, kubernetes: Gate, openbao: Gate) -> Result<Self> {
        let ground = Ground::shared().apart(name).await?;
        let case = Case::on(ground.clone(), name).await?;
        let proxies = [
            Proxy::start(&kubernetes, &ground.plane.url, &ground.plane.ca)?,
            Proxy::start(&openbao, &ground.openbao.url, &ground.openbao.ca)?,
        ];
        case.cluster_at("main", &ground.openbao, &proxies[1].url).await?;
        let token = account_token(&case.client, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, &[]).await?;
        let kubeconfig = ground.plane.kubeconfig_through(&proxies[0].url, "proxied", &token)?;
        let mut operator = Operator { kubeconfig, ..ground.operator.clone() };
        // A test that holds the API server up does not mean the lease: who kills the operator takes it away.
        operator.arguments[0] = "--lease-duration=120s".to_owned();
        Ok(Self { case, kubernetes, openbao, operator, running: None, proxies })
    }

    /// OpenBao's proxy.
    pub fn openbao_url(&self) -> &str {
        &self.proxies[1].url
    }

    /// Starts the operator and returns when it works.
    pub async fn start(&mut self) -> Result<()> {
        self.running = Some(self.case.ground.run(&self.operator).await?);
        Ok(())
    }

    /// Kills the operator. The lease it leaves behind is taken away, instead of being waited out.
    pub async fn kill(&mut self) -> Result<()> {
        self.running = None;
        let leases: Api<Lease> = Api::namespaced(self.case.client.clone(), OPERATOR_NAMESPACE);
        leases.delete("steamer", &DeleteParams::default()).await?;
        Ok(())
    }
}
