//! A Kubernetes API server in memory, and everything that a reconcile needs around it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use steamer_core::access::api_audiences::ApiAudiences;
use steamer_core::access::consent::Consent;
use steamer_core::access::named_objects::NamedObjects;
use steamer_core::access::service_accounts::{ApiIssuerSource, TokenSource};
use steamer_core::access::sessions::Sessions;
use steamer_core::context::Context;
use steamer_core::mac::Mac;
use steamer_core::stores::Stores;
use steamer_core::urgent::Urgent;
use steamer_core::writes::ReportedWrites;
use steamer_openbao::Outgoing;
use steamer_runtime::write_limit::WriteLimit;
use steamer_runtime::{
    Coverage, Dependencies, Events, Index, Limits, Locked, Metrics, ObjectName, Runtime, Statuses,
};

use crate::children::ChildApi;
use crate::cluster::Cluster;
use crate::effects::{Effects, Sources};
use crate::guard::target::GuardTarget;
use crate::nodes::turns::Turns;
use crate::operator_policy::PolicyChecks;

/// A request as the server received it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Value,
}

type Answer = dyn Fn(&Received) -> (u16, Value) + Send + Sync;

/// A server that answers every request with one function, except requests for tokens.
#[derive(Clone)]
pub(crate) struct Fake {
    received: Arc<Locked<Vec<Received>>>,
    answer: Arc<Answer>,
}

impl Default for Fake {
    /// A server on which no object exists. It answers a write with the object that was sent.
    fn default() -> Self {
        Self::answering(|received| match received.method.as_str() {
            "GET" => (404, missing()),
            _ => (200, received.body.clone()),
        })
    }
}

/// Answer to a request for an object that does not exist.
pub(crate) fn missing() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})
}

impl Fake {
    pub(crate) fn answering(answer: impl Fn(&Received) -> (u16, Value) + Send + Sync + 'static) -> Self {
        Self { received: Arc::default(), answer: Arc::new(answer) }
    }

    /// The writes so far: method and the end of the path.
    pub(crate) fn writes(&self) -> Vec<String> {
        let received = self.received.lock();
        let writes = received.iter().filter(|request| request.method != "GET" && !request.is_for_token());
        writes.map(|request| format!("{} {}", request.method, request.subject())).collect()
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.received.lock().clone()
    }

    pub(crate) fn client(&self) -> Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| fake.clone().respond(request));
        Client::new(service, "default")
    }

    async fn respond(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        let bytes = request.into_body().collect_bytes().await.unwrap_or_default();
        let received = Received { method, path, body: serde_json::from_slice(&bytes).unwrap_or_default() };
        self.received.lock().push(received.clone());
        let (status, body) = if received.is_for_token() { (200, token()) } else { (self.answer)(&received) };
        Ok(Response::builder().status(status).body(Body::from(body.to_string().into_bytes())).unwrap())
    }
}

impl Received {
    fn is_for_token(&self) -> bool {
        self.path.ends_with("/token")
    }

    /// Resource and name.
    pub(crate) fn subject(&self) -> String {
        let parts: Vec<&str> = self.path.rsplitn(3, '/').collect();
        format!("{}/{}", parts[1], parts[0])
    }
}

fn token() -> Value {
    let status = json!({"token": "jwt", "expirationTimestamp": "2040-01-01T00:00:00Z"});
    json!({"metadata": {}, "spec": {"audiences": ["api"]}, "status": status})
}

/// A context whose API server is a fake one.
pub(crate) async fn context(fake: &Fake) -> Arc<Context> {
    let (client, index, metrics) = (fake.client(), Arc::new(Index::default()), Arc::new(Metrics::default()));
    let operator = ObjectName::new("steamer-system", "steamer");
    let api_audiences = Arc::new(ApiAudiences::read(client.clone(), operator.clone()).await.unwrap());
    let tokens = TokenSource {
        client: client.clone(),
        metrics: metrics.clone(),
        api_audiences: api_audiences.clone(),
    };
    Arc::new(Context {
        runtime: Arc::new(Runtime {
            statuses: Statuses::new(client.clone()),
            events: Events::new(client.clone(), "test".to_owned()),
            released: Default::default(),
            metrics,
            index: index.clone(),
            shutdown: Default::default(),
            limits: Limits::default(),
        }),
        stores: Stores::default(),
        removers: Default::default(),
        claims: Default::default(),
        handovers: Default::default(),
        generated: Default::default(),
        cluster_objects: Stores::default(),
        cluster_writes: WriteLimit::default(),
        urgent: Urgent::start(|| Ok(fake.client()), "test".to_owned()).unwrap(),
        namespaces: Coverage::All,
        managed_namespaces: Coverage::All,
        sessions: Sessions::new(tokens, Outgoing::default(), index.clone()),
        writes: ReportedWrites::new(Arc::default(), Arc::default()),
        image: None,
        secrets: Arc::new(NamedObjects::new(client.clone(), index.clone())),
        accounts: Arc::new(NamedObjects::new(client.clone(), index)),
        installation: "test".to_owned(),
        operator,
        api_audiences,
        consent: Consent::default(),
        api_issuer: ApiIssuerSource::default(),
        mac: Mac::new(&[7; 32]),
        drift_interval: Duration::from_secs(300),
        request_limit: Duration::from_secs(90),
        started: Instant::now(),
        last_active: None,
        client,
    })
}

/// Access of a reconcile of one cluster.
pub(crate) struct Access {
    context: Arc<Context>,
    dependencies: Dependencies,
    name: ObjectName,
    target: Arc<GuardTarget>,
    turns: Turns,
    policy_checks: PolicyChecks,
}

impl Access {
    pub(crate) fn new(context: &Arc<Context>, cluster: &Cluster, target: &Arc<GuardTarget>) -> Self {
        let dependencies = context.runtime.index.pass("openbaocluster", cluster.name.clone());
        let (context, target) = (context.clone(), target.clone());
        let (name, turns, policy_checks) = (cluster.name.clone(), Turns::default(), PolicyChecks::default());
        Self { context, dependencies, name, target, turns, policy_checks }
    }

    pub(crate) fn child_api(&self) -> ChildApi<'_> {
        ChildApi {
            client: self.context.client.clone(),
            stores: &self.context.cluster_objects,
            cluster: self.name.clone(),
            limit: &self.context.cluster_writes,
        }
    }

    pub(crate) fn effects<'a>(&'a self, child_api: &'a ChildApi<'a>) -> Effects<'a> {
        Effects::new(Sources {
            context: &self.context,
            dependencies: &self.dependencies,
            child_api,
            guard_target: &self.target,
            turns: &self.turns,
            policy_checks: &self.policy_checks,
        })
    }
}
