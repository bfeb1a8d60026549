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
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::warn;

use crate::Locked;

/// How long a decision about a token is reused.
const LIFETIME: Duration = Duration::from_secs(30);
/// How long a token that was accepted has turns of its own.
const PROVEN: Duration = Duration::from_secs(3600);
/// Most decisions of each kind to remember.
const CAPACITY: usize = 256;
/// Most reviews of tokens of each kind at the same time. Every pod can send tokens, which must not become requests to the
/// API server without end.
const CONCURRENT: usize = 4;
/// Most unknown tokens that wait for a review.
const WAITING: usize = 64;
/// Longest token.
const LONGEST: usize = 16 * 1024;
/// Time limit of a review, and of the wait for it.
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

/// Digest of a token and a path.
type Key = Vec<u8>;

/// Reviews tokens with TokenReview and SubjectAccessReview. Accepted and refused tokens share nothing: requests with unknown
/// tokens neither displace an accepted token nor occupy its turn.
pub struct Reviews {
    client: Client,
    accepted: Locked<HashMap<Key, Instant>>,
    refused: Locked<HashMap<Key, (Decision, Instant)>>,
    accepted_turns: Semaphore,
    unknown_turns: Semaphore,
    waiting: Semaphore,
}

impl Reviews {
    /// Returns reviews by the API server of a client. Its user must be allowed to create both kinds of reviews.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            accepted: Locked::default(),
            refused: Locked::default(),
            accepted_turns: Semaphore::new(CONCURRENT),
            unknown_turns: Semaphore::new(CONCURRENT),
            waiting: Semaphore::new(WAITING),
        }
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
        let Some(_turn) = self.turn(&key).await else { return Decision::Unavailable };
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
        if self.accepted_within(LIFETIME, key) {
            return Some(Decision::Allowed);
        }
        let refused = self.refused.lock();
        refused.get(key).filter(|(_, at)| at.elapsed() < LIFETIME).map(|(decision, _)| *decision)
    }

    fn accepted_within(&self, period: Duration, key: &[u8]) -> bool {
        self.accepted.lock().get(key).is_some_and(|at| at.elapsed() < period)
    }

    /// Waits for the turn of a review. None if too many tokens wait, or for too long.
    async fn turn(&self, key: &[u8]) -> Option<SemaphorePermit<'_>> {
        let is_proven = self.accepted_within(PROVEN, key);
        let _waiting = if is_proven { None } else { Some(self.waiting.try_acquire().ok()?) };
        let turns = if is_proven { &self.accepted_turns } else { &self.unknown_turns };
        tokio::time::timeout(TIMEOUT, turns.acquire()).await.ok()?.ok()
    }

    fn remember(&self, key: Key, decision: Decision) {
        let now = Instant::now();
        if decision == Decision::Allowed {
            return keep(&mut self.accepted.lock(), PROVEN, (key, now));
        }
        self.accepted.lock().remove(&key);
        let mut refused = self.refused.lock();
        if refused.len() >= CAPACITY {
            refused.retain(|_, (_, at)| at.elapsed() < LIFETIME);
        }
        if refused.len() < CAPACITY {
            refused.insert(key, (decision, now));
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

/// Remembers an accepted token. Of too many, the one with the oldest review is reviewed again.
fn keep(accepted: &mut HashMap<Key, Instant>, period: Duration, (key, now): (Key, Instant)) {
    accepted.retain(|_, at| now.saturating_duration_since(*at) < period);
    accepted.insert(key, now);
    if accepted.len() > CAPACITY
        && let Some(oldest) = accepted.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone())
    {
        accepted.remove(&oldest);
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
        assert_eq!(reviews.refused.lock().len(), CAPACITY);
        let asked = fake.requests().len();
        let tokens: Vec<String> = (0..100).map(|number| format!("u{number}")).collect();
        let decisions = tokens.iter().map(|token| reviews.decide(Some(token), "/metrics"));
        let decisions = futures::future::join_all(decisions).await;
        let turned_away = decisions.iter().filter(|decision| **decision == Decision::Unavailable).count();
        let reviewed = WAITING + CONCURRENT;
        assert_eq!((turned_away, fake.requests().len() - asked), (100 - reviewed, reviewed));
    }

    /// Reviews that remember an old acceptance of `reader`, while unknown tokens occupy all turns and caches.
    async fn flooded(fake: &Fake) -> Reviews {
        let reviews = Reviews::new(fake.client());
        assert_eq!(reviews.decide(Some("reader"), "/metrics").await, Decision::Allowed);
        for number in 0..=CAPACITY {
            reviews.decide(Some(&format!("t{number}")), "/metrics").await;
        }
        reviews.unknown_turns.forget_permits(CONCURRENT);
        reviews.waiting.forget_permits(WAITING);
        reviews
    }

    #[tokio::test]
    async fn unknown_tokens_keep_no_accepted_token_out() {
        let fake = Fake::answering(answer);
        let reviews = flooded(&fake).await;
        assert_eq!(reviews.decide(Some("unknown"), "/metrics").await, Decision::Unavailable);
        let asked = fake.requests().len();
        assert_eq!(reviews.decide(Some("reader"), "/metrics").await, Decision::Allowed);
        assert_eq!(fake.requests().len(), asked, "the decision is remembered");
        let old = Instant::now().checked_sub(2 * LIFETIME).unwrap();
        reviews.accepted.lock().values_mut().for_each(|at| *at = old);
        assert_eq!(reviews.decide(Some("reader"), "/metrics").await, Decision::Allowed);
        assert_eq!(fake.requests().len(), asked + 2, "the token is reviewed again");
    }

    #[test]
    fn accepted_tokens_are_bounded_and_the_oldest_is_forgotten() {
        let (mut accepted, start) = (HashMap::new(), Instant::now());
        for number in 0..=CAPACITY {
            let at = start + Duration::from_millis(u64::try_from(number).unwrap());
            keep(&mut accepted, PROVEN, (number.to_be_bytes().to_vec(), at));
        }
        assert_eq!(accepted.len(), CAPACITY);
        assert!(!accepted.contains_key(0_usize.to_be_bytes().as_slice()));
        keep(&mut accepted, PROVEN, (vec![1], start + 2 * PROVEN));
        assert_eq!(accepted.len(), 1);
    }
}
