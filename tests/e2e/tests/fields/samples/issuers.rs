//! PKIIssuer and PKIRole.

use serde_json::{Value, json};

use super::{Part, Row, Sample, fixed, issued, place, row};

/// An issuer comes before those that it signs, and before its roles.
pub fn samples() -> Vec<Sample> {
    vec![issuer(), intermediate(), role()]
}

/// The rows of the contents of a certificate.
fn contents([name, organization, unit, country]: [&'static str; 4], further: [Row; 5]) -> Vec<Row> {
    let mut rows = vec![
        issued(organization, "certificate#/subject/O", json!("Example")),
        issued(unit, "certificate#/subject/OU", json!("IT")),
        issued(country, "certificate#/subject/C", json!("DE")),
    ];
    rows.extend(further);
    let common_name = if name.starts_with("root") { "Fields CA" } else { "Fields Child" };
    rows.push(issued(name, "certificate#/subject/CN", json!(common_name)));
    rows
}

/// The contents of a certificate in a spec.
fn certificate(common_name: &str, (ttl, max_path_length): (&str, u8)) -> Value {
    json!({
        "commonName": common_name, "organization": ["Example"], "organizationalUnit": ["IT"], "country": ["DE"],
        "keyType": "rsa", "keyBits": 3072, "ttl": ttl, "maxPathLength": max_path_length, "parameters": {"locality": ["Berlin"]},
    })
}

fn issuer() -> Sample {
    let mut rows = vec![
        place("mount"),
        place("issuerName"),
        row(
            "urls.issuingCertificates",
            "/issuing_certificates",
            json!(["http://a/ca"]),
            json!({"issuing_certificates": []}),
        ),
        row(
            "urls.crlDistributionPoints",
            "/crl_distribution_points",
            json!(["http://a/crl"]),
            json!({"crl_distribution_points": ["http://b/crl"]}),
        ),
        row("urls.ocspServers", "/ocsp_servers", json!(["http://a/ocsp"]), json!({"ocsp_servers": []})),
        row(
            "parameters",
            "/leaf_not_after_behavior",
            json!("truncate"),
            json!({"leaf_not_after_behavior": "permit"}),
        ),
    ];
    rows.extend(contents(
        ["root.commonName", "root.organization", "root.organizationalUnit", "root.country"],
        [
            issued("root.keyType", "certificate#/keyType", json!("rsa")),
            issued("root.keyBits", "certificate#/keyBits", json!(3072)),
            issued("root.ttl", "certificate#/hours", json!(700)),
            issued("root.maxPathLength", "certificate#/maxPathLength", json!(3)),
            issued("root.parameters", "certificate#/subject/L", json!("Berlin")),
        ],
    ));
    let crl = vec![
        row("crl.expiry", "/expiry", json!("172800s"), json!({"expiry": "24h"})),
        row("crl.autoRebuild", "/auto_rebuild", json!(true), json!({"auto_rebuild": false})),
        row("crl.parameters", "/ocsp_expiry", json!("1h"), json!({"ocsp_expiry": "2h"})),
    ];
    let spec = json!({
        "mount": "pki", "issuerName": "f-issuer-named", "deletionPolicy": "Delete",
        "root": certificate("Fields CA", ("700h", 3)),
        "urls": {
            "issuingCertificates": ["http://a/ca"], "crlDistributionPoints": ["http://a/crl"], "ocspServers": ["http://a/ocsp"],
        },
        "parameters": {"leaf_not_after_behavior": "truncate"},
        "crl": {"expiry": "48h", "autoRebuild": true, "parameters": {"ocsp_expiry": "1h"}},
    });
    let parts = vec![
        Part { method: "PATCH", ..Part::at("pki/issuer/f-issuer-named", json!({}), rows) },
        Part::at("pki/config/crl", json!({}), crl),
    ];
    Sample { kind: "PKIIssuer", name: "f-issuer", spec, parts }
}

/// An authority that `f-issuer` signs.
fn intermediate() -> Sample {
    let mut rows = contents(
        [
            "intermediate.commonName",
            "intermediate.organization",
            "intermediate.organizationalUnit",
            "intermediate.country",
        ],
        [
            issued("intermediate.keyType", "certificate#/keyType", json!("rsa")),
            issued("intermediate.keyBits", "certificate#/keyBits", json!(3072)),
            issued("intermediate.ttl", "certificate#/hours", json!(600)),
            issued("intermediate.maxPathLength", "certificate#/maxPathLength", json!(1)),
            issued("intermediate.parameters", "certificate#/subject/L", json!("Berlin")),
        ],
    );
    rows.push(issued("intermediate.parentRef.name", "certificate#/issuer/CN", json!("Fields CA")));
    let mut authority = certificate("Fields Child", ("600h", 1));
    authority["parentRef"] = json!({"name": "f-issuer"});
    let spec = json!({"mount": "pki", "deletionPolicy": "Delete", "intermediate": authority});
    let parts = vec![Part::at("pki/issuer/f-intermediate", json!({}), rows)];
    Sample { kind: "PKIIssuer", name: "f-intermediate", spec, parts }
}

/// Field, parameter, value, value after a change by hand, and value after the field is removed.
type Parameter = (&'static str, &'static str, Value, Value, Value);

fn parameters() -> Vec<Parameter> {
    let usages = ["DigitalSignature", "KeyAgreement", "KeyEncipherment"];
    let other_names = json!(["1.3.6.1.4.1.311.20.2.3;utf8:*"]);
    vec![
        ("allowedDomains", "/allowed_domains", json!(["example.com"]), json!(["example.org"]), json!([])),
        ("allowBareDomains", "/allow_bare_domains", json!(true), json!(false), json!(false)),
        ("allowSubdomains", "/allow_subdomains", json!(true), json!(false), json!(false)),
        ("allowGlobDomains", "/allow_glob_domains", json!(true), json!(false), json!(false)),
        ("allowAnyName", "/allow_any_name", json!(true), json!(false), json!(false)),
        ("enforceHostnames", "/enforce_hostnames", json!(false), json!(true), json!(true)),
        ("allowIPSANs", "/allow_ip_sans", json!(false), json!(true), json!(true)),
        ("allowedURISANs", "/allowed_uri_sans", json!(["spiffe://a/*"]), json!([]), json!([])),
        ("allowedOtherSANs", "/allowed_other_sans", other_names, json!([]), json!([])),
        ("serverFlag", "/server_flag", json!(false), json!(true), json!(true)),
        ("clientFlag", "/client_flag", json!(false), json!(true), json!(true)),
        ("keyBits", "/key_bits", json!(384), json!(256), json!(256)),
        ("keyUsage", "/key_usage", json!(["CertSign"]), json!(["KeyAgreement"]), json!(usages)),
        ("extKeyUsage", "/ext_key_usage", json!(["CodeSigning"]), json!([]), json!([])),
        ("ttl", "/ttl", json!(63_072_000), json!("1h"), json!(0)),
        ("maxTTL", "/max_ttl", json!(315_360_000), json!("20000h"), json!(0)),
        ("noStore", "/no_store", json!(true), json!(false), json!(false)),
        ("requireCN", "/require_cn", json!(false), json!(true), json!(true)),
    ]
}

fn role() -> Sample {
    let mut needed = json!({"key_type": "ec", "issuer_ref": "f-issuer-named"});
    let mut rows = vec![
        place("mount"),
        place("name"),
        fixed("issuerRef", "/issuer_ref", json!("f-issuer-named")).resets(json!("default")),
    ];
    for (field, pointer, value, other, default) in parameters() {
        needed[&pointer[1..]] = value.clone();
        rows.push(row(field, pointer, value, json!({&pointer[1..]: other})).resets(default));
    }
    needed["not_before_duration"] = json!(90);
    rows.push(row("parameters", "/not_before_duration", json!(90), json!({"not_before_duration": 60})));
    // After the length, which is none of RSA.
    rows.push(fixed("keyType", "/key_type", json!("ec")).resets(json!("rsa")));
    let spec = json!({
        "mount": "pki", "name": "f-role-named", "allowedDomains": ["example.com"], "allowBareDomains": true,
        "allowSubdomains": true, "allowGlobDomains": true, "allowAnyName": true, "enforceHostnames": false, "allowIPSANs": false,
        "allowedURISANs": ["spiffe://a/*"], "allowedOtherSANs": ["1.3.6.1.4.1.311.20.2.3;utf8:*"], "serverFlag": false,
        "clientFlag": false, "keyType": "ec", "keyBits": 384, "keyUsage": ["CertSign"], "extKeyUsage": ["CodeSigning"],
        "ttl": "17520h", "maxTTL": "87600h", "issuerRef": "f-issuer-named", "noStore": true, "requireCN": false,
        "parameters": {"not_before_duration": 90},
    });
    Sample {
        kind: "PKIRole",
        name: "f-role",
        spec,
        parts: vec![Part::at("pki/roles/f-role-named", needed, rows)],
    }
}
