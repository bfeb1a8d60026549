//! AuthMethod of type `ldap`, which OpenBao 2.6 contains and OpenBao 2.7 does not. OpenBao contacts the directory at a login only,
//! and no test has a directory.

use std::time::SystemTime;

use anyhow::{Context, Result};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::AuthMethod;
use steamer_openbao::{Error, Session};
use steamer_testing::certificates::Authority;
use steamer_testing::objects::apply;
use steamer_testing::wait::eventually;

use crate::bao::Bao;

const CONFIG: &str = "auth/staff/config";

/// The configuration in OpenBao, with the CA of the directory. It does not return the password of `binddn`.
fn configuration(ca: &str) -> Value {
    json!({
        "url": "ldaps://ldap.example.com", "starttls": false, "binddn": "cn=openbao,dc=example,dc=com",
        "userdn": "ou=users,dc=example,dc=com", "userattr": "uid", "userfilter": "({{.UserAttr}}={{.Username}})",
        "groupdn": "ou=groups,dc=example,dc=com", "groupattr": "cn", "groupfilter": "(member={{.UserDN}})",
        "certificate": ca,
    })
}

/// The AuthMethod with that configuration, and the Secret with the password and the CA.
fn objects(namespace: &str, ca: &str) -> [Value; 2] {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "directory", "namespace": namespace},
        "stringData": {"password": "password of the directory", "directory.crt": ca},
    });
    let ldap = json!({
        "url": "ldaps://ldap.example.com", "startTLS": false, "bindDN": "cn=openbao,dc=example,dc=com",
        "bindPasswordSecretRef": {"name": "directory", "key": "password"}, "userDN": "ou=users,dc=example,dc=com",
        "userAttr": "uid", "userFilter": "({{.UserAttr}}={{.Username}})", "groupDN": "ou=groups,dc=example,dc=com",
        "groupAttr": "cn", "groupFilter": "(member={{.UserDN}})",
        "caSecretRef": {"name": "directory", "key": "directory.crt"},
    });
    let method = json!({
        "apiVersion": "steamer.dev/v1alpha1", "kind": "AuthMethod", "metadata": {"name": "staff", "namespace": namespace},
        "spec": {"clusterRef": {"name": "main"}, "type": "ldap", "ldap": ldap},
    });
    [secret, method]
}

/// Other values of the parameters.
fn drift(other_ca: &str) -> [Value; 11] {
    [
        json!({"url": "ldaps://evil.example.com"}),
        json!({"starttls": true}),
        json!({"binddn": "cn=evil"}),
        json!({"userdn": "ou=evil"}),
        json!({"userattr": "evil"}),
        json!({"userfilter": "(evil={{.Username}})"}),
        json!({"groupdn": "ou=evil"}),
        json!({"groupattr": "evil"}),
        json!({"groupfilter": "(evil={{.UserDN}})"}),
        json!({"certificate": other_ca}),
        json!({"certificate": ""}),
    ]
}

/// Waits until OpenBao has the configuration.
async fn is_configured(admin: &Session, ca: &str) -> Result<()> {
    let expected = configuration(ca);
    eventually("the mount has the configuration of the spec", || async {
        let answer = admin.request_any(Method::GET, CONFIG, None).await.map_err(|error| error.to_string())?;
        let found = &answer["data"];
        let mut parameters = expected.as_object().into_iter().flatten();
        if parameters.all(|(name, value)| found[name] == *value) { Ok(()) } else { Err(found.to_string()) }
    })
    .await
}

impl Bao {
    /// Mount and configuration are written, read back and repaired, and removed with the object.
    pub async fn a_directory_is_configured_and_repaired(&self) -> Result<()> {
        let [ca, other] = [Authority::new("the directory's CA")?.pem, Authority::new("another CA")?.pem];
        for object in objects(&self.namespace, &ca) {
            apply(&self.kube, object).await?;
        }
        let admin = self.admin().await?;
        is_configured(&admin, &ca).await.with_context(|| self.story())?;
        let methods: Api<AuthMethod> = Api::namespaced(self.kube.clone(), &self.namespace);
        for change in drift(&other) {
            admin.request_any(Method::POST, CONFIG, Some(change.clone())).await?;
            let once = format!("{:?}", SystemTime::now());
            let nudge = Patch::Merge(json!({"metadata": {"annotations": {"steamer.dev/reconcile": once}}}));
            methods.patch("staff", &PatchParams::default(), &nudge).await?;
            is_configured(&admin, &ca).await.with_context(|| format!("{change} is not repaired"))?;
        }
        methods.delete("staff", &DeleteParams::default()).await?;
        eventually("the mount is removed", || async {
            match admin.request_any(Method::GET, CONFIG, None).await {
                Err(Error::NotFound { .. }) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }
}
