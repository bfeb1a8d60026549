//! Auth methods of a store.

use serde_json::{Value, json};

use super::cloud;
use super::credentials::{named_secret, secret, unused};
use crate::consents;
use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::task::Task;

/// Moves one method of a store.
type Method = fn(&mut Task<'_>, &mut Cursor, &mut Draft);

/// Audience that External Secrets Operator adds to a token of method JWT without `audiences`.
const AUDIENCE: &str = "vault";

/// Field of the store, method of Steamer, and how its settings are moved.
const METHODS: &[(&str, &str, Method)] = &[
    ("kubernetes", "Kubernetes", kubernetes),
    ("jwt", "JWT", jwt),
    ("appRole", "AppRole", app_role),
    ("tokenSecretRef", "Token", token),
    ("userPass", "UserPass", user_pass),
    ("ldap", "LDAP", ldap),
    ("cert", "Cert", cert),
    ("iam", "AWS", cloud::aws),
    ("gcp", "GCP", cloud::gcp),
];

/// Moves the method of a store. Returns false if it has none with a counterpart.
pub(super) fn moved(task: &mut Task<'_>, auth: &mut Cursor, login: &mut Draft) -> bool {
    // The namespace of the auth mount; that of the values is a field of the store.
    if auth.peek("namespace").is_some() {
        if login.get("namespace").is_some() {
            task.review(auth.path("namespace"), auth.peek("namespace"), "values are in another namespace than the auth mount: set namespace of the objects that refer to the store");
        }
        login.rename(auth, "namespace", "namespace");
    }
    let Some((field, method, moved)) = METHODS.iter().find(|(field, ..)| auth.has(field)) else {
        return false;
    };
    login.put("method", json!(method), auth.path(field));
    auth.within(field, |from| moved(task, from, login));
    let path = auth.path(field);
    let reference = if *field == "tokenSecretRef" { path } else { format!("{path}.secretRef") };
    for block in ["jwt", "appRole", "token", "userPass", "ldap", "cert", "aws", "gcp"] {
        consents::secret(task, login, block, reference.clone());
        consents::cloud(task, login, block);
    }
    true
}

fn kubernetes(task: &mut Task<'_>, from: &mut Cursor, login: &mut Draft) {
    let mount = if from.here().starts_with("spec.provider.openbao.") { "path" } else { "mountPath" };
    login.rename(from, mount, "mount");
    login.rename(from, "role", "kubernetes.role");
    account(task, from, login, "kubernetes");
}

fn jwt(task: &mut Task<'_>, from: &mut Cursor, login: &mut Draft) {
    login.rename(from, "path", "mount");
    login.rename(from, "role", "jwt.role");
    secret(task, from, login, ("secretRef", "jwt", "jwt.secretRef"));
    if login.get("jwt.secretRef").is_some() {
        unused(task, from, ("kubernetesServiceAccountToken", "secretRef"));
    }
    from.within("kubernetesServiceAccountToken", |from| {
        login.rename(from, "expirationSeconds", "jwt.tokenExpirationSeconds");
        account(task, from, login, "jwt");
        audiences(from, login);
    });
}

/// Adds the audiences of a token to those of its ServiceAccount, as External Secrets Operator does.
fn audiences(from: &mut Cursor, login: &mut Draft) {
    let path = from.path("audiences");
    let is_default = !from.has("audiences");
    let further =
        from.take_if("audiences", Value::is_array).or_else(|| is_default.then(|| json!([AUDIENCE])));
    let mut all = login.get("jwt.audiences").and_then(Value::as_array).cloned().unwrap_or_default();
    for audience in further.iter().filter_map(Value::as_array).flatten() {
        if !all.contains(audience) {
            all.push(audience.clone());
        }
    }
    if !all.is_empty() {
        login.put("jwt.audiences", all, path);
    }
}

fn app_role(task: &mut Task<'_>, from: &mut Cursor, login: &mut Draft) {
    login.rename(from, "path", "mount");
    login.rename(from, "roleId", "appRole.roleId");
    secret(task, from, login, ("secretRef", "id", "appRole.secretRef"));
}

fn token(task: &mut Task<'_>, from: &mut Cursor, login: &mut Draft) {
    named_secret(task, from, login, ("token", "token.secretRef"));
}

fn user_pass(task: &mut Task<'_>, from: &mut Cursor, login: &mut Draft) {
    login.rename(from, "path", "mount");
    login.rename(from, "username", "userPass.username");
    secret(task, from, login, ("secretRef", "password", "userPass.secretRef"));
}

fn ldap(task: &mut Task<'_>, from: &mut Cursor, login: &mut Draft) {
    login.rename(from, "path", "mount");
    login.rename(from, "username", "ldap.username");
    secret(task, from, login, ("secretRef", "password", "ldap.secretRef"));
}

fn cert(task: &mut Task<'_>, from: &mut Cursor, login: &mut Draft) {
    login.rename(from, "path", "mount");
    login.rename(from, "vaultRole", "cert.role");
    let certificate = from.take("clientCert");
    let is_with_key = |field: &str| {
        certificate
            .as_ref()
            .is_some_and(|it| from.peek("secretRef").is_some_and(|key| it[field] == key[field]))
    };
    let is_known = certificate.as_ref().is_none_or(|it| it["key"] == "tls.crt" || it["key"].is_null());
    // One Secret of type kubernetes.io/tls.
    if certificate.is_some() && !(is_with_key("name") && is_with_key("namespace") && is_known) {
        let text = "Steamer reads the certificate from the key tls.crt of the Secret with the private key: add it there";
        task.review(from.path("clientCert"), certificate.as_ref(), text);
    }
    secret(task, from, login, ("secretRef", "tls.key", "cert.secretRef"));
}

/// Moves a reference to a ServiceAccount.
fn account(task: &mut Task<'_>, from: &mut Cursor, login: &mut Draft, block: &str) {
    from.within("serviceAccountRef", |from| {
        login.rename(from, "name", &format!("{block}.serviceAccount"));
        if from.peek("audiences").is_some_and(Value::is_array) {
            login.rename(from, "audiences", &format!("{block}.audiences"));
        }
        if let Some(namespace) = from.take("namespace") {
            task.review(
                from.path("namespace"),
                Some(&namespace),
                "Steamer uses the ServiceAccount of this name in the namespace of each object that reads: create it there, and bind it to the role",
            );
        }
    });
}
