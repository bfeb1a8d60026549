//! SecretStores and ClusterSecretStores of External Secrets Operator: logins, connections and conditions.

use rstest::rstest;
use serde_json::{Value, json};

use super::examples::{STORE, of_kind, reviews, run, spec_of};
use crate::Conversion;

/// A SecretStore with a provider and its fields.
fn store(provider: &str, fields: &str) -> Conversion {
    run(&format!(
        "{{apiVersion: external-secrets.io/v1, kind: SecretStore, metadata: {{name: bao, namespace: web}}, spec: {{provider: {{{provider}: {{server: 'https://bao:8200', path: kv, {fields}}}}}}}}}"
    ))
}

/// What to do about a field.
fn action(conversion: &Conversion, field: &str) -> String {
    let found = conversion.report.findings.iter().find(|finding| finding.field == field);
    found.map(|finding| finding.action.clone()).unwrap_or_default()
}

#[rstest]
#[case::header_of_steamer(
    "forwardInconsistent: true",
    "forwardInconsistent",
    "Steamer sends X-Vault-Inconsistent"
)]
#[case::leader("readYourWrites: true", "readYourWrites", "Steamer reads from the leader")]
#[case::method(
    "auth: {other: {a: b}}",
    "auth.other.a",
    "Steamer does not have this setting of the auth method"
)]
fn a_field_has_the_same_advice_in_each_provider(
    #[case] fields: &str,
    #[case] field: &str,
    #[case] expected: &str,
    #[values("vault", "openbao")] provider: &str,
) {
    let conversion = store(provider, fields);
    let action = action(&conversion, &format!("spec.provider.{provider}.{field}"));
    assert!(action.starts_with(expected), "{action}: {}", conversion.report);
}

#[rstest]
#[case::vault("vault", "mountPath: k8s", json!("k8s"))]
#[case::openbao("openbao", "path: k8s", json!("k8s"))]
#[case::default("openbao", "serviceAccountRef: {name: sa}", Value::Null)]
fn the_mount_of_kubernetes_auth_is_converted(
    #[case] provider: &str,
    #[case] fields: &str,
    #[case] expected: Value,
) {
    let conversion = store(provider, &format!("auth: {{kubernetes: {{role: r, {fields}}}}}"));
    assert_eq!(of_kind(&conversion, "BaoAuth")["spec"]["mount"], expected, "{}", conversion.report);
    assert_eq!(action(&conversion, &format!("spec.provider.{provider}.auth.kubernetes.path")), "");
}

/// External Secrets Operator requests a token with the audiences of both fields.
#[rstest]
#[case::both("audiences: [b, a], serviceAccountRef: {name: sa, audiences: [a]}", json!(["a", "b"]))]
#[case::account("serviceAccountRef: {name: sa, audiences: [a]}", json!(["a", "vault"]))]
#[case::account_alone("audiences: [], serviceAccountRef: {name: sa, audiences: [a]}", json!(["a"]))]
#[case::token("audiences: [b], serviceAccountRef: {name: sa}", json!(["b"]))]
#[case::default("serviceAccountRef: {name: sa}", json!(["vault"]))]
fn the_audiences_of_a_jwt_are_those_of_both_fields(#[case] token: &str, #[case] expected: Value) {
    let conversion =
        store("vault", &format!("auth: {{jwt: {{role: r, kubernetesServiceAccountToken: {{{token}}}}}}}"));
    let jwt = &of_kind(&conversion, "BaoAuth")["spec"]["jwt"];
    assert_eq!(jwt, &json!({"role": "r", "serviceAccount": "sa", "audiences": expected}));
    assert_eq!(reviews(&conversion), Vec::<String>::new());
}

#[test]
fn a_stored_jwt_replaces_the_service_account() {
    let conversion = store(
        "vault",
        "auth: {jwt: {role: r, secretRef: {name: s, key: jwt}, kubernetesServiceAccountToken: {serviceAccountRef: {name: sa}}}}",
    );
    assert_eq!(of_kind(&conversion, "BaoAuth")["spec"]["jwt"], json!({"role": "r", "secretRef": "s"}));
    let field = "spec.provider.vault.auth.jwt.kubernetesServiceAccountToken";
    assert!(action(&conversion, field).starts_with("External Secrets Operator uses secretRef"));
}

