//! A Kubernetes API server for unit tests, in memory.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use tower::service_fn;

use crate::Locked;

/// A request as the server received it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Value,
}

type Answer = dyn Fn(&Received) -> (u16, Value) + Send + Sync;

/// A server that answers every request with one function.
#[derive(Clone)]
pub(crate) struct Fake {
    received: Arc<Locked<Vec<Received>>>,
    answer: Arc<Answer>,
}

impl Fake {
    pub(crate) fn answering(answer: impl Fn(&Received) -> (u16, Value) + Send + Sync + 'static) -> Self {
        Self { received: Arc::default(), answer: Arc::new(answer) }
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.received.lock().clone()
    }

    pub(crate) fn client(&self) -> Client {
        let fake = self.clone();
        let service = service_fn(move |request: Request<Body>| fake.clone().respond(request));
        Client::new(service, "default")
    }

    async fn respond(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        tokio::task::yield_now().await;
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let bytes = request.into_body().collect_bytes().await.unwrap_or_default();
        let received = Received { path, query, body: serde_json::from_slice(&bytes).unwrap_or_default() };
        self.received.lock().push(received.clone());
        let (status, body) = (self.answer)(&received);
        Ok(Response::builder().status(status).body(Body::from(body.to_string().into_bytes())).unwrap())
    }
}
