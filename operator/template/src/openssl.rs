//! Functions for certificates, keys and keystores have the results of OpenSSL. `golden/keys.sh` writes the files.

use rstest::rstest;

use crate::{Limits, Template, decode};

fn render(text: &str) -> Result<String, String> {
    let data = decode(include_bytes!("../golden/keys.json")).unwrap();
    let template = Template::parse("t", text).map_err(|error| error.to_string())?;
    template.render(&data, &Limits::default()).map_err(|error| error.to_string())
}

#[rstest]
#[case::rsa("jwkPrivateKeyPem .jwkRsa", ".pkcs8")]
#[case::rsa_with_computed_parameters("jwkPrivateKeyPem .jwkRsaShort", ".pkcs8")]
#[case::rsa_public("jwkPublicKeyPem .jwkRsaPublic", "jwkPublicKeyPem .jwkRsa")]
#[case::ec("jwkPrivateKeyPem .jwkEc", ".ecPkcs8")]
#[case::ec_public("jwkPublicKeyPem .jwkEcPublic", "jwkPublicKeyPem .jwkEc")]
#[case::ed25519("jwkPrivateKeyPem .jwkEd", ".ed")]
#[case::ed25519_public("jwkPublicKeyPem .jwkEdPublic", "jwkPublicKeyPem .jwkEd")]
#[case::sha1(r#"rsaDecrypt "RSA-OAEP" "SHA1" (b64dec .sha1) .rsa"#, r#""decrypted""#)]
#[case::sha256(r#".pkcs8 | rsaDecrypt "RSA-OAEP" "SHA256" (b64dec .sha256)"#, r#""decrypted""#)]
#[case::sha512(r#"rsaDecrypt "RSA-OAEP" "SHA512" (b64dec .sha512) .rsa"#, r#""decrypted""#)]
#[case::no_scheme(r#"rsaDecrypt "None" "" "text" "no key""#, r#""text""#)]
#[case::key(r#".modern | b64dec | pkcs12keyPass "pässword""#, ".pkcs8")]
#[case::former_ciphers(r#".legacy | b64dec | pkcs12keyPass "pässword""#, ".pkcs8")]
#[case::no_password(".nopass | b64dec | pkcs12key", ".ecPkcs8")]
#[case::one_certificate(".nopass | b64dec | pkcs12cert", ".root")]
#[case::certificates(r#".legacy | b64dec | pkcs12certPass "pässword""#, "print .leaf .intermediate")]
#[case::written_key(
    r#"fullPemToPkcs12Pass (print .leaf .intermediate .root) .rsa "x" | b64dec | pkcs12keyPass "x""#,
    ".pkcs8"
)]
#[case::written_ec_key("pemToPkcs12 .root .ec | b64dec | pkcs12key | contains \"PRIVATE KEY\"", "true")]
#[case::written_chain(
    r#"fullPemToPkcs12 (print .leaf .root .intermediate) .pkcs8 | b64dec | pkcs12cert"#,
    "print .leaf .intermediate .root"
)]
#[case::written_certificate(
    r#"pemToPkcs12Pass (print .leaf .root) .rsa "x" | b64dec | pkcs12certPass "x""#,
    ".leaf"
)]
#[case::written_authorities(
    r#"pemTruststoreToPKCS12Pass (print .intermediate .root) "x" | b64dec | pkcs12certPass "x""#,
    "print .intermediate .root"
)]
#[case::leaf(r#"filterCertChain "leaf" (print .root .leaf .intermediate)"#, ".leaf")]
#[case::intermediate(r#"filterCertChain "intermediate" (print .root .leaf .intermediate)"#, ".intermediate")]
#[case::root(r#"filterCertChain "root" (print .root .leaf .intermediate)"#, ".root")]
#[case::no_root(r#"filterCertChain "root" (print .leaf .intermediate)"#, r#""""#)]
#[case::a_root_is_no_leaf(r#"filterCertChain "leaf" .root"#, r#""""#)]
fn a_function_has_the_result_of_openssl(#[case] found: &str, #[case] expected: &str) {
    let of = |action: &str| render(&format!("{{{{ {action} }}}}"));
    assert_eq!(of(found).unwrap(), of(expected).unwrap());
}

#[rstest]
#[case(r#"pkcs12keyPass "cAnArY" (b64dec .modern)"#, "the password of the PKCS #12 file is wrong")]
#[case(r#"pkcs12key .modern"#, "not a PKCS #12 file")]
#[case(r#"pkcs12key (pemTruststoreToPKCS12 .root | b64dec)"#, "contains no private key")]
#[case(r#"pemToPkcs12 .root "cAnArY""#, "not a private key in PEM")]
#[case(r#"pemToPkcs12 .rsa .rsa"#, "is not a certificate")]
#[case(r#"filterCertChain "leaf" (print .leaf .root)"#, "exactly one leaf")]
#[case(r#"filterCertChain "leaf" (print .leaf .leaf)"#, "exactly one leaf")]
#[case(r#"filterCertChain "leaf" "cAnArY""#, "1 to 100 certificates")]
#[case(r#"jwkPrivateKeyPem .jwkEcPublic"#, "not a JSON Web Key")]
#[case(r#"jwkPublicKeyPem "{\"kty\":\"oct\",\"k\":\"cAnArY\"}""#, "not a JSON Web Key")]
#[case(r#"rsaDecrypt "RSA-OAEP" "SHA256" (b64dec .sha1) .rsa"#, "cannot be decrypted")]
#[case(r#"rsaDecrypt "RSA-OAEP" "SHA256" "cAnArY" .ec"#, "cannot be decrypted")]
#[case(r#"rsaDecrypt "RSA" "SHA256" "cAnArY" .rsa"#, "must be None or RSA-OAEP")]
#[case(r#"fromYaml "cAnArY: [""#, "not a mapping")]
fn an_error_names_the_mistake_and_no_value(#[case] action: &str, #[case] expected: &str) {
    let error = render(&format!("{{{{ $x := {action} }}}}")).unwrap_err();
    let message = error.rsplit_once("}}: ").map_or(&error[..], |(_, message)| message);
    assert!(message.contains(expected) && !message.contains("cAnArY"), "{error}");
}

#[test]
fn a_keystore_does_not_change_with_each_rendering_and_differs_between_objects() {
    let of = |seed: &str| {
        let data = decode(include_bytes!("../golden/keys.json")).unwrap();
        let template = Template::parse("t", r#"{{ pemToPkcs12Pass .leaf .rsa "x" }}"#).unwrap();
        template.render(&data, &Limits { seed: seed.into(), ..Limits::default() }).unwrap()
    };
    assert_eq!(of("a"), of("a"));
    assert_ne!(of("a"), of("b"));
}
