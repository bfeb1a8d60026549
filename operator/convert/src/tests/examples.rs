//! Examples with their exact results.

use rstest::rstest;
use serde_json::{Value, json};

use crate::{Conversion, Settings, Severity, convert, objects};

pub(super) const STORE: &str = "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: bao, namespace: web}\nspec: {provider: {vault: {server: 'https://bao:8200', path: kv, auth: {tokenSecretRef: {name: t}}}}}\n---\n";

pub(super) fn run(text: &str) -> Conversion {
    convert(objects(text).unwrap(), &Settings::default())
}

pub(super) fn of_kind(conversion: &Conversion, kind: &str) -> Value {
    conversion.objects.iter().find(|object| object["kind"] == kind).cloned().unwrap_or_default()
}

pub(super) fn reviews(conversion: &Conversion) -> Vec<String> {
    let reviews = conversion.report.findings.iter().filter(|finding| finding.severity == Severity::Review);
    reviews.map(|finding| format!("{} {}", finding.object, finding.field)).collect()
}

fn static_secret(spec: &str) -> Conversion {
    run(&format!(
        "apiVersion: secrets.hashicorp.com/v1beta1\nkind: VaultStaticSecret\nmetadata: {{name: app, namespace: web}}\nspec: {spec}\n"
    ))
}

#[test]
fn a_static_secret_takes_over_its_secret_with_the_key_raw() {
    let conversion = static_secret(
        "{vaultAuthRef: ops/web, mount: kv, path: app, type: kv-v2, refreshAfter: 30s, hmacSecretData: true, \
         rolloutRestartTargets: [{kind: Deployment, name: web}], destination: {name: s, create: true, labels: {a: b}}}",
    );
    let expected = json!({
        "apiVersion": "steamer.dev/v1alpha1", "kind": "BaoStaticSecret", "metadata": {"name": "app", "namespace": "web"},
        "spec": {
            "authRef": {"name": "web", "namespace": "ops"}, "mount": "kv", "path": "app", "type": "kv-v2", "refreshAfter": "30s",
            "rolloutRestartTargets": [{"kind": "Deployment", "name": "web"}],
            "destination": {
                "name": "s", "create": true, "overwrite": true, "labels": {"a": "b"}, "transformation": {"excludeRaw": false},
            },
        },
    });
    assert_eq!(conversion.objects, [expected]);
    assert!(!conversion.report.needs_review(), "{}", conversion.report);
}

#[rstest]
#[case::default("", false, json!({"excludeRaw": false}))]
#[case::excluded(", transformation: {excludeRaw: true}", false, Value::Null)]
#[case::excluded_globally("", true, Value::Null)]
#[case::with_filters(", transformation: {includes: [a]}", false, json!({"includes": ["a"], "excludeRaw": false}))]
fn the_key_raw_is_written_where_the_former_operator_wrote_it(
    #[case] transformation: &str,
    #[case] exclude_raw: bool,
    #[case] expected: Value,
) {
    let text = format!(
        "{{apiVersion: secrets.hashicorp.com/v1beta1, kind: VaultStaticSecret, metadata: {{name: a}}, spec: {{mount: kv, path: a, type: kv-v2, destination: {{name: a, create: true{transformation}}}}}}}"
    );
    let conversion = convert(objects(&text).unwrap(), &Settings { exclude_raw, ..Settings::default() });
    assert_eq!(conversion.objects[0]["spec"]["destination"]["transformation"], expected);
}

#[rstest]
#[case::name("web", json!({"name": "web"}))]
#[case::own_namespace("web/a", json!({"name": "a"}))]
#[case::other_namespace("ops/a", json!({"name": "a", "namespace": "ops"}))]
#[case::default("''", json!({"name": "default", "namespace": "vault-secrets-operator-system"}))]
fn a_reference_keeps_its_target(#[case] reference: &str, #[case] expected: Value) {
    let conversion = static_secret(&format!(
        "{{vaultAuthRef: {reference}, mount: kv, path: app, type: kv-v2, destination: {{name: s, create: true}}}}"
    ));
    assert_eq!(conversion.objects[0]["spec"]["authRef"], expected);
}