#[rstest]
#[case::keys("certSecretRef: {name: c, key: tls.crt}, keySecretRef: {name: c, key: tls.key}", json!("c"))]
#[case::default_keys("certSecretRef: {name: c}, keySecretRef: {name: c}", json!("c"))]
#[case::empty_key("certSecretRef: {name: c, key: ''}, keySecretRef: {name: c}", json!("c"))]
#[case::another_key("certSecretRef: {name: c, key: cert.pem}, keySecretRef: {name: c}", Value::Null)]
#[case::two_secrets("certSecretRef: {name: c}, keySecretRef: {name: k}", Value::Null)]
fn a_client_certificate_is_converted_with_the_default_keys(#[case] tls: &str, #[case] expected: Value) {
    let conversion = store("vault", &format!("tls: {{{tls}}}"));
    assert_eq!(of_kind(&conversion, "BaoConnection")["spec"]["clientCertSecretRef"], expected);
    let reported = reviews(&conversion).iter().any(|it| it.contains("spec.provider.vault.tls"));
    assert_eq!(reported, expected.is_null(), "{}", conversion.report);
}

/// The fields to review, below the auth method.
fn reviewed(conversion: &Conversion, method: &str) -> Vec<String> {
    let start = format!("SecretStore web/bao spec.provider.vault.auth.{method}");
    reviews(conversion).iter().map(|it| it.strip_prefix(&start).unwrap_or(it).to_owned()).collect()
}

#[rstest]
#[case::service_account(
    "region: eu-west-1, vaultAwsIamServerID: id, jwt: {serviceAccountRef: {name: sa}}",
    json!({"role": "r", "region": "eu-west-1", "headerValue": "id", "irsaServiceAccount": "sa"}),
    &[]
)]
#[case::default_region(
    "region: us-east-1, jwt: {serviceAccountRef: {name: sa}}",
    json!({"role": "r", "irsaServiceAccount": "sa"}),
    &[]
)]
#[case::access_key(
    "secretRef: {accessKeyIDSecretRef: {name: k, key: access_key_id}, secretAccessKeySecretRef: {name: k, key: secret_access_key}}",
    json!({"role": "r", "secretRef": "k"}),
    &[]
)]
#[case::access_key_in_other_keys(
    "secretRef: {accessKeyIDSecretRef: {name: k, key: id}, secretAccessKeySecretRef: {name: k, key: secret}}",
    json!({"role": "r", "secretRef": "k"}),
    &[".secretRef.accessKeyIDSecretRef.key", ".secretRef.secretAccessKeySecretRef.key"]
)]
#[case::access_key_in_two_secrets(
    "secretRef: {accessKeyIDSecretRef: {name: k}, secretAccessKeySecretRef: {name: l}}",
    json!({"role": "r"}),
    &[".secretRef.accessKeyIDSecretRef.name", ".secretRef.secretAccessKeySecretRef.name"]
)]
#[case::service_account_and_access_key(
    "jwt: {serviceAccountRef: {name: sa}}, secretRef: {accessKeyIDSecretRef: {name: k}}",
    json!({"role": "r", "irsaServiceAccount": "sa"}),
    &[".secretRef"]
)]
#[case::assumed_role(
    "jwt: {serviceAccountRef: {name: sa, audiences: [a]}}, role: arn, externalID: e",
    json!({"role": "r", "irsaServiceAccount": "sa"}),
    &[".externalID", ".jwt.serviceAccountRef.audiences", ".role"]
)]
#[case::identity_of_the_pod("region: eu-west-1", json!({"role": "r", "region": "eu-west-1"}), &[""])]
fn an_aws_login_is_converted(#[case] fields: &str, #[case] expected: Value, #[case] review: &[&str]) {
    let conversion = store("vault", &format!("auth: {{iam: {{path: amazon, vaultRole: r, {fields}}}}}"));
    let login = &of_kind(&conversion, "BaoAuth")["spec"];
    assert_eq!((&login["method"], &login["mount"]), (&json!("AWS"), &json!("amazon")));
    assert_eq!(login["aws"], expected);
    assert_eq!(reviewed(&conversion, "iam"), review, "{}", conversion.report);
}

