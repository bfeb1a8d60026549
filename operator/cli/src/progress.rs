//! Waiting for an object, with progress on the standard error output.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args as Arguments;
use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use serde::de::DeserializeOwned;
use steamer_api::Duration as Period;

use crate::connection::Cluster;
use crate::outcome::Outcome;

/// Time between two reads of an object.
const INTERVAL: Duration = Duration::from_millis(500);

/// Options of a command that waits.
#[derive(Arguments, Clone, Debug)]
pub(crate) struct Waiting {
    /// Returns after the request, without waiting for its effect.
    #[arg(long)]
    no_wait: bool,
    /// Time to wait for the effect, such as 90s or 1h. Then the exit code is 3.
    #[arg(long, default_value = "10m")]
    timeout: Period,
}

/// State of a long operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It goes on.
    Wait(String),
    /// It is complete.
    Done(String),
    /// It ended without success.
    Failed(String),
}

/// Name and namespace of the object to wait for.
pub(crate) type Place<'a> = (&'a str, &'a str);

impl Waiting {
    pub(crate) const fn new(no_wait: bool, timeout: Period) -> Self {
        Self { no_wait, timeout }
    }

    /// Reads an object until `step` reports the end, and reports each change.
    ///
    /// # Errors
    /// When the object cannot be read.
    pub(crate) async fn until<K>(
        &self,
        cluster: &Cluster,
        (namespace, name): Place<'_>,
        mut step: impl FnMut(&K) -> Step,
    ) -> Result<Outcome>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        if self.no_wait {
            return Ok(Outcome::Good);
        }
        let (mut reported, begun) = (String::new(), Instant::now());
        loop {
            let (text, end) = match step(&cluster.object::<K>(namespace, name).await?) {
                Step::Wait(text) => (text, None),
                Step::Done(text) => (text, Some(Outcome::Good)),
                Step::Failed(text) => (text, Some(Outcome::NotReady)),
            };
            if text != reported {
                eprintln!("{:>4}s  {text}", begun.elapsed().as_secs());
                reported = text;
            }
            if let Some(outcome) = end {
                return Ok(outcome);
            }
            if begun.elapsed() >= self.timeout.get() {
                eprintln!("gave up: the operator goes on. See `kubectl steamer status`");
                return Ok(Outcome::NotReady);
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}