#[rstest]
#[case::all("['*']", json!({"from": "All"}), 0)]
#[case::none("[]", Value::Null, 0)]
#[case::own("[web]", Value::Null, 0)]
#[case::one("[web, shop]", json!({"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}), 0)]
#[case::several("[a, b]", Value::Null, 1)]
#[case::asterisk_among_others("['*', b]", Value::Null, 1)]
fn allowed_namespaces_become_a_selector(#[case] names: &str, #[case] expected: Value, #[case] count: usize) {
    let conversion = run(&format!(
        "{{apiVersion: secrets.hashicorp.com/v1beta1, kind: VaultAuth, metadata: {{name: a, namespace: web}}, spec: {{method: kubernetes, kubernetes: {{role: r, serviceAccount: s, audiences: [o]}}, allowedNamespaces: {names}}}}}"
    ));
    assert_eq!(of_kind(&conversion, "BaoAuth")["spec"]["allowedNamespaces"], expected);
    assert_eq!(reviews(&conversion).len(), count, "{}", conversion.report);
}

#[test]
fn a_connection_allows_the_namespaces_that_refer_to_it() {
    let conversion = run(
        "{apiVersion: secrets.hashicorp.com/v1beta1, kind: VaultConnection, metadata: {name: c, namespace: ops}, spec: {address: 'http://vault:8200/'}}\n---\n\
         {apiVersion: secrets.hashicorp.com/v1beta1, kind: VaultAuth, metadata: {name: a, namespace: web}, spec: {vaultConnectionRef: ops/c, method: kubernetes, kubernetes: {role: r, serviceAccount: s}}}\n",
    );
    let spec = &of_kind(&conversion, "BaoConnection")["spec"];
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": "web"}});
    assert_eq!(spec["allowedNamespaces"], json!({"from": "Selector", "selector": selector}));
    assert_eq!((&spec["address"], &spec["allowPlaintext"]), (&json!("http://vault:8200"), &json!(true)));
    let expected = ["VaultConnection ops/c spec.address", "VaultAuth web/a spec.kubernetes.audiences"];
    assert_eq!(reviews(&conversion), expected, "{}", conversion.report);
}

fn external_secret(spec: &str) -> Conversion {
    run(&format!(
        "{STORE}apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{name: app, namespace: web}}\nspec: {{secretStoreRef: {{name: bao}}, {spec}}}\n"
    ))
}

