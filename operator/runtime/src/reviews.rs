//! Reviews of tokens by the API server: decides whether the bearer of a token may read the metrics.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::sync::Semaphore;
use tracing::warn;

use crate::Locked;

/// How long a decision about a token is reused.
const LIFETIME: Duration = Duration::from_secs(30);
/// Most decisions to remember.
const CAPACITY: usize = 256;
/// Most reviews at the same time. Every pod can send tokens, which must not become requests to the API server without end.
const CONCURRENT: usize = 4;
/// Longest token.
const LONGEST: usize = 16 * 1024;
/// Time limit of a review.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Decision about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The user may read the path.
    Allowed,
    /// The API server does not know the token, or the request has none.
    Unauthenticated,
    /// The user may not read the path.
    Forbidden,
    /// The API server does not answer, or too many tokens are under review.
    Unavailable,
}

/// Reviews tokens with TokenReview and SubjectAccessReview.
pub struct Reviews {
    client: Client,
    known: Locked<HashMap<Vec<u8>, (Decision, Instant)>>,
    turns: Semaphore,
}

impl Reviews {
    /// Returns reviews by the API server of a client. Its user must be allowed to create both kinds of reviews.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, known: Locked::default(), turns: Semaphore::new(CONCURRENT) }
    }

    /// Decides whether the bearer of a token may read a path that is not a Kubernetes resource.
    pub(crate) async fn decide(&self, token: Option<&str>, path: &str) -> Decision {
        let Some(token) = token.filter(|token| !token.is_empty() && token.len() <= LONGEST) else {
            return Decision::Unauthenticated;
        };
        let key = digest(&SHA256, format!("{path}\n{token}").as_bytes()).as_ref().to_vec();
        if let Some(decision) = self.remembered(&key) {
            return decision;
        }
        let Ok(_turn) = self.turns.try_acquire() else { return Decision::Unavailable };
        match tokio::time::timeout(TIMEOUT, self.review(token, path)).await {
            Ok(Ok(decision)) => {
                self.remember(key, decision);
                decision
            }
            Ok(Err(error)) => {
                warn!(error = &error as &dyn std::error::Error, "cannot review a token for the metrics");
                Decision::Unavailable
            }
            Err(_) => Decision::Unavailable,
        }
    }

    fn remembered(&self, key: &[u8]) -> Option<Decision> {
        let known = self.known.lock();
        known.get(key).filter(|(_, at)| at.elapsed() < LIFETIME).map(|(decision, _)| *decision)
    }

    fn remember(&self, key: Vec<u8>, decision: Decision) {
        let mut known = self.known.lock();
        if known.len() >= CAPACITY {
            known.retain(|_, (_, at)| at.elapsed() < LIFETIME);
        }
        if known.len() < CAPACITY {
            known.insert(key, (decision, Instant::now()));
        }
    }

    async fn review(&self, token: &str, path: &str) -> Result<Decision, kube::Error> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let status = api.create(&PostParams::default(), &review).await?.status.unwrap_or_default();
        match status.user {
            Some(user) if status.authenticated == Some(true) => self.access(user, path).await,
            _ => Ok(Decision::Unauthenticated),
        }
    }

    async fn access(&self, user: UserInfo, path: &str) -> Result<Decision, kube::Error> {
        let attributes = NonResourceAttributes { path: Some(path.to_owned()), verb: Some("get".to_owned()) };
        let spec = SubjectAccessReviewSpec {
            user: user.username,
            uid: user.uid,
            groups: user.groups,
            extra: user.extra,
            non_resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let allowed = api.create(&PostParams::default(), &review).await?.status.is_some_and(|s| s.allowed);
        Ok(if allowed { Decision::Allowed } else { Decision::Forbidden })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::fake::{Fake, Received};

    /// Knows the tokens `reader` and `other`, and lets `reader` read `/metrics`.
    fn answer(request: &Received) -> (u16, Value) {
        let spec = &request.body["spec"];
        let token = spec["token"].as_str().unwrap_or_default();
        if token == "outage" {
            return (
                500,
                json!({"status": "Failure", "code": 500, "message": "no", "reason": "InternalError"}),
            );
        }
        let status = if request.path.ends_with("/tokenreviews") {
            let user = json!({"username": token, "groups": ["g"], "uid": "u", "extra": {"k": ["v"]}});
            let is_known = ["reader", "other"].contains(&token);
            json!({"authenticated": is_known, "user": user})
        } else {
            let asked = &spec["nonResourceAttributes"];
            let complete =
                spec["groups"] == json!(["g"]) && spec["uid"] == "u" && spec["extra"] == json!({"k": ["v"]});
            let is_read = asked["path"] == "/metrics" && asked["verb"] == "get";
            json!({"allowed": complete && is_read && spec["user"] == "reader"})
        };
        (201, json!({"metadata": {}, "spec": {}, "status": status}))
    }

    #[rstest]
    #[case::no_token(None, Decision::Unauthenticated, 0)]
    #[case::empty(Some(""), Decision::Unauthenticated, 0)]
    #[case::unknown(Some("unknown"), Decision::Unauthenticated, 1)]
    #[case::no_right(Some("other"), Decision::Forbidden, 2)]
    #[case::reader(Some("reader"), Decision::Allowed, 2)]
    #[tokio::test]
    async fn the_api_server_decides_once_about_each_token(
        #[case] token: Option<&str>,
        #[case] expected: Decision,
        #[case] requests: usize,
    ) {
        let fake = Fake::answering(answer);
        let reviews = Reviews::new(fake.client());
        for _ in 0..3 {
            assert_eq!(reviews.decide(token, "/metrics").await, expected);
        }
        assert_eq!(fake.requests().len(), requests);
    }

    #[tokio::test]
    async fn an_outage_is_not_remembered_and_lets_no_reader_in() {
        let fake = Fake::answering(answer);
        let reviews = Reviews::new(fake.client());
        for _ in 0..2 {
            assert_eq!(reviews.decide(Some("outage"), "/metrics").await, Decision::Unavailable);
        }
        assert_eq!(fake.requests().len(), 2);
    }

    #[tokio::test]
    async fn a_token_that_is_too_long_is_not_reviewed() {
        let fake = Fake::answering(answer);
        let long = "x".repeat(LONGEST + 1);
        let decision = Reviews::new(fake.client()).decide(Some(&long), "/metrics").await;
        assert_eq!((decision, fake.requests().len()), (Decision::Unauthenticated, 0));
    }

    #[tokio::test]
    async fn tokens_without_end_neither_fill_the_memory_nor_reach_the_api_server_at_once() {
        let fake = Fake::answering(answer);
        let reviews = Reviews::new(fake.client());
        for number in 0..=CAPACITY {
            reviews.decide(Some(&format!("t{number}")), "/metrics").await;
        }
        assert_eq!(reviews.known.lock().len(), CAPACITY);
        let asked = fake.requests().len();
        let tokens: Vec<String> = (0..100).map(|number| format!("u{number}")).collect();
        let decisions = tokens.iter().map(|token| reviews.decide(Some(token), "/metrics"));
        let decisions = futures::future::join_all(decisions).await;
        let turned_away = decisions.iter().filter(|decision| **decision == Decision::Unavailable).count();
        assert_eq!((turned_away, fake.requests().len() - asked), (100 - CONCURRENT, CONCURRENT));
    }
}
