//! Administrators that log in with a JWT of an issuer, and recovery keys that only their owners can decrypt.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::OpenBaoCluster;
use steamer_openbao::Session;
use steamer_testing::issuer::JwtIssuer;
use steamer_testing::objects::{account_token, apply};
use steamer_testing::tools;
use steamer_testing::wait::eventually;

use crate::bao::Bao;

#[tokio::test]
async fn an_administrator_can_log_in_with_a_jwt_of_an_issuer() -> Result<()> {
    let bao = Bao::prepare("people").await?;
    let issuer = JwtIssuer::at("https://id.example.com".to_owned())?;
    apply(
        &bao.kube,
        json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": "JWTIssuer", "metadata": {"name": "id", "namespace": "people"},
            "spec": {
                "boundIssuer": "https://id.example.com", "publicKeys": [issuer.public_pem("key-1")?],
                "audiences": ["openbao-people"],
            },
        }),
    )
    .await?;
    let bao = bao
        .up(|spec| {
            spec["managed"]["replicas"] = json!(1);
            spec["managed"]["tokenReview"] = json!(true);
            let person = json!({"issuerRef": {"name": "id"}, "subject": "person-1"});
            let rules = r#"path "sys/mounts" { capabilities = ["read"] }"#;
            let reader = json!({"name": "reader", "jwt": person, "policy": "reader", "rules": rules});
            spec["administrators"] = json!([{"name": "admin", "serviceAccount": {"name": "admin"}}, reader]);
        })
        .await?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let jwt = |subject: &str, audience: &str| {
        let claims = json!({"iss": "https://id.example.com", "sub": subject, "aud": audience, "iat": now, "exp": now + 300});
        issuer.sign("key-1", &claims)
    };
    let reader = bao.login("jwt_id", "reader", &jwt("person-1", "openbao-people")?).await?;
    reader.request_any(Method::GET, "sys/mounts", None).await?;
    let more = reader.request_any(Method::GET, "sys/policies/acl/steamer", None).await;
    ensure!(more.is_err(), "the administrator has more access than its rules grant");
    for (subject, audience) in [("person-2", "openbao-people"), ("person-1", "another")] {
        ensure!(
            bao.login("jwt_id", "reader", &jwt(subject, audience)?).await.is_err(),
            "{subject} {audience}"
        );
    }
    let with = async |audience: &str| {
        let jwt = account_token(&bao.kube, "people", "admin", &[audience]).await?;
        bao.login("kubernetes", "admin", &jwt).await
    };
    ensure!(with("openbao").await.is_err(), "the role of the administrator binds another audience, too");
    application_logs_in(&bao, &with(&bao.audience()).await?).await
}

/// An application logs in at the mount of `tokenReview`, as soon as the nodes may review tokens.
async fn application_logs_in(bao: &Bao, admin: &Session) -> Result<()> {
    let namespace = &bao.namespace;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web", "namespace": namespace}});
    apply(&bao.kube, account).await?;
    let role = json!({
        "bound_service_account_names": "web", "bound_service_account_namespaces": namespace, "audience": "openbao",
        "token_policies": "default",
    });
    admin.request_any(Method::POST, "auth/token_review/role/web", Some(role)).await?;
    let jwt = account_token(&bao.kube, namespace, "web", &["openbao"]).await?;
    ensure!(
        bao.login("token_review", "web", &jwt).await.is_err(),
        "a login without the right to review tokens"
    );
    // The object of the Helm value `tokenReview`.
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": format!("token-review-{namespace}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
        "subjects": [{"kind": "ServiceAccount", "name": "main", "namespace": namespace}],
    });
    apply(&bao.kube, binding).await?;
    let session = eventually("the application logs in", || async {
        bao.login("token_review", "web", &jwt).await.map_err(|error| format!("{error:#}"))
    });
    session.await?.request_any(Method::GET, "auth/token/lookup-self", None).await?;
    Ok(())
}

/// The owner of a PGP key.
struct Owner(PathBuf);

impl Owner {
    fn new(folder: &Path) -> Result<Self> {
        tools::packages(&[("/usr/bin/gpg", "gnupg")])?;
        std::fs::create_dir_all(folder)?;
        tools::succeed(Command::new("chmod").arg("700").arg(folder))?;
        let wanted = folder.join("wanted");
        std::fs::write(
            &wanted,
            "Key-Type: RSA\nKey-Length: 2048\nSubkey-Type: RSA\nSubkey-Length: 2048\nName-Email: owner@example.com\n\
             Expire-Date: 0\n%no-protection\n%commit\n",
        )?;
        let owner = Self(folder.to_owned());
        tools::succeed(owner.gpg().arg("--generate-key").arg(wanted))?;
        Ok(owner)
    }