#[rstest]
#[case::workload_identity(
    "workloadIdentity: {clusterLocation: l, clusterName: c, clusterProjectID: p, serviceAccountRef: {name: sa}}",
    json!({"role": "r", "region": "l", "clusterName": "c", "projectID": "p", "workloadIdentityServiceAccount": "sa"}),
    &[]
)]
#[case::cluster_of_the_metadata_server(
    "workloadIdentity: {clusterName: c, clusterProjectID: p, serviceAccountRef: {name: sa, audiences: [a]}}",
    json!({"role": "r", "clusterName": "c", "projectID": "p", "workloadIdentityServiceAccount": "sa"}),
    &[".workloadIdentity.clusterLocation", ".workloadIdentity.serviceAccountRef.audiences"]
)]
#[case::key(
    "projectID: p, location: l, secretRef: {secretAccessKeySecretRef: {name: k}}",
    json!({"role": "r"}),
    &[".location", ".projectID", ".secretRef.secretAccessKeySecretRef.name"]
)]
#[case::service_account_of_the_pod("serviceAccountRef: {name: sa}", json!({"role": "r"}), &[".serviceAccountRef.name"])]
#[case::identity_of_the_pod("path: google", json!({"role": "r"}), &[""])]
fn a_google_login_is_converted(#[case] fields: &str, #[case] expected: Value, #[case] review: &[&str]) {
    let conversion = store("vault", &format!("auth: {{gcp: {{role: r, {fields}}}}}"));
    let login = &of_kind(&conversion, "BaoAuth")["spec"];
    assert_eq!((&login["method"], &login["gcp"]), (&json!("GCP"), &expected));
    assert_eq!(reviewed(&conversion, "gcp"), review, "{}", conversion.report);
}

#[test]
fn a_service_account_must_consent_to_tokens_for_a_cloud_provider() {
    let conversion = store("vault", "auth: {iam: {vaultRole: r, jwt: {serviceAccountRef: {name: sa}}}}");
    let action = action(&conversion, "spec.provider.vault.auth.iam.jwt.serviceAccountRef.name");
    assert!(action.contains("steamer.dev/cloud-audiences with sts.amazonaws.com"), "{action}");
}

#[test]
fn a_cloud_login_of_a_cluster_store_belongs_to_the_namespace_of_the_operator() {
    let conversion = run(
        "{apiVersion: external-secrets.io/v1, kind: ClusterSecretStore, metadata: {name: s}, spec: {provider: {vault: {server: 'https://bao:8200', auth: {iam: {vaultRole: r, jwt: {serviceAccountRef: {name: sa}}}}}}}}",
    );
    let action = action(&conversion, "spec.provider.vault.auth.iam");
    assert!(action.contains("--store-namespace"), "{}", conversion.report);
}

#[rstest]
#[case::no_conditions("[]", json!({"from": "All"}), &[])]
#[case::one_name("[{namespaces: [web]}]", selected(&json!({"kubernetes.io/metadata.name": "web"})), &[])]
#[case::one_name_besides_the_own(
    "[{namespaces: [web]}, {namespaces: [web, steamer-system]}]",
    selected(&json!({"kubernetes.io/metadata.name": "web"})),
    &[]
)]
#[case::own_name("[{namespaces: [steamer-system]}]", Value::Null, &[])]
#[case::no_namespace("[{}]", Value::Null, &[])]
#[case::labels("[{namespaceSelector: {matchLabels: {team: web}}}]", selected(&json!({"team": "web"})), &[])]
#[case::value_of_an_expression(
    "[{namespaceSelector: {matchLabels: {team: web}, matchExpressions: [{key: tier, operator: In, values: ['1']}]}}]",
    selected(&json!({"team": "web", "tier": "1"})),
    &[]
)]
#[case::empty_selector("[{namespaces: [a]}, {namespaceSelector: {}}]", json!({"from": "All"}), &[])]
#[case::expression_that_all_names_match("[{namespaceRegexes: ['.*']}]", json!({"from": "All"}), &[])]
#[case::two_names("[{namespaces: [a, b]}]", Value::Null, &["[0].namespaces"])]
#[case::selector_beside_names(
    "[{namespaceSelector: {matchLabels: {team: web}}, namespaces: [a], namespaceRegexes: ['^b-']}]",
    selected(&json!({"team": "web"})),
    &["[0].namespaceRegexes", "[0].namespaces"]
)]
#[case::two_selectors(
    "[{namespaceSelector: {matchLabels: {a: b}}}, {namespaceSelector: {matchLabels: {c: d}}}]",
    Value::Null,
    &["[0].namespaceSelector.matchLabels", "[1].namespaceSelector.matchLabels"]
)]
#[case::operator(
    "[{namespaceSelector: {matchExpressions: [{key: a, operator: Exists}]}}]",
    Value::Null,
    &["[0].namespaceSelector.matchExpressions[0].key", "[0].namespaceSelector.matchExpressions[0].operator"]
)]
#[case::another_type("all", Value::Null, &[""])]
fn conditions_become_one_set_of_labels(
    #[case] conditions: &str,
    #[case] expected: Value,
    #[case] review: &[&str],
) {
    let conversion = run(&format!(
        "{{apiVersion: external-secrets.io/v1, kind: ClusterSecretStore, metadata: {{name: s}}, spec: {{conditions: {conditions}, provider: {{vault: {{server: 'https://bao:8200', auth: {{tokenSecretRef: {{name: t}}}}}}}}}}}}"
    ));
    assert_eq!(of_kind(&conversion, "BaoAuth")["spec"]["allowedNamespaces"], expected);
    let start = "ClusterSecretStore s spec.conditions";
    let found: Vec<String> =
        reviews(&conversion).iter().map(|it| it.strip_prefix(start).unwrap_or(it).to_owned()).collect();
    assert_eq!(found, review, "{}", conversion.report);
}

