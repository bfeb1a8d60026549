//! The answer of a PKI engine, and the keys of the Secret.

use std::collections::BTreeMap;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use steamer_core::Error;
use steamer_openbao::{Error as OpenBao, Json, Values};

use super::chain::Chain;

/// The keys of a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// The fields of the answer.
    Answer,
    /// `tls.crt`, `tls.key` and `ca.crt`.
    Tls,
    /// Both.
    All,
}

impl Keys {
    /// The keys that every certificate has.
    pub(super) fn certain(self) -> &'static [&'static str] {
        match self {
            Self::Answer => &ALL[3..],
            Self::Tls => &ALL[..3],
            Self::All => ALL,
        }
    }

    /// The keys that only some certificates have: a CA without an issuer has no chain.
    pub(super) fn possible(self) -> &'static [&'static str] {
        match self {
            Self::Answer | Self::All => &["ca_chain"],
            Self::Tls => &[],
        }
    }
}

/// `tls.crt`, `tls.key` and `ca.crt`, and the fields of each answer.
const ALL: &[&str] = &[
    "tls.crt",
    "tls.key",
    "ca.crt",
    "certificate",
    "expiration",
    "issuing_ca",
    "not_before",
    "private_key",
    "private_key_type",
    "serial_number",
];

/// A certificate that was issued. It has no `Debug`.
pub(super) struct Certificate<'a> {
    pub(super) serial: String,
    pub(super) not_after: Timestamp,
    values: &'a Values,
}

impl<'a> Certificate<'a> {
    /// Reads an answer. None if it is not that of a PKI engine.
    pub(super) fn of(values: &'a Values) -> Option<Self> {
        let serial: String = field(values, "serial_number")?;
        let not_after = Timestamp::from_second(field(values, "expiration")?).ok()?;
        (!serial.is_empty()).then_some(Self { serial, not_after, values })
    }

    /// Refuses a certificate that has expired: it would be replaced at once, again and again.
    ///
    /// # Errors
    /// [`Error::Invalid`] states the cause.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), Error> {
        if self.not_after > now {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "OpenBao issued a certificate that expired at {}, and it is {now:.0}: set a longer ttl, or synchronize the clocks",
            self.not_after
        )))
    }

    /// The values of the Secret by key. None if the chain cannot be computed.
    pub(super) fn values(&self, keys: Keys) -> Option<Values> {
        Some(Values(match keys {
            Keys::Answer => self.answer(),
            Keys::Tls => self.tls()?,
            Keys::All => self.answer().into_iter().chain(self.tls()?).collect(),
        }))
    }

    /// The fields of the answer. The CAs are text, as all other certificates.
    fn answer(&self) -> BTreeMap<String, Json> {
        let mut all = self.values.0.clone();
        if all.remove("ca_chain").is_some() && !self.authorities().is_empty() {
            all.insert("ca_chain".to_owned(), Json::string(&self.authorities().join("\n")));
        }
        all
    }

    fn tls(&self) -> Option<BTreeMap<String, Json>> {
        let certificate: String = field(self.values, "certificate")?;
        let issuing: String = field(self.values, "issuing_ca")?;
        let mut authorities = self.authorities();
        authorities.push(issuing);
        let authorities: Vec<&str> = authorities.iter().map(String::as_str).collect();
        let Chain { certificates, root } = Chain::of(&certificate, &authorities)?;
        let key: SecretString = field(self.values, "private_key")?;
        let key = SecretString::from(format!("{}\n", key.expose_secret()));
        let entries =
            [("tls.crt", certificates.as_str()), ("tls.key", key.expose_secret()), ("ca.crt", &root)];
        Some(entries.into_iter().map(|(name, text)| (name.to_owned(), Json::string(text))).collect())
    }

    fn authorities(&self) -> Vec<String> {
        field(self.values, "ca_chain").unwrap_or_default()
    }
}

/// A field of an answer. None if it is missing, or of another type.
fn field<T: DeserializeOwned>(values: &Values, name: &str) -> Option<T> {
    serde_json::from_str(values.0.get(name)?.json().expose_secret()).ok()
}