#[rstest]
#[case::one_path(
    "dataFrom: [{extract: {key: app}}]",
    json!({"mount": "kv", "path": "app", "type": "kv-v2"})
)]
#[case::keys(
    "data: [{secretKey: a, remoteRef: {key: app, property: x}}, {secretKey: b, remoteRef: {key: app, property: b}}, {secretKey: c, remoteRef: {key: db, property: c, version: '2'}}]",
    json!({"sources": [
        {"mount": "kv", "path": "app", "type": "kv-v2", "keys": [{"key": "x", "name": "a"}, {"key": "b"}]},
        {"mount": "kv", "path": "db", "type": "kv-v2", "version": 2, "keys": [{"key": "c"}]},
    ]})
)]
#[case::prefix(
    "dataFrom: [{extract: {key: app}, rewrite: [{regexp: {source: '(.*)', target: 'APP_$1'}}]}]",
    json!({"sources": [{"mount": "kv", "path": "app", "type": "kv-v2", "prefix": "APP_"}]})
)]
#[case::decoded(
    "dataFrom: [{extract: {key: app, decodingStrategy: Auto}}], data: [{secretKey: a, remoteRef: {key: app, property: x, decodingStrategy: Base64URL}}]",
    json!({"sources": [
        {"mount": "kv", "path": "app", "type": "kv-v2", "keys": [{"key": "x", "name": "a", "decode": "Base64URL"}]},
        {"mount": "kv", "path": "app", "type": "kv-v2", "decode": "Auto"},
    ]})
)]
#[case::rewritten(
    "dataFrom: [{extract: {key: app}, rewrite: [{regexp: {source: '^DB_', target: ''}}, {regexp: {source: '-', target: _}}]}]",
    json!({"sources": [{
        "mount": "kv", "path": "app", "type": "kv-v2",
        "rewrite": [{"source": "^DB_", "target": ""}, {"source": "-", "target": "_"}],
    }]})
)]
#[case::rewritten_by_a_template(
    "dataFrom: [{extract: {key: app}, rewrite: [{regexp: {source: '^', target: db-}}, {transform: {template: '{{ .value | upper }}'}}]}]",
    json!({"sources": [{
        "mount": "kv", "path": "app", "type": "kv-v2",
        "rewrite": [{"source": "^", "target": "db-"}, {"template": "{{ .value | upper }}"}],
    }]})
)]
#[case::sync_windows(
    "syncWindows: {kind: deny, windows: [{schedule: '0 2 * * MON-FRI', duration: 1h}, {schedule: '@daily', duration: 90m}]}, dataFrom: [{extract: {key: app}}]",
    json!({
        "mount": "kv", "path": "app", "type": "kv-v2",
        "syncWindows": [
            {"kind": "Deny", "schedule": "0 2 * * MON-FRI", "duration": "1h"},
            {"kind": "Deny", "schedule": "@daily", "duration": "90m"},
        ],
    })
)]
#[case::found_by_name(
    "dataFrom: [{find: {name: {regexp: '^db-'}, conversionStrategy: Default}}]",
    json!({"sources": [{"mount": "kv", "type": "kv-v2", "find": {"regexp": "^db-"}}]})
)]
#[case::found_by_path(
    "dataFrom: [{find: {path: teams/a, name: {regexp: '.*'}}, rewrite: [{regexp: {source: /, target: .}}]}]",
    json!({"sources": [{
        "mount": "kv", "type": "kv-v2", "find": {"path": "teams/a"},
        "rewrite": [{"source": "^", "target": "teams/a/"}, {"source": "/", "target": "."}],
    }]})
)]
#[case::found_by_path_and_name(
    "dataFrom: [{find: {path: teams/, name: {regexp: '^teams/db.*$'}}}]",
    json!({"sources": [{
        "mount": "kv", "type": "kv-v2", "find": {"path": "teams", "regexp": "^db.*$"},
        "rewrite": [{"source": "^", "target": "teams/"}],
    }]})
)]
#[case::found_by_tags(
    "dataFrom: [{find: {tags: {team: a}}}]",
    json!({"sources": [{"mount": "kv", "type": "kv-v2", "find": {"metadata": {"team": "a"}}}]})
)]
fn entries_become_sources(#[case] entries: &str, #[case] expected: Value) {
    let conversion = external_secret(&format!("refreshInterval: 5m, {entries}"));
    let mut wanted = json!({
        "authRef": {"name": "bao"}, "refreshAfter": "5m", "destination": {"name": "app", "create": true, "overwrite": true},
    });
    wanted.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
    assert_eq!(of_kind(&conversion, "BaoStaticSecret")["spec"], wanted, "{}", conversion.report);
    assert!(reviews(&conversion).iter().all(|it| !it.starts_with("ExternalSecret")), "{}", conversion.report);
}