    fn gpg(&self) -> Command {
        let mut gpg = Command::new("gpg");
        gpg.args(["--batch", "--quiet", "--homedir"]).arg(&self.0);
        gpg
    }

    fn public(&self) -> Result<String> {
        let exported = self.gpg().arg("--export").output()?;
        Ok(STANDARD.encode(exported.stdout))
    }

    /// Decrypts a message, if it is encrypted for this owner.
    fn read(&self, message: &[u8]) -> Option<String> {
        let file = self.0.join("message");
        std::fs::write(&file, message).ok()?;
        tools::output(self.gpg().arg("--decrypt").arg(&file)).ok().map(|text| text.trim().to_owned())
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").arg("--homedir").arg(&self.0).args(["--kill", "all"]).output();
    }
}

/// Returns the shares of a Secret, each decrypted by its only owner.
fn shares(secret: &Secret, owners: &[Owner]) -> Result<Vec<String>> {
    let data = secret.data.as_ref().context("the Secret has no shares")?;
    let read = |share: &k8s_openapi::ByteString| {
        let message = STANDARD.decode(&share.0)?;
        let mut readers = owners.iter().filter_map(|owner| owner.read(&message));
        let share = readers.next().context("no owner can decrypt a share")?;
        ensure!(readers.next().is_none(), "two owners can decrypt the same share");
        Ok(share)
    };
    data.values().map(read).collect()
}

#[tokio::test]
async fn pgp_encrypted_recovery_keys_are_readable_by_their_owners_and_survive_a_crash() -> Result<()> {
    let bao = Bao::alone("pgp").await?;
    // The path of the GPG agent's socket must be short.
    let folder = bao.fleet.folder.join("pgp");
    let owners = [Owner::new(&folder.join("a"))?, Owner::new(&folder.join("b"))?];
    let keys = [owners[0].public()?, owners[1].public()?];
    let bao = bao
        .up(|spec| {
            spec["managed"]["replicas"] = json!(1);
            spec["managed"]["recoveryKeys"] = json!({"shares": 2, "threshold": 2, "pgpKeys": keys});
        })
        .await?;
    let secrets: Api<Secret> = Api::namespaced(bao.kube.clone(), "pgp");
    let written = async || {
        eventually("the shares are written and verified", || async {
            let found = secrets.get("main-recovery").await.map_err(|error| error.to_string())?;
            let verified = found.annotations().contains_key("steamer.dev/verified");
            if verified { Ok(found) } else { Err("not verified yet".to_owned()) }
        })
        .await
    };
    let first = written().await?;
    bao.shares_work(&shares(&first, &owners)?).await?;
    // The state after a crash of the operator between OpenBao's response and the write of the Secret: the new shares
    // are in effect, and OpenBao has a copy of them.
    let admin = bao.admin().await?;
    bao.fleet.stop_operator().await;
    secrets.delete("main-recovery", &DeleteParams::default()).await?;
    let asked = json!({"secret_shares": 2, "secret_threshold": 2, "pgp_keys": keys, "backup": true});
    let begun = admin.request_any(Method::POST, "sys/rotate/recovery/init", Some(asked)).await?;
    let nonce = begun.pointer("/data/nonce").or_else(|| begun.get("nonce")).cloned().unwrap_or_default();
    for share in shares(&first, &owners)? {
        let body = json!({"key": share, "nonce": nonce});
        admin.request_any(Method::POST, "sys/rotate/recovery/update", Some(body)).await?;
    }
    let clusters: Api<OpenBaoCluster> = Api::namespaced(bao.kube.clone(), "pgp");
    let forgotten = Patch::Merge(json!({"status": {"recoveryKeys": Value::Null}}));
    clusters.patch_status("main", &PatchParams::default(), &forgotten).await?;
    bao.fleet.start_operator().await?;
    let second = written().await?;
    bao.shares_work(&shares(&second, &owners)?).await?;
    let copy = admin.request_any(Method::GET, "sys/rotate/recovery/backup", None).await;
    ensure!(copy.is_err(), "OpenBao still has a copy of the shares");
    Ok(())
}
