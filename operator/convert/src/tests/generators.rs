//! Generators of External Secrets Operator: what they become, and what is reported.

use rstest::rstest;
use serde_json::{Value, json};

use super::examples::{STORE, of_kind, reviews};
use crate::conversion::convert_for;
use crate::{Conversion, Settings, objects};

/// The findings about an object.
fn said(conversion: &Conversion, object: &str) -> Vec<String> {
    let about = conversion.report.findings.iter().filter(|finding| finding.object == object);
    about.map(ToString::to_string).collect()
}

fn any_kind(_: &str) -> bool {
    true
}

fn no_push_secret(kind: &str) -> bool {
    kind != "BaoPushSecret"
}

#[rstest]
#[case::written("first", any_kind, "note: converted")]
#[case::name_of_another_object(
    "second",
    any_kind,
    "review: a generator is a part of the object that uses it"
)]
#[case::kind_that_this_version_does_not_have(
    "first",
    no_push_secret,
    "review: a generator is a part of the object that uses it"
)]
fn a_generator_is_converted_only_if_its_object_is_written(
    #[case] place: &str,
    #[case] is_available: fn(&str) -> bool,
    #[case] expected: &str,
) {
    let push = |selector: &str| {
        format!(
            "---\n{{apiVersion: external-secrets.io/v1alpha1, kind: PushSecret, metadata: {{name: p, namespace: web}}, spec: {{updatePolicy: IfNotExists, secretStoreRefs: [{{name: bao}}], selector: {{{selector}}}, data: [{{match: {{secretKey: uuid, remoteRef: {{remoteKey: app, property: id}}}}}}]}}}}\n"
        )
    };
    let (with_generator, plain) = (push("generatorRef: {kind: UUID, name: u}"), push("secret: {name: s}"));
    let generator = "---\n{apiVersion: generators.external-secrets.io/v1alpha1, kind: UUID, metadata: {name: u, namespace: web}, spec: {}}\n";
    let both = if place == "first" { with_generator + &plain } else { plain + &with_generator };
    let input = objects(&format!("{STORE}{both}{generator}")).unwrap();
    let found = said(&convert_for(input, &Settings::default(), is_available), "UUID web/u");
    assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
}

/// The conversion of an SSHKey and of a PushSecret with some of its keys.
fn ssh_key(data: &str) -> Conversion {
    let text = format!(
        "{STORE}{{apiVersion: external-secrets.io/v1alpha1, kind: PushSecret, metadata: {{name: p, namespace: web}}, spec: {{refreshInterval: 1h, secretStoreRefs: [{{name: bao}}], selector: {{generatorRef: {{kind: SSHKey, name: k}}}}, data: [{data}]}}}}\n---\n{{apiVersion: generators.external-secrets.io/v1alpha1, kind: SSHKey, metadata: {{name: k, namespace: web}}, spec: {{keyType: ed25519, comment: c}}}}\n"
    );
    convert_for(objects(&text).unwrap(), &Settings::default(), any_kind)
}

const PRIVATE: &str = "{match: {secretKey: privateKey, remoteRef: {remoteKey: app, property: id}}}";

#[rstest]
#[case::pair("{match: {secretKey: publicKey, remoteRef: {remoteKey: app, property: id.pub}}}", Vec::new())]
#[case::private_key(
    "",
    vec!["note: spec.selector.generatorRef: Steamer also writes the public key, to the property with the suffix .pub".to_owned()]
)]
fn an_ssh_key_is_one_item(#[case] public: &str, #[case] expected: Vec<String>) {
    let conversion = ssh_key(&format!("{PRIVATE}, {public}"));
    let spec = &of_kind(&conversion, "BaoPushSecret")["spec"];
    let item = json!({
        "mount": "kv", "path": "app", "type": "kv-v2", "property": "id", "generate": {"sshKey": {"comment": "c"}}, "rotateAfter": "1h",
    });
    assert_eq!((&spec["data"], spec.get("suspend")), (&json!([item]), None), "{}", conversion.report);
    assert_eq!(said(&conversion, "PushSecret web/p"), expected);
    let generator = said(&conversion, "SSHKey web/k");
    assert!(generator.len() == 1 && generator[0].starts_with("note: converted"), "{generator:?}");
}

#[rstest]
#[case::another_property("{match: {secretKey: publicKey, remoteRef: {remoteKey: app, property: public}}}")]
#[case::another_path("{match: {secretKey: publicKey, remoteRef: {remoteKey: other, property: id.pub}}}")]
#[case::another_key("{match: {secretKey: comment, remoteRef: {remoteKey: app, property: id.pub}}}")]
#[case::all_keys("{match: {remoteRef: {remoteKey: app, property: id.pub}}}")]
fn an_ssh_key_with_other_items_must_be_written(#[case] other: &str) {
    let conversion = ssh_key(&format!("{PRIVATE}, {other}"));
    let spec = &of_kind(&conversion, "BaoPushSecret")["spec"];
    assert_eq!((&spec["suspend"], spec["data"][0].get("generate")), (&Value::Bool(true), None));
    let generator = said(&conversion, "SSHKey web/k");
    assert!(generator.len() == 1 && generator[0].starts_with("review: a generator"), "{generator:?}");
}

