//! Kubernetes Secrets, their labels and annotations, and generated values.

use std::collections::BTreeMap;

use super::rule::Rule;

/// Symbols of a generated password.
pub(crate) const SYMBOLS: Rule = (
    r"self.matches('^[!-/:-@\\[-`{-~]+$')",
    "symbols must be ASCII characters other than letters, digits and blanks",
);

/// Name of a password policy.
pub(crate) const PASSWORD_POLICY: Rule = (
    "self.matches('^[A-Za-z0-9_.-]+$') && self != '.' && self != '..'",
    "the name of a password policy consists of letters, digits, -, _ and .",
);

/// Value of the metadata of a secret.
pub(crate) const SECRET_METADATA: Rule = (
    r"!self.replace(' ', '').matches(r'[\p{C}\p{Z}]') && size(bytes(self)) <= 512",
    "metadata of a secret must be printable text of at most 512 bytes: remove line breaks and control characters",
);

/// Comment of an SSH key.
pub(crate) const SSH_COMMENT: Rule =
    ("self.matches('^[ -~]*$')", "comment must consist of visible ASCII characters and blanks");

/// Type of a Secret on which nothing acts.
pub(crate) const SECRET_TYPE: Rule = (
    "!(self in ['kubernetes.io/service-account-token', 'bootstrap.kubernetes.io/token']) && !self.startsWith('helm.sh/')",
    "destination.type must not be kubernetes.io/service-account-token, bootstrap.kubernetes.io/token or helm.sh/*: \
     Kubernetes and Helm act on such Secrets",
);

/// Keys of a Secret that contain the results of templates.
pub(crate) const TEMPLATE_KEYS: Rule = (
    "self.all(key, key.matches('^[-._a-zA-Z0-9]{1,253}$') && key != '.' && !key.startsWith('..'))",
    "a key of templates is a key of the Secret: it consists of letters, digits, -, _ and ., has at most 253 characters, and \
     does not start with ..",
);

/// Key of a Secret that contains the result of a template.
pub(crate) const KEY_OVERRIDE: Rule = (
    "self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && !self.startsWith('..')",
    "keyOverride must be a key of a Secret: it consists of letters, digits, -, _ and ., and does not start with ..",
);

/// Keys of labels and annotations.
pub(crate) const KEYS: Rule = (
    "self.all(key, !format.qualifiedName().validate(key).hasValue())",
    "keys of labels and annotations consist of an optional prefix (a DNS name and /) and a name of at most 63 letters, \
     digits, -, _ and .",
);

/// Values of labels.
pub(crate) const LABEL_VALUES: Rule = (
    "self.all(key, !format.labelValue().validate(self[key]).hasValue())",
    "a value of a label has at most 63 letters, digits, -, _ and ., and starts and ends with a letter or digit",
);

/// Labels and annotations of a Secret: the keys of Kubernetes and of Steamer are reserved, because controllers act on them.
pub(crate) const SECRET_KEYS: Rule = (
    "self.all(key, !key.matches('^([^/]*[.])?(kubernetes[.]io|k8s[.]io|steamer[.]dev)/') || (key.startsWith('app.kubernetes.io/') && key != 'app.kubernetes.io/managed-by'))",
    "keys with the prefixes kubernetes.io, k8s.io, steamer.dev and their subdomains are reserved; of app.kubernetes.io, \
     only managed-by is",
);

/// Labels and annotations of objects of a managed cluster: controllers of Kubernetes read theirs, and Steamer sets its own.
pub(crate) const CLUSTER_KEYS: Rule = (
    "self.all(key, !key.matches('^([^/]*[.])?steamer[.]dev/') && !(key in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'openbao-active']))",
    "Steamer sets steamer.dev/*, app.kubernetes.io/name, app.kubernetes.io/instance and openbao-active itself: remove them",
);

/// Returns true if Kubernetes accepts a text as the value of a label.
#[must_use]
pub fn is_label_value(text: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        && is_end(bytes.first())
        && is_end(bytes.last())
}

/// Returns the first key of labels or annotations that [`SECRET_KEYS`] reserves.
#[must_use]
pub fn reserved_key(labels_or_annotations: &BTreeMap<String, String>) -> Option<&str> {
    labels_or_annotations.keys().map(String::as_str).find(|key| is_reserved(key))
}

fn is_reserved(key: &str) -> bool {
    let Some((prefix, name)) = key.split_once('/') else {
        return false;
    };
    let below = |domain: &str| {
        prefix.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    let reserved = ["kubernetes.io", "k8s.io", "steamer.dev"].into_iter().any(below);
    reserved && (prefix != "app.kubernetes.io" || name == "managed-by")
}

/// Returns true for a type that [`SECRET_TYPE`] refuses.
#[must_use]
pub fn is_reserved_type(secret_type: &str) -> bool {
    ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"].contains(&secret_type)
        || secret_type.starts_with("helm.sh/")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("app", false)]
    #[case("example.com/app", false)]
    #[case("app.kubernetes.io/name", false)]
    #[case("app.kubernetes.io/managed-by", true)]
    #[case("kubernetes.io/service-account.name", true)]
    #[case("x.app.kubernetes.io/name", true)]
    #[case("k8s.io/x", true)]
    #[case("a.b.k8s.io/x", true)]
    #[case("notk8s.io/x", false)]
    #[case("k8s.io.example.com/x", false)]
    #[case("steamer.dev/cluster", true)]
    #[case("steamer.dev/owner", true)]
    #[case("x.steamer.dev/y", true)]
    fn keys_of_kubernetes_and_steamer_are_reserved(#[case] key: &str, #[case] reserved: bool) {
        let found = BTreeMap::from([("a".to_owned(), String::new()), (key.to_owned(), String::new())]);
        assert_eq!(reserved_key(&found), reserved.then_some(key));
    }
}
