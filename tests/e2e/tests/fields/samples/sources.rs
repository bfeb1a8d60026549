//! What the samples contain of the servers of the test.

/// Values that exist before the samples.
pub struct Sources {
    /// Port of PostgreSQL.
    pub postgres: u16,
    /// A certificate in PEM, which the Secret `values` contains.
    pub ca: String,
    /// A client certificate and its key in PEM, which the Secret `pair` contains.
    pub pair: String,
    /// IDs of two entities and of a group.
    pub alice: String,
    pub bob: String,
    pub members: String,
}

impl Sources {
    /// Sources of samples that are not applied.
    pub fn example() -> Self {
        let text = str::to_owned;
        Self {
            postgres: 5432,
            ca: text("CA"),
            pair: text("PAIR"),
            alice: text("alice-id"),
            bob: text("bob-id"),
            members: text("members-id"),
        }
    }
}