fn selected(labels: &Value) -> Value {
    json!({"from": "Selector", "selector": {"matchLabels": labels}})
}

#[rstest]
#[case::names("[{namespaces: [a, b]}]", "namespaces", "has no list of names")]
#[case::expressions("[{namespaceRegexes: [a]}]", "namespaceRegexes", "has no expressions for names")]
#[case::labels(
    "[{namespaceSelector: {matchLabels: {a: b}}}, {namespaceSelector: {matchLabels: {c: d}}}]",
    "namespaceSelector.matchLabels",
    "has one set of labels"
)]
#[case::operators(
    "[{namespaceSelector: {matchExpressions: [{key: a, operator: Exists}]}}]",
    "namespaceSelector.matchExpressions[0].key",
    "has no other operators"
)]
fn a_condition_that_is_not_converted_has_its_reason(
    #[case] conditions: &str,
    #[case] field: &str,
    #[case] expected: &str,
) {
    let conversion = run(&format!(
        "{{apiVersion: external-secrets.io/v1, kind: ClusterSecretStore, metadata: {{name: s}}, spec: {{conditions: {conditions}, provider: {{vault: {{server: 'https://bao:8200'}}}}}}}}"
    ));
    let action = action(&conversion, &format!("spec.conditions[0].{field}"));
    assert!(action.contains(expected), "{action}: {}", conversion.report);
}

/// Kubernetes sets the label with the name on each namespace.
#[rstest]
#[case::one("namespaceSelector: {}", json!({"namespaceSelector": every_namespace()}))]
#[case::no_labels("namespaceSelector: {matchLabels: {}}", json!({"namespaceSelector": every_namespace()}))]
#[case::several(
    "namespaceSelectors: [{matchLabels: {a: b}}, {}]",
    json!({"namespaceSelectors": [{"matchLabels": {"a": "b"}}, every_namespace()]})
)]
fn an_empty_selector_still_selects_all_namespaces(#[case] selectors: &str, #[case] expected: Value) {
    let store = STORE.replace("SecretStore", "ClusterSecretStore").replace(", namespace: web", "");
    let (spec, reviews) = spec_of(
        &format!(
            "{store}{{apiVersion: external-secrets.io/v1, kind: ClusterExternalSecret, metadata: {{name: all}}, spec: {{{selectors}, externalSecretSpec: {{secretStoreRef: {{name: bao, kind: ClusterSecretStore}}, dataFrom: [{{extract: {{key: app}}}}]}}}}}}"
        ),
        "ClusterBaoStaticSecret",
    );
    for field in ["namespaceSelector", "namespaceSelectors"] {
        assert_eq!(spec.get(field), expected.get(field), "{spec}");
    }
    assert!(reviews.iter().all(|it| !it.starts_with("ClusterExternalSecret")), "{reviews:?}");
}

fn every_namespace() -> Value {
    json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]})
}
