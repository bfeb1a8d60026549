//! BaoNamespace, TransitKey and BaoRateLimitQuota on a real OpenBao.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{BaoNamespace, BaoPolicy, BaoRateLimitQuota, HasLifecycle, KeySharesOrigin, TransitKey};
use steamer_openbao::Session;
use steamer_testing::pgp::PgpKey;
use steamer_testing::wait::eventually;

use crate::drift::nudge;
use crate::openbao_outage::gone;
use crate::rig::Rig;

/// Public key of a PGP key of this test, whose private key no longer exists.
pub const PGP_KEY: &str = "mDMEawrWUhYJKwYBBAHaRw8BAQdA3Azvtb3qLfSvX5YSnrFpb4g5iK8jlBIsNTGK/xXtm9S0FWVjYyA8ZWNjQGV4YW1wbGUuY29tPoiQBBMWCAA4FiEE6whsqz4xhuxxVvm6jMZTIJWcyrYFAmsK1lICGwMFCwkIBwIGFQoJCAsCBBYCAwECHgECF4AACgkQjMZTIJWcyrYYWAD/bqpda3ZIyoQYbmLH96rWlfFTWyDeGzoNRAi/5hpf5xQA/iXM8389yBrUEv9UP6TDWTTvnkjbSlvVmhVHOqKZvLMBuDgEawrWUhIKKwYBBAGXVQEFAQEHQAkkILFbIb6GodmbZ/VyILZkc7VJC/XhiN+HN5Qf1N0oAwEIB4h4BBgWCAAgFiEE6whsqz4xhuxxVvm6jMZTIJWcyrYFAmsK1lICGwwACgkQjMZTIJWcyrYPuQEA1moAsOViddGcp+G9tIh3M/2SoRCpzapuCUMJ6bjzh8kBAJLOAU+FNcI6+vPVsVdlst+qi0AiYUrToNrSoj4KBt4M";

/// Objects of one kind.
struct Objects<'a, K> {
    rig: &'a Rig,
    api: Api<K>,
    admin: Session,
}

impl<'a, K: HasLifecycle> Objects<'a, K> {
    fn of(rig: &'a Rig) -> Result<Self> {
        Ok(Self { rig, api: rig.case.api(), admin: rig.case.admin()? })
    }

    async fn apply(&self, name: &str, spec: Value) -> Result<()> {
        let mut all = json!({"clusterRef": {"name": "main"}});
        all.as_object_mut().context("no object")?.extend(spec.as_object().context("no object")?.clone());
        self.rig.case.object(K::KIND, name, all).await.map(drop)
    }

    async fn ready(&self, name: &str, expected: &str) -> Result<K> {
        self.rig.case.ready::<K>(name, expected).await
    }

    async fn applied(&self, name: &str, spec: Value) -> Result<K> {
        self.apply(name, spec).await?;
        self.ready(name, "True/Applied").await
    }