#[rstest]
#[case::generator(
    "data: [{secretKey: a, remoteRef: {key: app, property: x}}, {secretKey: b, sourceRef: {generatorRef: {kind: Password, name: p}}, remoteRef: {key: x}}]"
)]
#[case::find_by_an_expression_for_complete_paths(
    "dataFrom: [{extract: {key: app}}, {find: {path: teams, name: {regexp: db}}}]"
)]
#[case::find_with_a_decoding(
    "dataFrom: [{extract: {key: app}}, {find: {path: teams, decodingStrategy: Base64}}]"
)]
#[case::nested_value_with_another_encoding(
    "dataFrom: [{extract: {key: app}}], data: [{secretKey: a, remoteRef: {key: app, property: x.y, decodingStrategy: Auto}}]"
)]
#[case::another_store(
    "dataFrom: [{extract: {key: app}}, {sourceRef: {storeRef: {name: other}}, extract: {key: app}}]"
)]
#[case::rewrite("dataFrom: [{extract: {key: app}, rewrite: [{merge: {strategy: JSON, into: x}}]}]")]
#[case::rewrite_with_an_unknown_function(
    "dataFrom: [{extract: {key: app}, rewrite: [{transform: {template: '{{ .value | unknownFunction }}'}}]}]"
)]
#[case::sync_window_with_another_schedule(
    "dataFrom: [{extract: {key: app}}], syncWindows: {kind: allow, windows: [{schedule: '@every 1h', duration: 1m}]}"
)]
#[case::sync_windows_of_another_kind(
    "dataFrom: [{extract: {key: app}}], syncWindows: {kind: other, windows: [{schedule: '@daily', duration: 1m}]}"
)]
#[case::template_function_of_a_label(
    "dataFrom: [{extract: {key: app}}], target: {template: {metadata: {labels: {a: '{{ .x | unknownFunction }}'}}}}"
)]
#[case::template_of_labels(
    "dataFrom: [{extract: {key: app}}], target: {template: {templateFrom: [{target: Labels, literal: '{{ .x }}'}]}}"
)]
#[case::template_function(
    "dataFrom: [{extract: {key: app}}], target: {template: {data: {a: '{{ .x | unknownFunction }}'}}}"
)]
#[case::template_root("dataFrom: [{extract: {key: app}}], target: {template: {data: {a: '{{ $.x }}'}}}")]
#[case::template_of_a_config_map(
    "dataFrom: [{extract: {key: app}}], target: {template: {templateFrom: [{configMap: {name: c, items: [{key: k}]}}]}}"
)]
#[case::whole_value_and_a_key(
    "data: [{secretKey: a, remoteRef: {key: app}}, {secretKey: b, remoteRef: {key: app, property: x}}]"
)]
fn a_part_without_counterpart_suspends_the_converted_object(#[case] spec: &str) {
    let conversion = external_secret(spec);
    assert_eq!(of_kind(&conversion, "BaoStaticSecret")["spec"]["suspend"], true, "{}", conversion.report);
    assert!(conversion.report.needs_review());
    assert!(
        conversion.report.to_string().contains("suspend: true until you have done so"),
        "{}",
        conversion.report
    );
}

#[test]
fn templates_keep_their_input() {
    let conversion = external_secret(
        "data: [{secretKey: user, remoteRef: {key: app, property: u}}], target: {template: {type: x/y, data: {url: 'https://{{ .user }}'}}}",
    );
    let destination = &of_kind(&conversion, "BaoStaticSecret")["spec"]["destination"];
    assert_eq!(destination["type"], "x/y");
    let expected = json!({
        "excludes": [".*"], "templates": {"url": {"text": "{{ with .Secrets }}https://{{ .user }}{{ end }}"}},
    });
    assert_eq!(destination["transformation"], expected);
}

#[rstest]
#[case::labels_and_annotations(
    "metadata: {labels: {app: web, user: '{{ .u }}'}, annotations: {note: 'by {{ .u }}'}}",
    json!({
        "name": "app", "create": true, "overwrite": true, "labels": {"app": "web"},
        "transformation": {
            "labels": {"user": "{{ with .Secrets }}{{ .u }}{{ end }}"},
            "annotations": {"note": "{{ with .Secrets }}by {{ .u }}{{ end }}"},
        },
    })
)]
#[case::keys_and_values(
    "templateFrom: [{target: Data, literal: 'a: {{ .u }}'}]",
    json!({
        "name": "app", "create": true, "overwrite": true,
        "transformation": {"keysAndValues": [{"text": "{{ with .Secrets }}a: {{ .u }}{{ end }}"}], "excludes": [".*"]},
    })
)]
#[case::merged(
    "mergePolicy: Merge, data: {b: '{{ .u }}'}, templateFrom: [{literal: 'a: {{ .u }}'}]",
    json!({
        "name": "app", "create": true, "overwrite": true,
        "transformation": {
            "templates": {"b": {"text": "{{ with .Secrets }}{{ .u }}{{ end }}"}},
            "keysAndValues": [{"text": "{{ with .Secrets }}a: {{ .u }}{{ end }}"}],
        },
    })
)]
fn templates_of_the_target_are_converted(#[case] template: &str, #[case] expected: Value) {
    let conversion = external_secret(&format!(
        "dataFrom: [{{extract: {{key: app}}}}], target: {{template: {{{template}}}}}"
    ));
    let spec = &of_kind(&conversion, "BaoStaticSecret")["spec"];
    assert_eq!(spec["destination"], expected, "{}", conversion.report);
    assert_eq!(spec.get("suspend"), None, "{}", conversion.report);
}

