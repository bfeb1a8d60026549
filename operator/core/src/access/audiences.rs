//! Audiences of ServiceAccount tokens: a token for a server must be worthless at the Kubernetes API server.

use std::collections::BTreeSet;

use crate::error::Error;

/// Audiences that the API server does not accept. The only constructor checks this, and tokens can be requested for
/// such audiences only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SafeAudiences(Vec<String>);

impl SafeAudiences {
    /// Checks audiences against those that the API server accepts.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are none, because a token without an audience is valid at the API server, or names
    /// the first audience that the API server accepts.
    pub fn new(audiences: Vec<String>, accepted: &BTreeSet<String>) -> Result<Self, Error> {
        if audiences.is_empty() || audiences.iter().any(|audience| audience.trim().is_empty()) {
            return Err(Error::Invalid(
                "a token needs an audience: without one, the Kubernetes API server accepts it".to_owned(),
            ));
        }
        match audiences.iter().find(|audience| accepted.contains(*audience)) {
            Some(audience) => Err(Error::Invalid(format!(
                "audience `{audience}` is one that the Kubernetes API server accepts: a server that receives such a token \
                 could use it at the API server; choose another audience, such as `openbao`"
            ))),
            None => Ok(Self(audiences)),
        }
    }

    /// The audiences.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&["openbao"], None)]
    #[case(&["openbao", "other"], None)]
    #[case(&[], Some("a token needs an audience"))]
    #[case(&[""], Some("a token needs an audience"))]
    #[case(&["openbao", " "], Some("a token needs an audience"))]
    #[case(&["api"], Some("audience `api` is one that the Kubernetes API server accepts"))]
    #[case(&["openbao", "https://api"], Some("audience `https://api` is one that the Kubernetes API server accepts"))]
    fn an_audience_of_the_api_server_is_refused(#[case] audiences: &[&str], #[case] expected: Option<&str>) {
        let accepted = BTreeSet::from(["api".to_owned(), "https://api".to_owned()]);
        let audiences = audiences.iter().map(|audience| (*audience).to_owned()).collect();
        let refused = SafeAudiences::new(audiences, &accepted).err().map(|error| error.to_string());
        match (refused, expected) {
            (None, None) => {}
            (Some(text), Some(expected)) if text.starts_with(expected) => {}
            other => panic!("{other:?}"),
        }
    }
}