const PROVIDER: &str = "provider: {server: 'https://bao:8200', auth: {kubernetes: {mountPath: k8s, role: r, serviceAccountRef: {name: sa, audiences: [openbao]}}}}";
const GENERATOR: &str = "sourceRef: {generatorRef: {apiVersion: generators.external-secrets.io/v1alpha1, kind: VaultDynamicSecret, name: g}}";

/// The conversion of an ExternalSecret and of the generator of its credential.
fn credential(object: &str, generator: &str) -> Conversion {
    let text = format!(
        "{STORE}{{apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {{name: app, namespace: web}}, spec: {{{object}}}}}\n---\n{{apiVersion: generators.external-secrets.io/v1alpha1, kind: VaultDynamicSecret, metadata: {{name: g, namespace: web}}, spec: {{{PROVIDER}, {generator}}}}}\n"
    );
    convert_for(objects(&text).unwrap(), &Settings::default(), any_kind)
}

#[test]
fn a_credential_becomes_a_dynamic_secret_with_the_login_of_its_generator() {
    let conversion = credential(
        &format!(
            "refreshInterval: 30m, target: {{name: db, deletionPolicy: Retain, template: {{data: {{user: '{{{{ .username }}}}'}}}}}}, dataFrom: [{{{GENERATOR}}}]"
        ),
        "path: /database/creds/web, method: POST, parameters: {ttl: 1h}",
    );
    let secret = of_kind(&conversion, "BaoDynamicSecret");
    assert_eq!(secret["metadata"], json!({"name": "app", "namespace": "web"}));
    let transformation = json!({
        "templates": {"user": {"text": "{{ with .Secrets }}{{ .username }}{{ end }}"}}, "excludes": [".*"],
    });
    let expected = json!({
        "authRef": {"name": "g"}, "mount": "database", "path": "creds/web", "requestHTTPMethod": "POST",
        "params": {"ttl": "1h"}, "refreshAfter": "30m",
        "destination": {"name": "db", "create": true, "overwrite": true, "transformation": transformation},
    });
    assert_eq!(secret["spec"], expected);
    let login = conversion.objects.iter().find(|it| it["kind"] == "BaoAuth" && it["metadata"]["name"] == "g");
    let kubernetes = json!({"role": "r", "serviceAccount": "sa", "audiences": ["openbao"]});
    let expected = json!({
        "connectionRef": {"name": "g"}, "method": "Kubernetes", "mount": "k8s", "kubernetes": kubernetes,
    });
    assert_eq!(login.map(|login| &login["spec"]), Some(&expected));
    assert_eq!(reviews(&conversion), Vec::<String>::new(), "{}", conversion.report);
    let generator = said(&conversion, "VaultDynamicSecret web/g");
    assert!(
        generator.iter().any(|it| it.starts_with("note: converted: a BaoDynamicSecret")),
        "{generator:?}"
    );
}

#[rstest]
#[case::auth("path: auth/token/create, method: POST", "path must consist of")]
#[case::result_type("path: database/creds/web, resultType: Raw", "a BaoDynamicSecret writes the data")]
#[case::method("path: database/creds/web, method: LIST", "a BaoDynamicSecret sends GET")]
#[case::parameters(
    "path: a/b, method: POST, parameters: {a: {b: c}}",
    "params of a BaoDynamicSecret are texts"
)]
fn a_request_that_steamer_does_not_have_is_reported(#[case] generator: &str, #[case] reason: &str) {
    let conversion = credential(&format!("dataFrom: [{{{GENERATOR}}}]"), generator);
    assert_eq!(of_kind(&conversion, "BaoDynamicSecret"), Value::Null);
    let object = said(&conversion, "ExternalSecret web/app");
    let start = format!("review: spec.dataFrom[0].sourceRef.generatorRef: {reason}");
    assert!(object.len() == 1 && object[0].starts_with(&start), "{object:?}");
    let generator = said(&conversion, "VaultDynamicSecret web/g");
    assert!(generator.iter().any(|it| it.starts_with("review: no converted object")), "{generator:?}");
}

#[test]
fn a_credential_without_its_generator_is_not_converted() {
    let object = format!("dataFrom: [{{{}}}]", GENERATOR.replace("name: g", "name: other"));
    let conversion = credential(&object, "path: database/creds/web");
    assert_eq!(of_kind(&conversion, "BaoDynamicSecret"), Value::Null);
    assert!(
        said(&conversion, "ExternalSecret web/app")[0].contains("the generator is not part of the input")
    );
}