#[rstest]
#[case::whole("remoteRef: {key: app}", json!({"excludes": [".*"], "templates": {"a": {"text": "{{ toJson .Secrets }}"}}}))]
#[case::decoded("remoteRef: {key: app, property: x.y, decodingStrategy: Base64}", json!({"templates": {"a": {"text": "{{ index .Secrets \"a\" \"y\" | b64dec }}"}}}))]
#[case::nested("remoteRef: {key: app, property: x.y}", json!({"templates": {"a": {"text": "{{ index .Secrets \"a\" \"y\" }}"}}}))]
fn values_that_need_a_template_get_one(#[case] remote: &str, #[case] expected: Value) {
    let conversion = external_secret(&format!("data: [{{secretKey: a, {remote}}}]"));
    let spec = &of_kind(&conversion, "BaoStaticSecret")["spec"];
    assert_eq!(spec["destination"]["transformation"], expected, "{}", conversion.report);
    assert_eq!(spec.get("suspend"), None, "{}", conversion.report);
}

#[test]
fn an_external_secret_without_its_store_is_not_converted() {
    let conversion = run(
        "{apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {name: a, namespace: web}, spec: {secretStoreRef: {name: bao}, dataFrom: [{extract: {key: a}}]}}",
    );
    assert_eq!(conversion.objects, Vec::<Value>::new());
    assert!(conversion.report.needs_review());
}

#[test]
fn a_cluster_store_serves_the_namespaces_of_its_condition() {
    let conversion = run(
        "{apiVersion: external-secrets.io/v1, kind: ClusterSecretStore, metadata: {name: s}, spec: {conditions: [{namespaces: [web]}], provider: {vault: {server: 'https://bao:8200', path: kv, caBundle: YQ==, auth: {kubernetes: {mountPath: k8s, role: r, serviceAccountRef: {name: sa, audiences: [openbao]}}}}}}}\n---\n\
         {apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {name: a, namespace: web}, spec: {secretStoreRef: {name: s, kind: ClusterSecretStore}, dataFrom: [{extract: {key: a}}]}}",
    );
    let login = of_kind(&conversion, "BaoAuth");
    assert_eq!(login["metadata"], json!({"name": "s", "namespace": "steamer-system"}));
    let expected = json!({
        "connectionRef": {"name": "s"}, "method": "Kubernetes", "mount": "k8s",
        "kubernetes": {"role": "r", "serviceAccount": "sa", "audiences": ["openbao"]},
        "allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": "web"}}},
    });
    assert_eq!(login["spec"], expected);
    let authority = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s-ca", "namespace": "steamer-system"}, "data": {"ca.crt": "YQ=="},
    });
    assert_eq!(of_kind(&conversion, "Secret"), authority);
    assert_eq!(of_kind(&conversion, "BaoConnection")["spec"]["caCertSecretRef"], "s-ca");
    assert_eq!(
        of_kind(&conversion, "BaoStaticSecret")["spec"]["authRef"],
        json!({"name": "s", "namespace": "steamer-system"})
    );
    assert!(!conversion.report.needs_review(), "{}", conversion.report);
}

#[test]
fn two_objects_of_one_name_are_reported() {
    let conversion = run(&format!(
        "{STORE}{}",
        "{apiVersion: secrets.hashicorp.com/v1beta1, kind: VaultConnection, metadata: {name: bao, namespace: web}, spec: {address: 'https://vault:8200'}}"
    ));
    assert_eq!(conversion.objects.iter().filter(|object| object["kind"] == "BaoConnection").count(), 1);
    assert_eq!(
        reviews(&conversion).last().map(String::as_str),
        Some("VaultConnection web/bao metadata.name")
    );
}

