//! Body of a request, with secret parameters that no log shows.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use steamer_core::mac::Mac;
use steamer_openbao::{Error, Session};

use super::readback::Readback;

/// Parameters of a request.
#[derive(Clone, Default)]
pub(crate) struct Body {
    /// Parameters that are not secret.
    pub(crate) parameters: Map<String, Value>,
    /// Parameters that are secret.
    pub(crate) secrets: BTreeMap<String, SecretString>,
    /// Parameters whose values are read immediately before the request, because an earlier write determines them.
    pub(crate) late: BTreeMap<&'static str, Late>,
    /// Preconditions of the request, such as the version of a policy, and values that a request without them would reset. They are
    /// no part of the desired state.
    pub(crate) guard: Map<String, Value>,
    /// Compares the secrets with what OpenBao returns. None without secrets.
    pub(crate) readback: Option<Arc<Readback>>,
}

/// A value that is read from OpenBao.
#[derive(Clone, Debug)]
pub(crate) struct Late {
    /// Path that is read, relative to the OpenBao namespace.
    pub(crate) path: String,
    /// Field of the answer.
    pub(crate) field: &'static str,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secrets: Vec<&String> = self.secrets.keys().collect();
        f.debug_struct("Body")
            .field("parameters", &self.parameters)
            .field("secrets", &secrets)
            .field("late", &self.late)
            .finish()
    }
}

impl Body {
    /// The body with the values that are read from OpenBao.
    pub(crate) async fn resolved(&self, session: &Session) -> Result<Self, Error> {
        let mut body = self.clone();
        for (name, late) in &self.late {
            let answer = session.request_any(reqwest::Method::GET, &late.path, None).await?;
            let value = answer.get("data").and_then(|data| data.get(late.field)).cloned().unwrap_or_default();
            body.parameters.insert((*name).to_owned(), value);
        }
        Ok(body)
    }

    /// Reads the secrets after the request was sent, if OpenBao returns them.
    pub(super) async fn read_back(&self, session: &Session) {
        if let Some(readback) = &self.readback {
            readback.read(session, &self.secrets).await;
        }
    }

    /// The parameters as OpenBao receives them.
    pub(crate) fn exposed(&self) -> Value {
        let mut parameters = self.parameters.clone();
        parameters.extend(self.guard.clone());
        for (name, secret) in &self.secrets {
            parameters.insert(name.clone(), Value::from(secret.expose_secret()));
        }
        Value::Object(parameters)
    }

    /// A keyed digest of all parameters for the resource at `path`.
    pub(crate) fn digest(&self, mac: &Mac, path: &str) -> String {
        let parameters = Value::Object(self.parameters.clone()).to_string();
        let start = [("path", path.as_bytes()), ("parameters", parameters.as_bytes())];
        let secrets =
            self.secrets.iter().map(|(name, secret)| (name.as_str(), secret.expose_secret().as_bytes()));
        mac.of(start.into_iter().chain(secrets))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(password: &str) -> Body {
        let parameters = json!({"username": "app"}).as_object().unwrap().clone();
        let secrets = BTreeMap::from([("password".to_owned(), SecretString::from(password.to_owned()))]);
        Body { parameters, secrets, ..Body::default() }
    }

    #[test]
    fn a_secret_parameter_is_sent_and_never_shown() {
        assert_eq!(body("canary").exposed(), json!({"username": "app", "password": "canary"}));
        let shown = format!("{:?}", body("canary"));
        assert!(!shown.contains("canary") && shown.contains("password"), "{shown}");
    }

    #[test]
    fn a_precondition_is_sent_and_is_no_part_of_the_desired_state() {
        let guard = json!({"cas": 3}).as_object().unwrap().clone();
        let guarded = Body { guard, ..body("a") };
        assert_eq!(guarded.exposed()["cas"], json!(3));
        let mac = Mac::new(&[7; 32]);
        assert_eq!(guarded.digest(&mac, "p"), body("a").digest(&mac, "p"));
        // Equal writes of several passes have equal texts.
        assert_eq!(format!("{guarded:?}"), format!("{:?}", body("a")));
    }

    #[test]
    fn every_parameter_and_the_path_change_the_digest() {
        let mac = Mac::new(&[7; 32]);
        let digest = |password, path| body(password).digest(&mac, path);
        assert_eq!(digest("a", "p"), digest("a", "p"));
        assert_ne!(digest("a", "p"), digest("b", "p"));
        assert_ne!(digest("a", "p"), digest("a", "q"));
    }
}