#[rstest]
#[case::names(", rewrite: [{regexp: {source: a, target: b}}]", "", "spec.dataFrom[0].rewrite")]
#[case::windows(
    "",
    ", syncWindows: {kind: deny, windows: [{schedule: '@daily', duration: 1h}]}",
    "spec.syncWindows"
)]
fn a_part_that_a_dynamic_secret_does_not_have_suspends_it(
    #[case] item: &str,
    #[case] rest: &str,
    #[case] field: &str,
) {
    let object = format!("dataFrom: [{{{GENERATOR}{item}}}]{rest}");
    let conversion = credential(&object, "path: database/creds/web");
    assert_eq!(of_kind(&conversion, "BaoDynamicSecret")["spec"]["suspend"], true);
    assert_eq!(reviews(&conversion), [format!("ExternalSecret web/app {field}")]);
}

/// The objects of a generator and of a store of its name would have the same names.
#[test]
fn a_credential_never_logs_in_as_the_store_with_the_name_of_its_generator() {
    let store = STORE.replace("name: bao,", "name: g,");
    let text = format!(
        "{store}{{apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {{name: app, namespace: web}}, spec: {{dataFrom: [{{{GENERATOR}}}]}}}}\n---\n{{apiVersion: generators.external-secrets.io/v1alpha1, kind: VaultDynamicSecret, metadata: {{name: g, namespace: web}}, spec: {{{PROVIDER}, path: database/creds/web}}}}\n"
    );
    let conversion = convert_for(objects(&text).unwrap(), &Settings::default(), any_kind);
    assert_eq!(of_kind(&conversion, "BaoDynamicSecret")["spec"]["suspend"], true);
    let object = said(&conversion, "ExternalSecret web/app");
    assert!(object.iter().any(|it| it.contains("rename the generator")), "{object:?}");
    let generator = said(&conversion, "VaultDynamicSecret web/g");
    assert!(generator.iter().any(|it| it.starts_with("review: no converted object")), "{generator:?}");
    let logins = conversion.objects.iter().filter(|it| it["kind"] == "BaoAuth").count();
    assert_eq!(logins, 1, "{}", conversion.report);
}

#[rstest]
#[case::periodic("refreshInterval: 30m, refreshPolicy: Periodic", json!("30m"), &[])]
#[case::default("target: {name: a}", json!("1h"), &[])]
#[case::never("refreshInterval: '0'", Value::Null, &[])]
#[case::once("refreshInterval: 30m, refreshPolicy: CreatedOnce", Value::Null, &["ExternalSecret web/app spec.refreshPolicy"])]
fn a_request_without_a_lease_is_repeated_as_before(
    #[case] refresh: &str,
    #[case] expected: Value,
    #[case] review: &[&str],
) {
    let object = format!("{refresh}, dataFrom: [{{{GENERATOR}}}]");
    let conversion = credential(&object, "path: pki/issue/web, method: PUT");
    assert_eq!(of_kind(&conversion, "BaoDynamicSecret")["spec"]["refreshAfter"], expected);
    assert_eq!(reviews(&conversion), review, "{}", conversion.report);
}

#[rstest]
#[case::parameters_of_a_read("path: a/b, parameters: {a: b}", "spec.parameters")]
#[case::empty_answers("path: a/b, allowEmptyResponse: true", "spec.allowEmptyResponse")]
fn a_setting_of_a_generator_without_effect_is_reported(#[case] generator: &str, #[case] field: &str) {
    let conversion = credential(&format!("dataFrom: [{{{GENERATOR}}}]"), generator);
    assert_eq!(reviews(&conversion), [format!("VaultDynamicSecret web/g {field}")]);
}

#[test]
fn a_generator_besides_other_entries_is_reported() {
    let object =
        format!("secretStoreRef: {{name: bao}}, dataFrom: [{{extract: {{key: a}}}}, {{{GENERATOR}}}]");
    let conversion = credential(&object, "path: database/creds/web");
    assert_eq!(of_kind(&conversion, "BaoStaticSecret")["spec"]["suspend"], true);
    let object = said(&conversion, "ExternalSecret web/app");
    assert!(object[0].contains("needs a BaoDynamicSecret of its own"), "{object:?}");
}

#[test]
fn a_lease_needs_another_method_than_a_token() {
    let text = format!(
        "{STORE}{{apiVersion: generators.external-secrets.io/v1alpha1, kind: VaultDynamicSecret, metadata: {{name: g, namespace: web}}, spec: {{path: a/b, provider: {{server: 'https://bao:8200', auth: {{tokenSecretRef: {{name: t}}}}}}}}}}"
    );
    let conversion = convert_for(objects(&text).unwrap(), &Settings::default(), any_kind);
    let expected =
        ["VaultDynamicSecret web/g spec.provider.auth.tokenSecretRef", "VaultDynamicSecret web/g "];
    assert_eq!(reviews(&conversion), expected, "{}", conversion.report);
}