#[test]
fn other_objects_are_skipped_and_do_not_need_a_review() {
    let conversion = run("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: canary}}");
    assert!(!conversion.report.needs_review());
    assert_eq!(conversion.report.findings.len(), 1);
    assert!(run("{apiVersion: generators.external-secrets.io/v1alpha1, kind: Password, metadata: {name: a}, spec: {length: 8}}").report.needs_review());
}

/// The specs that a text becomes, also of kinds that this version does not have.
pub(super) fn spec_of(text: &str, kind: &str) -> (Value, Vec<String>) {
    let conversion = crate::conversion::convert_for(objects(text).unwrap(), &Settings::default(), |_| true);
    (of_kind(&conversion, kind)["spec"].clone(), reviews(&conversion))
}

#[test]
fn an_external_secret_for_namespaces_becomes_a_template() {
    let store = STORE.replace("SecretStore", "ClusterSecretStore").replace(", namespace: web", "");
    let (spec, reviews) = spec_of(
        &format!(
            "{store}{{apiVersion: external-secrets.io/v1, kind: ClusterExternalSecret, metadata: {{name: all}}, spec: {{externalSecretName: app, namespaceSelectors: [{{matchLabels: {{a: b}}}}], externalSecretSpec: {{secretStoreRef: {{name: bao, kind: ClusterSecretStore}}, dataFrom: [{{extract: {{key: app}}}}]}}}}}}"
        ),
        "ClusterBaoStaticSecret",
    );
    let inner = json!({
        "authRef": {"name": "bao", "namespace": "steamer-system"}, "mount": "kv", "path": "app", "type": "kv-v2",
        "refreshAfter": spec["template"]["spec"]["refreshAfter"],
        "destination": {"name": "app", "create": true, "overwrite": true},
    });
    let expected = json!({
        "namespaceSelectors": [{"matchLabels": {"a": "b"}}],
        "template": {"metadata": {"name": "app"}, "spec": inner},
    });
    assert_eq!(spec, expected);
    assert!(reviews.iter().all(|it| !it.starts_with("ClusterExternalSecret")), "{reviews:?}");
}

#[rstest]
#[case::one_secret("{name: tls, key: tls.crt}", &[])]
#[case::another_key("{name: tls, key: cert.pem}", &["SecretStore web/bao spec.provider.vault.auth.cert.clientCert"])]
#[case::two_secrets("{name: other, key: tls.crt}", &["SecretStore web/bao spec.provider.vault.auth.cert.clientCert"])]
fn a_client_certificate_is_read_from_the_secret_of_its_key(
    #[case] certificate: &str,
    #[case] expected: &[&str],
) {
    let (spec, reviews) = spec_of(
        &format!(
            "{{apiVersion: external-secrets.io/v1, kind: SecretStore, metadata: {{name: bao, namespace: web}}, spec: {{provider: {{vault: {{server: 'https://bao:8200', path: kv, auth: {{cert: {{vaultRole: r, clientCert: {certificate}, secretRef: {{name: tls, key: tls.key}}}}}}}}}}}}}}"
        ),
        "BaoAuth",
    );
    assert_eq!(spec["cert"], json!({"role": "r", "secretRef": "tls"}));
    assert_eq!(reviews, expected);
}