/// The error for an answer that no PKI engine gives.
pub(super) fn unreadable(mount: &str) -> Error {
    let found = "does not answer as a PKI engine: correct mount and role".to_owned();
    Error::OpenBao(OpenBao::Mount { mount: mount.to_owned(), found })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, Issuer, KeyPair};
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    /// An answer of an engine with a root, as OpenBao returns it.
    fn answer(changes: &Value) -> Values {
        let [key, other] = [(), ()].map(|()| KeyPair::generate().unwrap());
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "root");
        let root = parameters.self_signed(&key).unwrap().pem().trim().to_owned();
        let leaf = CertificateParams::default().signed_by(&other, &Issuer::new(parameters, key));
        let mut answer = json!({
            "certificate": leaf.unwrap().pem().trim(), "issuing_ca": root, "ca_chain": [root], "private_key": "PRIVATE",
            "private_key_type": "ec", "serial_number": "4a:01", "expiration": 2_000_000_000, "not_before": 1_000_000_000,
        });
        for (name, value) in changes.as_object().unwrap() {
            answer[name] = value.clone();
        }
        Values::from(&answer)
    }

    fn texts(values: &Values, keys: Keys) -> BTreeMap<String, String> {
        let entries = Certificate::of(values).unwrap().values(keys).unwrap().0;
        entries.into_iter().map(|(key, value)| (key, value.text().expose_secret().to_owned())).collect()
    }

    #[test]
    fn a_tls_secret_has_the_chain_without_the_root_the_key_and_the_root() {
        let values = answer(&json!({}));
        let (tls, answer) = (texts(&values, Keys::Tls), texts(&values, Keys::Answer));
        assert_eq!(tls.keys().collect::<Vec<_>>(), ["ca.crt", "tls.crt", "tls.key"]);
        assert_eq!(tls["tls.crt"], format!("{}\n", answer["certificate"]));
        assert_eq!(tls["tls.key"], "PRIVATE\n");
        assert_eq!(tls["ca.crt"], format!("{}\n", answer["issuing_ca"]));
    }

    #[test]
    fn another_secret_has_the_fields_of_the_answer() {
        let two = json!({"ca_chain": ["A", "B"]});
        let texts = texts(&answer(&two), Keys::Answer);
        let expected = [
            "ca_chain",
            "certificate",
            "expiration",
            "issuing_ca",
            "not_before",
            "private_key",
            "private_key_type",
            "serial_number",
        ];
        assert_eq!(texts.keys().collect::<Vec<_>>(), expected);
        assert_eq!((texts["ca_chain"].as_str(), texts["expiration"].as_str()), ("A\nB", "2000000000"));
    }

    #[test]
    fn a_transformation_can_use_both() {
        let values = answer(&json!({}));
        assert_eq!(texts(&values, Keys::All).len(), 8 + 3);
    }

    #[rstest]
    #[case(Keys::Answer)]
    #[case(Keys::Tls)]
    #[case(Keys::All)]
    fn the_keys_of_a_certificate_are_known_before_it_is_issued(#[case] keys: Keys) {
        for changes in [json!({}), json!({"ca_chain": []})] {
            let texts = texts(&answer(&changes), keys);
            let is_foreseen = |key: &String| {
                keys.certain().contains(&key.as_str()) || keys.possible().contains(&key.as_str())
            };
            assert!(texts.keys().all(is_foreseen), "{:?}", texts.keys());
            assert!(keys.certain().iter().all(|key| texts.contains_key(*key)), "{:?}", texts.keys());
        }
    }

    #[rstest]
    #[case::empty(json!([]))]
    #[case::none(Value::Null)]
    fn a_chain_without_cas_adds_no_key(#[case] chain: Value) {
        let texts = texts(&answer(&json!({"ca_chain": chain})), Keys::Answer);
        assert!(!texts.contains_key("ca_chain"));
    }

    #[rstest]
    #[case::no_serial(json!({"serial_number": null}))]
    #[case::empty_serial(json!({"serial_number": ""}))]
    #[case::no_time(json!({"expiration": "soon"}))]
    fn an_answer_of_another_engine_is_no_certificate(#[case] changes: Value) {
        assert!(Certificate::of(&answer(&changes)).is_none());
    }

    #[test]
    fn a_certificate_without_a_key_or_chain_is_no_tls_secret() {
        for changes in [json!({"private_key": null}), json!({"certificate": "x"}), json!({"issuing_ca": "x"})]
        {
            assert!(Certificate::of(&answer(&changes)).unwrap().values(Keys::Tls).is_none(), "{changes}");
        }
    }

    #[test]
    fn an_expired_certificate_is_refused() {
        let values = answer(&json!({}));
        let certificate = Certificate::of(&values).unwrap();
        assert!(certificate.check(Timestamp::from_second(1_999_999_999).unwrap()).is_ok());
        let refused =
            certificate.check(Timestamp::from_second(2_000_000_000).unwrap()).unwrap_err().to_string();
        assert!(refused.contains("expired at 2033-05-18T03:33:20Z"), "{refused}");
    }
}
