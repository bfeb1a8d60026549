//! Record of the writes to one key, and its comparison with the versions that OpenBao has.

use anyhow::{Context, Result, ensure};

/// Number of versions after which a writer starts another key. OpenBao must keep as many.
pub const LENGTH: i64 = 32;

/// A version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number. The first one is 1.
    pub number: i64,
    /// Its value.
    pub value: i64,
}

/// The writes to one key. Each write requires that the last acknowledged version is the latest one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Values of the acknowledged versions, from version 1.
    acknowledged: Vec<i64>,
    /// Values of the writes without a response. Each of them can be committed at any time, as the next version.
    unanswered: Vec<i64>,
}

impl Chain {
    /// Number of the last acknowledged version. 0: none.
    #[must_use]
    pub fn version(&self) -> i64 {
        i64::try_from(self.acknowledged.len()).unwrap_or(i64::MAX)
    }

    /// Returns true if the next write belongs to another key.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.version() >= LENGTH
    }

    /// Records the response to a write.
    ///
    /// # Errors
    /// If the version is not the next one: a version was given twice.
    pub fn acknowledge(&mut self, version: Version) -> Result<()> {
        let Version { number, value } = version;
        ensure!(
            number == self.version() + 1,
            "{value} was acknowledged as version {number} after version {}",
            self.version()
        );
        self.acknowledged.push(value);
        Ok(())
    }

    /// Records that a write has no response.
    pub fn lose_response(&mut self, value: i64) {
        self.unanswered.push(value);
    }

    /// Records the latest version, after a write without a response: the write may have been committed. Returns false for
    /// a version from before, which a node can return that does not lead anymore.
    ///
    /// # Errors
    /// If no write of the chain explains the version.
    pub fn settle(&mut self, latest: Option<Version>) -> Result<bool> {
        let Version { number, value } = latest.unwrap_or(Version { number: 0, value: 0 });
        if number < self.version() {
            return Ok(false);
        }
        if number == self.version() + 1 {
            let known = self.unanswered.iter().position(|unanswered| *unanswered == value);
            self.unanswered.remove(known.with_context(|| unexplained(number, value))?);
            self.acknowledge(Version { number, value })?;
        }
        ensure!(number == self.version(), "{}", unexplained(number, value));
        ensure!(self.acknowledged.last().is_none_or(|last| *last == value), "{}", unexplained(number, value));
        Ok(true)
    }

    /// Differences between the acknowledged writes and the versions that OpenBao has: none if no write was lost, replaced or
    /// invented.
    #[must_use]
    pub fn differences(&self, found: &[Version]) -> Vec<String> {
        let mut all = Vec::new();
        for (number, value) in (1..).zip(&self.acknowledged) {
            match found.iter().find(|version| version.number == number) {
                None => all.push(format!("version {number} with {value} was acknowledged and is lost")),
                Some(version) if version.value != *value => all.push(format!(
                    "version {number} was acknowledged with {value} and holds {}: a late commit",
                    version.value
                )),
                Some(_) => {}
            }
        }
        let others = found.iter().filter(|version| !(1..=self.version()).contains(&version.number));
        let unknown = others.filter(|version| {
            version.number != self.version() + 1 || !self.unanswered.contains(&version.value)
        });
        all.extend(unknown.map(|version| unexplained(version.number, version.value)));
        all
    }
}

fn unexplained(number: i64, value: i64) -> String {
    format!("version {number} holds {value}, which no write explains")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: i64, value: i64) -> Version {
        Version { number, value }
    }

    /// A chain with the acknowledged values 10 and 20, and 30 without a response.
    fn chain() -> Chain {
        let mut chain = Chain::default();
        chain.acknowledge(version(1, 10)).unwrap();
        chain.acknowledge(version(2, 20)).unwrap();
        chain.lose_response(30);
        chain
    }

    #[test]
    fn only_lost_replaced_and_unexplained_versions_are_differences() {
        let cases: [(&[(i64, i64)], usize); 8] = [
            (&[(1, 10), (2, 20)], 0),
            (&[(1, 10), (2, 20), (3, 30)], 0),
            (&[(1, 10)], 1),
            (&[(2, 20)], 1),
            (&[], 2),
            (&[(1, 10), (2, 30)], 1),
            (&[(1, 10), (2, 20), (3, 40)], 1),
            (&[(1, 10), (2, 20), (4, 30)], 1),
        ];
        for (found, expected) in cases {
            let found: Vec<Version> = found.iter().map(|(number, value)| version(*number, *value)).collect();
            assert_eq!(chain().differences(&found).len(), expected, "{found:?}");
        }
    }

    #[test]
    fn a_version_that_is_given_twice_is_refused() {
        assert!(chain().acknowledge(version(2, 30)).is_err());
        assert!(chain().acknowledge(version(3, 30)).is_ok());
    }

    #[test]
    fn a_write_without_a_response_is_settled_by_the_latest_version() {
        let settled = |latest: Option<(i64, i64)>| {
            let mut chain = chain();
            let answer = chain.settle(latest.map(|(number, value)| version(number, value)));
            answer.map(|current| (current, chain.version())).ok()
        };
        assert_eq!(settled(Some((3, 30))), Some((true, 3)), "committed");
        assert_eq!(settled(Some((2, 20))), Some((true, 2)), "not committed");
        assert_eq!(settled(Some((1, 10))), Some((false, 2)), "an answer from before");
        assert_eq!(settled(None), Some((false, 2)), "an answer from before");
        assert_eq!(settled(Some((3, 40))), None, "not a write of this chain");
        assert_eq!(settled(Some((2, 30))), None, "a late commit");
        assert_eq!(settled(Some((4, 30))), None, "a version is missing");
        assert_eq!(Chain::default().settle(None).ok(), Some(true), "the first write");
    }
}