#[rstest]
#[case::all_keys("{remoteKey: all, match: {regexp: .*}}", Some(json!([{"mount": "kv", "path": "all", "type": "kv-v2"}])))]
#[case::some_keys("{remoteKey: all, match: {regexp: a}}", Some(json!([{"mount": "kv", "path": "all", "type": "kv-v2", "match": "a"}])))]
#[case::renamed(
    "{remoteKey: all, match: {regexp: ^DB_}, rewrite: [{regexp: {source: ^DB_, target: ''}}, {transform: {template: '{{ .value | lower }}'}}]}",
    Some(json!([{
        "mount": "kv", "path": "all", "type": "kv-v2", "match": "^DB_",
        "rewrite": [{"source": "^DB_", "target": ""}, {"template": "{{ .value | lower }}"}],
    }]))
)]
#[case::another_rule("{remoteKey: all, rewrite: [{merge: {strategy: JSON}}]}", None)]
#[case::metadata("{remoteKey: all, metadata: {a: b}}", None)]
#[case::one_entry_for_each_key("{storeRef: {name: bao}}", None)]
fn all_keys_of_a_secret_are_pushed_to_one_entry(#[case] item: &str, #[case] expected: Option<Value>) {
    let (spec, _) = spec_of(
        &format!(
            "{STORE}{{apiVersion: external-secrets.io/v1alpha1, kind: PushSecret, metadata: {{name: p, namespace: web}}, spec: {{refreshInterval: 1m, secretStoreRefs: [{{name: bao}}], selector: {{secret: {{name: s}}}}, dataTo: [{item}]}}}}"
        ),
        "BaoPushSecret",
    );
    assert_eq!(spec.get("suspend").is_some(), expected.is_none(), "{spec}");
    assert_eq!(spec["data"], expected.unwrap_or(json!([])));
}

/// External Secrets Operator writes all selected Secrets to one path.
#[test]
fn a_selector_of_secrets_is_kept_and_must_be_reviewed() {
    let (spec, reviews) = spec_of(
        &format!(
            "{STORE}{{apiVersion: external-secrets.io/v1alpha1, kind: PushSecret, metadata: {{name: p, namespace: web}}, spec: {{refreshInterval: 1m, secretStoreRefs: [{{name: bao}}], selector: {{secret: {{selector: {{matchLabels: {{push: 'yes'}}}}}}}}, data: [{{match: {{remoteRef: {{remoteKey: all}}}}}}]}}}}"
        ),
        "BaoPushSecret",
    );
    assert_eq!(spec["selector"], json!({"matchLabels": {"push": "yes"}}));
    assert_eq!((&spec["suspend"], spec.get("secretRef")), (&json!(true), None));
    assert_eq!(reviews, ["PushSecret web/p spec.selector.secret.selector"]);
}

pub(super) fn push_secret(spec: &str) -> (Value, Vec<String>) {
    let text = format!(
        "{STORE}{{apiVersion: external-secrets.io/v1alpha1, kind: PushSecret, metadata: {{name: p, namespace: web}}, spec: {{refreshInterval: 1h, secretStoreRefs: [{{name: bao}}], {spec}}}}}"
    );
    spec_of(&text, "BaoPushSecret")
}

#[test]
fn the_template_of_a_pushed_secret_becomes_its_transformation() {
    let (spec, reviews) = push_secret(
        "selector: {secret: {name: s}}, template: {type: Opaque, data: {url: 'https://{{ .user }}'}, templateFrom: [{literal: 'a: {{ .user }}'}]}, data: [{match: {remoteRef: {remoteKey: app}}}]",
    );
    let expected = json!({
        "templates": {"url": {"text": "{{ with .Secrets }}https://{{ .user }}{{ end }}"}},
        "keysAndValues": [{"text": "{{ with .Secrets }}a: {{ .user }}{{ end }}"}],
    });
    assert_eq!((&spec["transformation"], spec.get("suspend")), (&expected, None));
    assert_eq!(reviews, ["PushSecret web/p spec.template.type"]);
}

#[test]
fn a_template_of_a_config_map_suspends_the_pushed_secret() {
    let (spec, _) = push_secret(
        "selector: {secret: {name: s}}, template: {templateFrom: [{configMap: {name: c, items: [{key: k}]}}]}, data: [{match: {remoteRef: {remoteKey: app}}}]",
    );
    assert_eq!((&spec["suspend"], spec.get("transformation")), (&json!(true), None));
}