    async fn patch(&self, name: &str, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.api.patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// The message of the API server that refuses a change.
    async fn refused(&self, name: &str, spec: Value) -> Result<String> {
        let refusal = self.patch(name, spec).await.err().context("the change is accepted")?;
        Ok(refusal.to_string())
    }

    /// Waits until `Ready` has a message with that text.
    async fn says(&self, name: &str, reason: &str, text: &str) -> Result<()> {
        self.rig.case.says::<K>(name, reason, text).await
    }

    async fn post(&self, path: &str, body: Value) -> Result<()> {
        self.admin.request_any(Method::POST, path, Some(body)).await?;
        Ok(())
    }

    async fn data(&self, path: &str) -> Result<Option<Value>> {
        match self.admin.request_any(Method::GET, path, None).await {
            Ok(answer) => Ok(Some(answer["data"].clone())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the operator look at an object.
    async fn look(&self, name: &str) -> Result<()> {
        nudge(&self.rig.case, K::KIND, name).await
    }

    /// Makes each change by hand, and waits until the operator has undone it.
    async fn repairs(&self, name: &str, path: &str, changes: &[(&str, Value)]) -> Result<()> {
        let right = self.data(path).await?.context("the resource does not exist")?;
        for (at, change) in changes {
            let writes = self.writes("").len();
            self.post(at, change.clone()).await?;
            // A pass of the operator can undo the change before it is read.
            let is_effective =
                self.data(path).await?.as_ref() != Some(&right) || self.writes("").len() > writes;
            ensure!(is_effective, "{change} changes nothing");
            self.look(name).await?;
            eventually(&format!("{change} is undone"), || async {
                match self.data(path).await {
                    Ok(Some(found)) if found == right => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await?;
        }
        Ok(())
    }

    /// The writes to OpenBao at paths with that text, such as `POST /v1/sys/namespaces/a`.
    fn writes(&self, part: &str) -> Vec<String> {
        self.rig.writes(|path| path.contains(part))
    }

    /// Applies an object for an existing resource of the same parameters, and checks that nothing is written.
    async fn adopts_without_a_write(&self, name: &str, spec: Value) -> Result<()> {
        self.apply(name, spec.clone()).await?;
        self.says(name, "False/Conflict", "set adopt: IfUnowned").await?;
        self.patch(name, json!({"adopt": "IfUnowned"})).await?;
        self.ready(name, "True/Applied").await?;
        ensure!(self.writes(name).is_empty(), "{:?}", self.writes(name));
        Ok(())
    }

    /// Checks that an object under `mode: Observe` lists its plan and writes nothing.
    async fn only_observes(&self, name: &str, spec: Value) -> Result<()> {
        let mut spec = spec;
        spec["mode"] = json!("Observe");
        self.apply(name, spec).await?;
        let object = serde_json::to_value(self.ready(name, "True/Drifted").await?)?;
        ensure!(object["status"]["plan"][0]["operation"] == "Create", "{object}");
        ensure!(self.writes(name).is_empty(), "{:?}", self.writes(name));
        Ok(())
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.api.delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    async fn deleted(&self, name: &str) -> Result<()> {
        self.delete(name).await?;
        gone(&self.api, name).await
    }
}

#[tokio::test]
async fn namespaces_keys_and_quotas_are_created_repaired_adopted_and_deleted() -> Result<()> {
    let mut rig = Rig::new("namespaces-keys-quotas").await?;
    rig.install_root_scope().await?;
    rig.start().await?;
    let (namespaces, keys, quotas) =
        (Objects::<BaoNamespace>::of(&rig)?, Objects::<TransitKey>::of(&rig)?, Objects::of(&rig)?);
    keys.post("sys/mounts/transit", json!({"type": "transit"})).await?;
    tokio::try_join!(
        namespaces_are_kept_in_the_desired_state(&namespaces),
        sealed_namespaces_keep_their_shares(&namespaces),
        holders_of_shares_unseal_their_namespace(&namespaces),
        keys_are_kept_in_the_desired_state(&keys),
        quotas_are_kept_in_the_desired_state(&quotas),
    )?;
    Ok(())
}

async fn namespaces_are_kept_in_the_desired_state(objects: &Objects<'_, BaoNamespace>) -> Result<()> {
    objects
        .applied("teams", json!({"customMetadata": {"contact": "platform"}, "deletionPolicy": "Delete"}))
        .await?;
    let found = objects.data("sys/namespaces/teams").await?.context("no namespace")?;
    assert_eq!(found["custom_metadata"], json!({"contact": "platform"}));
    let writes = objects.writes("/teams");
    assert_eq!(writes, ["POST /v1/sys/namespaces/teams"]);
    let other = |metadata: Value| ("sys/namespaces/teams", json!({"custom_metadata": metadata}));
    let changes =
        [other(json!({"contact": "x"})), other(json!({"contact": "platform", "b": "c"})), other(json!({}))];
    objects.repairs("teams", "sys/namespaces/teams", &changes).await?;
    objects.post("sys/namespaces/adopted", json!({"custom_metadata": {"a": "b"}})).await?;
    objects.adopts_without_a_write("adopted", json!({"customMetadata": {"a": "b"}})).await?;
    objects.only_observes("observed", json!({})).await?;
    objects.apply("tenant", json!({"path": "org_5"})).await?;
    objects.says("tenant", "False/Invalid", "reserved for SecretsTenants").await?;
    objects.apply("orphan", json!({"namespace": "missing"})).await?;
    objects.says("orphan", "False/SourceMissing", "the parent namespace missing does not exist").await?;
    let refusal = objects.refused("teams", json!({"path": "other"})).await?;
    assert!(refusal.contains("path is immutable"), "{refusal}");
    namespaces_in_use_are_not_deleted(objects).await
}

async fn namespaces_in_use_are_not_deleted(objects: &Objects<'_, BaoNamespace>) -> Result<()> {
    let policies = Objects::<BaoPolicy>::of(objects.rig)?;
    let rule = json!({"path": "kv/*", "capabilities": ["read"]});
    policies.applied("inside", json!({"namespace": "teams", "rules": [rule]})).await?;
    objects.applied("apps", json!({"namespace": "teams"})).await?;
    objects.delete("teams").await?;
    let names =
        "BaoPolicy namespaces-keys-quotas/inside, BaoNamespace namespaces-keys-quotas/apps (2 in total)";
    objects.says("teams", "False/Waiting", names).await?;
    policies.deleted("inside").await?;
    // `Retain` keeps the child namespace.
    objects.deleted("apps").await?;
    assert!(objects.data("teams/sys/namespaces/apps").await?.is_some());
    objects.says("teams", "False/Deleting", "contains child namespaces").await?;
    objects.admin.request_any(Method::DELETE, "teams/sys/namespaces/apps", None).await?;
    gone(&objects.api, "teams").await?;
    assert_eq!(objects.data("sys/namespaces/teams").await?, None);
    Ok(())
}

async fn sealed_namespaces_keep_their_shares(objects: &Objects<'_, BaoNamespace>) -> Result<()> {
    let seal = |name: &str| json!({"pgpKeys": [PGP_KEY], "recoverySecretName": name});
    let spec = json!({"seal": seal("vault-shares"), "deletionPolicy": "Delete"});
    let object = objects.applied("vault", spec).await?;
    let status = object.status.context("no status")?;
    assert_eq!((status.sealed, status.key_shares), (Some(true), Some(KeySharesOrigin::Written)));
    let secrets: Api<Secret> = objects.rig.case.api();
    let secret = secrets.get("vault-shares").await?;
    assert_eq!(secret.immutable, Some(true));
    let share = secret.data.context("no data")?.remove("share-1").context("no share")?;
    // A PGP message in hexadecimal starts with a packet for a session key. A share in plain text has 66 digits.
    let share = String::from_utf8(share.0)?;
    assert!(share.starts_with("c1") && share.len() > 200, "{share}");
    assert_eq!(objects.writes("/vault"), ["POST /v1/sys/namespaces/vault"]);
    objects.look("vault").await?;
    objects.says("vault", "True/Applied", "namespace vault exists").await?;
    // Another Secret of that name prevents the namespace.
    objects.apply("taken", json!({"seal": seal("vault-shares")})).await?;
    objects.says("taken", "False/Conflict", "Secret namespaces-keys-quotas/vault-shares exists").await?;
    assert_eq!(objects.data("sys/namespaces/taken").await?, None);
    // Nothing is said about the shares of a namespace that the object does not own.
    objects.post("sys/namespaces/foreign", json!({})).await?;
    objects.apply("foreign", json!({"seal": seal("foreign-shares")})).await?;
    objects.says("foreign", "False/Conflict", "set adopt: IfUnowned").await?;
    objects.patch("foreign", json!({"adopt": "IfUnowned"})).await?;
    objects.says("foreign", "False/Conflict", "exists without a seal").await?;
    lost_shares_are_reported(objects, seal("lost-shares")).await?;
    a_refused_namespace_leaves_no_secret(objects).await?;
    objects.delete("vault").await?;
    objects.says("vault", "False/Deleting", "namespace vault is sealed").await?;
    objects.admin.request_any(Method::DELETE, "sys/namespaces/vault/delete-sealed", None).await?;
    gone(&objects.api, "vault").await
}

/// Two of three holders decrypt their shares and unseal the namespace. Then an object is created in it.
async fn holders_of_shares_unseal_their_namespace(objects: &Objects<'_, BaoNamespace>) -> Result<()> {
    let holders = [PgpKey::generate()?, PgpKey::generate()?, PgpKey::generate()?];
    let keys: Vec<String> = holders.iter().map(PgpKey::public).collect();
    let seal = json!({"shares": 3, "threshold": 2, "pgpKeys": keys, "recoverySecretName": "safe-shares"});
    let object = objects.applied("safe", json!({"seal": seal, "deletionPolicy": "Delete"})).await?;
    ensure!(object.status.context("no status")?.sealed == Some(true), "a new namespace is not sealed");
    let policies = Objects::<BaoPolicy>::of(objects.rig)?;
    let rule = json!({"path": "kv/*", "capabilities": ["read"]});
    policies.apply("safe", json!({"namespace": "safe", "rules": [rule]})).await?;
    let data = objects.rig.case.api::<Secret>().get("safe-shares").await?.data.context("no data")?;
    ensure!(data.len() == 3, "{:?}", data.keys());
    let share = |number: usize| {
        let text = data.get(&format!("share-{}", number + 1)).context("no share")?;
        decoded(std::str::from_utf8(&text.0)?)
    };
    ensure!(holders[1].decrypt(&share(0)?).is_err(), "another holder decrypts a share");
    for number in [2, 0] {
        let sealed = objects.data("sys/namespaces/safe/seal-status").await?.context("no seal")?;
        ensure!(sealed["sealed"] == true, "one share unseals the namespace: {sealed}");
        let key = holders[number].decrypt(&share(number)?)?;
        objects.post("sys/namespaces/safe/unseal", json!({"key": key})).await?;
    }
    objects.look("safe").await?;
    eventually("the status shows that the namespace is unsealed", || async {
        let object = objects.api.get("safe").await.map_err(|error| error.to_string())?;
        match object.status.and_then(|status| status.sealed) {
            Some(false) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    policies.look("safe").await?;
    policies.ready("safe", "True/Applied").await?;
    ensure!(objects.data("safe/sys/policies/acl/safe").await?.is_some(), "the policy does not exist");
    policies.deleted("safe").await?;
    objects.deleted("safe").await?;
    ensure!(objects.data("sys/namespaces/safe").await?.is_none(), "the namespace is left");
    Ok(())
}

/// The bytes of a text in hexadecimal.
fn decoded(text: &str) -> Result<Vec<u8>> {
    let digits = |at: usize| text.get(at..at + 2).context("an odd number of digits");
    (0..text.len()).step_by(2).map(|at| anyhow::Ok(u8::from_str_radix(digits(at)?, 16)?)).collect()
}

/// The Secret that waits for key shares is deleted with the answer that refuses the namespace.
async fn a_refused_namespace_leaves_no_secret(objects: &Objects<'_, BaoNamespace>) -> Result<()> {
    let seal = json!({"pgpKeys": ["AAAA"], "recoverySecretName": "refused-shares"});
    objects.apply("refused", json!({"seal": seal})).await?;
    objects.ready("refused", "False/Invalid").await?;
    let secrets = objects.rig.case.api::<Secret>();
    eventually("no Secret waits for key shares", || async {
        match secrets.get_opt("refused-shares").await.map_err(|error| error.to_string())? {
            None => Ok(()),
            Some(secret) => Err(format!("{:?}", secret.metadata.annotations)),
        }
    })
    .await?;
    objects.deleted("refused").await
}

/// The answer to the creation is lost, as after the end of the operator.
async fn lost_shares_are_reported(objects: &Objects<'_, BaoNamespace>, seal: Value) -> Result<()> {
    objects.rig.openbao.lose_write("/sys/namespaces/lost");
    objects.apply("lost", json!({"seal": seal})).await?;
    let text = "Steamer has not received the key shares of namespace lost";
    objects.says("lost", "False/Conflict", text).await?;
    objects.admin.request_any(Method::DELETE, "sys/namespaces/lost/delete-sealed", None).await?;
    objects.look("lost").await?;
    objects.ready("lost", "True/Applied").await?;
    let secret = objects.rig.case.api::<Secret>().get("lost-shares").await?;
    assert_eq!(secret.data.map(|data| data.len()), Some(1));
    Ok(())
}

/// The object waits for the mount, and needs no change when it appears.
async fn a_missing_mount_is_named(objects: &Objects<'_, TransitKey>) -> Result<()> {
    objects.apply("early", json!({"mount": "later", "deletionPolicy": "Delete"})).await?;
    let text =
        "no secrets engine is mounted at later in namespace root: create it, such as with a SecretEngine";
    objects.says("early", "False/SourceMissing", text).await?;
    objects.post("sys/mounts/later", json!({"type": "transit"})).await?;
    objects.ready("early", "True/Applied").await?;
    objects.deleted("early").await
}

async fn keys_are_kept_in_the_desired_state(objects: &Objects<'_, TransitKey>) -> Result<()> {
    a_missing_mount_is_named(objects).await?;
    let path = "transit/keys/orders";
    let spec = json!({
        "deletionAllowed": true, "autoRotatePeriod": "720h", "minDecryptionVersion": 1, "minEncryptionVersion": 1,
    });
    let object = objects.applied("orders", spec).await?;
    assert_eq!(object.status.context("no status")?.latest_version, Some(1));
    assert_eq!(
        objects.writes("/orders"),
        ["POST /v1/transit/keys/orders", "POST /v1/transit/keys/orders/config"]
    );
    objects.post("transit/keys/orders/rotate", json!({})).await?;
    objects.look("orders").await?;
    eventually("the status contains the new version", || async {
        let object = objects.api.get("orders").await.map_err(|error| error.to_string())?;
        match object.status.and_then(|status| status.latest_version) {
            Some(2) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    assert_eq!(objects.writes("/orders").len(), 2, "a rotation is no drift");
    let changed = |change: Value| ("transit/keys/orders/config", change);
    let changes = [
        changed(json!({"deletion_allowed": false})),
        changed(json!({"auto_rotate_period": "48h"})),
        changed(json!({"min_encryption_version": 2})),
        changed(json!({"min_decryption_version": 2, "min_encryption_version": 2})),
    ];
    objects.repairs("orders", path, &changes).await?;
    objects.patch("orders", json!({"exportable": true})).await?;
    objects.ready("orders", "True/Applied").await?;
    assert_eq!(objects.data(path).await?.context("no key")?["exportable"], true);
    let refusal = objects.refused("orders", json!({"exportable": false})).await?;
    assert!(refusal.contains("exportable cannot become false"), "{refusal}");
    objects.post("transit/keys/orders/config", json!({"allow_plaintext_backup": true})).await?;
    objects.look("orders").await?;
    objects.says("orders", "False/Conflict", "set allowPlaintextBackup: true").await?;
    keys_are_adopted_and_deleted(objects).await
}

async fn keys_are_adopted_and_deleted(objects: &Objects<'_, TransitKey>) -> Result<()> {
    objects.post("transit/keys/adopted", json!({"type": "hmac", "key_size": 64})).await?;
    let spec = json!({"type": "hmac", "keySize": 64});
    objects.adopts_without_a_write("adopted", spec.clone()).await?;
    objects.only_observes("observed", spec).await?;
    objects.apply("other", json!({"name": "adopted", "adopt": "IfUnowned"})).await?;
    objects.says("other", "False/Conflict", "already claims key transit/keys/adopted").await?;
    objects.post("transit/keys/signing", json!({"type": "ed25519"})).await?;
    objects.apply("signing", json!({"adopt": "IfUnowned"})).await?;
    objects.says("signing", "False/Conflict", "has another type").await?;
    objects.apply("twice", json!({"parameters": {"exportable": true}})).await?;
    objects.says("twice", "False/Invalid", "parameters.exportable repeats a field").await?;
    objects.deleted("adopted").await?;
    assert!(objects.data("transit/keys/adopted").await?.is_some(), "Retain keeps the key");
    objects.applied("temporary", json!({"deletionPolicy": "Delete"})).await?;
    objects.deleted("temporary").await?;
    assert_eq!(objects.data("transit/keys/temporary").await?, None);
    Ok(())
}

async fn quotas_are_kept_in_the_desired_state(objects: &Objects<'_, BaoRateLimitQuota>) -> Result<()> {
    let path = "sys/quotas/rate-limit/limit";
    let spec = json!({
        "name": "limit", "path": "auth/kubernetes", "role": "web", "rate": 1000.5, "interval": "2m", "blockInterval": "1m",
    });
    objects.applied("logins", spec).await?;
    let found = objects.data(path).await?.context("no quota")?;
    let expected = json!({
        "name": "limit", "path": "auth/kubernetes/", "role": "web", "rate": 1000.5, "interval": 120, "block_interval": 60,
        "inheritable": false, "type": "rate-limit",
    });
    assert_eq!(found, expected);
    assert_eq!(objects.writes("rate-limit/limit"), ["POST /v1/sys/quotas/rate-limit/limit"]);
    let changed = |name: &str, value: Value| {
        let mut change = expected.clone();
        change[name] = value;
        (path, change)
    };
    let changes = [
        changed("rate", json!(900)),
        changed("interval", json!(60)),
        changed("block_interval", json!(0)),
        changed("path", json!("auth/other")),
    ];
    objects.post("sys/auth/other", json!({"type": "approle"})).await?;
    objects.repairs("logins", path, &changes).await?;
    objects.post("sys/quotas/rate-limit/adopted", json!({"rate": 5000, "path": "transit"})).await?;
    objects.adopts_without_a_write("adopted", json!({"rate": 5000, "path": "transit"})).await?;
    objects.only_observes("observed", json!({"rate": 5000})).await?;
    objects
        .apply(
            "role",
            json!({"name": "limit", "rate": 5000, "path": "auth/kubernetes", "adopt": "IfUnowned"}),
        )
        .await?;
    objects.says("role", "False/Conflict", "already claims rate limit quota limit").await?;
    let quota = json!({"rate": 5000, "path": "auth/other", "role": "a"});
    objects.post("sys/quotas/rate-limit/fixed", quota.clone()).await?;
    objects
        .apply("fixed", json!({"rate": 5000, "path": "auth/other", "role": "b", "adopt": "IfUnowned"}))
        .await?;
    objects.says("fixed", "False/Conflict", "has another role").await?;
    objects.apply("missing", json!({"rate": 5000, "path": "nowhere"})).await?;
    objects.says("missing", "False/Invalid", "invalid mount path").await?;
    objects.deleted("logins").await?;
    assert_eq!(objects.data(path).await?, None);
    Ok(())
}