#[rstest]
#[case::uuid("kind: UUID, name: u", "secretKey: uuid, remoteRef: {remoteKey: app, property: id}", Some(json!({"uuid": {}})))]
#[case::password_that_is_not_in_the_input(
    "kind: Password, name: p",
    "secretKey: password, remoteRef: {remoteKey: app, property: id}",
    None
)]
#[case::another_key(
    "kind: UUID, name: u",
    "secretKey: other, remoteRef: {remoteKey: app, property: id}",
    None
)]
#[case::no_property("kind: UUID, name: u", "secretKey: uuid, remoteRef: {remoteKey: app}", None)]
#[case::another_generator(
    "kind: Fake, name: f",
    "secretKey: uuid, remoteRef: {remoteKey: app, property: id}",
    None
)]
fn a_generator_becomes_a_part_of_its_item(
    #[case] generator: &str,
    #[case] item: &str,
    #[case] expected: Option<Value>,
) {
    let reference = "apiVersion: generators.external-secrets.io/v1alpha1";
    let (spec, _) = push_secret(&format!(
        "selector: {{generatorRef: {{{reference}, {generator}}}}}, data: [{{match: {{{item}}}}}]"
    ));
    assert_eq!(spec.get("suspend").is_some(), expected.is_none(), "{spec}");
    assert_eq!(spec["data"][0].get("generate"), expected.as_ref(), "{spec}");
    // External Secrets Operator pushes another value at each refresh.
    assert_eq!(spec["data"][0].get("rotateAfter"), expected.map(|_| json!("1h")).as_ref(), "{spec}");
}

#[test]
fn a_password_has_the_settings_of_its_generator() {
    let generator = "---\n{apiVersion: generators.external-secrets.io/v1alpha1, kind: Password, metadata: {name: p, namespace: web}, spec: {length: 40, digits: 5, symbols: 0, noUpper: true}}";
    let text = format!(
        "{STORE}{{apiVersion: external-secrets.io/v1alpha1, kind: PushSecret, metadata: {{name: p, namespace: web}}, spec: {{updatePolicy: IfNotExists, secretStoreRefs: [{{name: bao}}], selector: {{generatorRef: {{kind: Password, name: p}}}}, data: [{{match: {{secretKey: password, remoteRef: {{remoteKey: app, property: token}}}}}}]}}}}\n{generator}"
    );
    let (spec, reviews) = spec_of(&text, "BaoPushSecret");
    let item = &spec["data"][0];
    let password = &item["generate"]["password"];
    assert_eq!(
        (&password["length"], &password["minDigits"], &password["minUppercase"]),
        (&json!(40), &json!(5), &json!(0))
    );
    assert_eq!((&item["property"], item.get("key"), item.get("rotateAfter")), (&json!("token"), None, None));
    assert!(reviews.iter().all(|it| !it.starts_with("PushSecret")), "{reviews:?}");
}

#[rstest]
#[case::password("Password", "password", ", property: id", "note: converted: generate in an item of data")]
#[case::uuid("UUID", "uuid", ", property: id", "note: converted: generate in an item of data")]
#[case::not_converted(
    "UUID",
    "uuid",
    "",
    "review: a generator is a part of the object that uses it: write generate"
)]
fn a_generator_is_to_be_written_only_if_it_is_not_converted(
    #[case] kind: &str,
    #[case] key: &str,
    #[case] property: &str,
    #[case] expected: &str,
) {
    let conversion = run(&format!(
        "{STORE}{{apiVersion: external-secrets.io/v1alpha1, kind: PushSecret, metadata: {{name: p, namespace: web}}, spec: {{updatePolicy: IfNotExists, secretStoreRefs: [{{name: bao}}], selector: {{generatorRef: {{kind: {kind}, name: g}}}}, data: [{{match: {{secretKey: {key}, remoteRef: {{remoteKey: app{property}}}}}}}]}}}}\n---\n{{apiVersion: generators.external-secrets.io/v1alpha1, kind: {kind}, metadata: {{name: g, namespace: web}}, spec: {{}}}}"
    ));
    let object = format!("{kind} web/g");
    let found: Vec<String> = conversion
        .report
        .findings
        .iter()
        .filter(|finding| finding.object == object)
        .map(ToString::to_string)
        .collect();
    assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
}
