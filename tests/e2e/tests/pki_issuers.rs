//! PKIIssuer and PKIRole on a real OpenBao: authorities, their rotation, and certificates of BaoPKISecret.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{BaoPKISecret, PKIIssuer, PKIRole};
use steamer_openbao::Session;
use steamer_testing::wait::eventually;
use x509_parser::extensions::ParsedExtension;
use x509_parser::pem::Pem;

use crate::drift::nudge;
use crate::openbao_outage::gone;
use crate::rig::Rig;
use crate::static_secrets::auth;

/// A rig whose cluster `main` has `operatorScope: Root`, with PKI engines.
struct Scene {
    rig: Rig,
    admin: Session,
}

/// Subject, key ID and key ID of the issuer of a certificate.
#[derive(Clone, Debug, PartialEq)]
struct Link {
    subject: String,
    key: String,
    issuer: String,
}

fn links(text: &str) -> Result<Vec<Link>> {
    let mut all = Vec::new();
    for pem in Pem::iter_from_buffer(text.as_bytes()) {
        let pem = pem?;
        let certificate = pem.parse_x509()?;
        let mut link =
            Link { subject: certificate.subject().to_string(), key: String::new(), issuer: String::new() };
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => link.key = format!("{id:?}"),
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    link.issuer = id.key_identifier.as_ref().map(|id| format!("{id:?}")).unwrap_or_default();
                }
                _ => {}
            }
        }
        all.push(link);
    }
    Ok(all)
}

impl Scene {
    async fn new() -> Result<Self> {
        let rig = Rig::new("pki-issuers").await?;
        let admin = rig.case.admin()?;
        let scene = Self { rig, admin };
        scene.rig.install_root_scope().await?;
        for mount in ["pki/root", "pki-int", "pki-hand", "pki-crash"] {
            let tune = json!({"type": "pki", "config": {"max_lease_ttl": "87600h"}});
            scene.post(&format!("sys/mounts/{mount}"), tune).await?;
        }
        let all = json!({"capabilities": ["create", "update"]});
        scene.rig.case.role("issue", json!({"pki-int/issue/*": all, "pki-int/revoke": all}), "10m").await?;
        scene.rig.case.object("BaoAuth", "default", auth("issue")).await?;
        Ok(scene)
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        let answer = self.admin.request_any(Method::POST, path, Some(body)).await;
        Ok(answer.with_context(|| path.to_owned())?["data"].clone())
    }

    async fn get(&self, path: &str) -> Result<Value> {
        Ok(self.admin.request_any(Method::GET, path, None).await.with_context(|| path.to_owned())?["data"]
            .clone())
    }

    /// Names of the issuers or keys of a mount, with their IDs. Those without a name have the name ``.
    async fn names(&self, mount: &str, what: &str) -> Result<Vec<(String, String)>> {
        let list = Method::from_bytes(b"LIST")?;
        let answer = match self.admin.request_any(list, &format!("{mount}/{what}s"), None).await {
            Ok(answer) => answer,
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let info = answer["data"]["key_info"].as_object().cloned().unwrap_or_default();
        let name = |info: &Value| info[format!("{what}_name")].as_str().unwrap_or_default().to_owned();
        let mut names: Vec<_> = info.iter().map(|(id, info)| (name(info), id.clone())).collect();
        names.sort();
        Ok(names)
    }

    async fn only_names(&self, mount: &str, what: &str) -> Result<Vec<String>> {
        Ok(self.names(mount, what).await?.into_iter().map(|(name, _)| name).collect())
    }

    async fn apply(&self, kind: &str, name: &str, mut spec: Value) -> Result<()> {
        spec["clusterRef"] = json!({"name": "main"});
        self.rig.case.object(kind, name, spec).await.map(drop)
    }

    async fn patch(&self, name: &str, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.issuers().patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    fn issuers(&self) -> Api<PKIIssuer> {
        self.rig.case.api()
    }

    async fn ready(&self, name: &str) -> Result<PKIIssuer> {
        self.rig.case.ready::<PKIIssuer>(name, "True/Applied").await
    }

    /// Waits until `Ready` has a message with that text.
    async fn says(&self, name: &str, reason: &str, text: &str) -> Result<()> {
        self.rig.case.says::<PKIIssuer>(name, reason, text).await
    }

    async fn nudge(&self) -> Result<()> {
        let case = &self.rig.case;
        for issuer in self.issuers().list(&Default::default()).await? {
            nudge(case, "PKIIssuer", &issuer.name_any()).await?;
        }
        for role in case.api::<PKIRole>().list(&Default::default()).await? {
            nudge(case, "PKIRole", &role.name_any()).await?;
        }
        Ok(())
    }

    /// Writes of the operator to PKI engines.
    fn writes(&self) -> Vec<String> {
        let is_counted =
            |path: &str| path.contains("/pki") && !path.contains("/issue/") && !path.ends_with("/revoke");
        self.rig.writes(is_counted)
    }

    /// Waits until every object was compared with OpenBao. A pass starts with the read, so the second read ends the first.
    async fn passes(&self, paths: &[&str]) -> Result<()> {
        for _ in 0..2 {
            let reads =
                |path: &str| self.rig.openbao.number(|asked| !asked.writes() && asked.path.ends_with(path));
            let before: BTreeMap<&str, usize> = paths.iter().map(|path| (*path, reads(path))).collect();
            self.nudge().await?;
            eventually("every object is compared", || async {
                let waiting: Vec<_> = before.iter().filter(|(path, count)| reads(path) <= **count).collect();
                if waiting.is_empty() { Ok(()) } else { Err(format!("{waiting:?}")) }
            })
            .await?;
        }
        Ok(())
    }

    /// Changes a resource by hand, and waits until the operator has restored it.
    async fn repairs(&self, path: &str, change: (Method, &str, Value)) -> Result<()> {
        let right = self.get(path).await?;
        let (method, at, body) = change;
        self.admin.request_any(method, at, Some(body.clone())).await.with_context(|| at.to_owned())?;
        self.nudge().await?;
        eventually(&format!("{at} {body} is undone"), || async {
            match self.get(path).await {
                Ok(found) if found == right => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }
}

fn root() -> Value {
    json!({
        "mount": "pki/root", "issuerName": "root", "default": true,
        "root": {
            "commonName": "Example Root", "organization": ["Example"], "organizationalUnit": ["IT"], "country": ["DE"],
            "keyType": "ec", "keyBits": 384, "ttl": "17520h", "maxPathLength": 1,
            "parameters": {"permitted_dns_domains": ["example.com"]},
        },
        "urls": {
            "issuingCertificates": ["http://bao.example.com/ca"], "crlDistributionPoints": ["http://bao.example.com/crl"],
            "ocspServers": ["http://bao.example.com/ocsp"],
        },
        "crl": {"expiry": "48h", "autoRebuild": true, "parameters": {"ocsp_expiry": "1h"}},
        "parameters": {"leaf_not_after_behavior": "truncate"},
        "allowedNamespaces": {"from": "Same"},
    })
}

/// An intermediate whose lifetime mostly is in the past, so that a later `renewBefore` makes it due.
fn intermediate(name: &str, mount: &str) -> Value {
    json!({
        "mount": mount, "issuerName": name,
        "intermediate": {
            "commonName": "Example Intermediate", "parentRef": {"name": "root"}, "ttl": "10m", "maxPathLength": 0,
            "parameters": {"not_before_duration": "2h"},
        },
    })
}

fn role(name: &str) -> Value {
    json!({
        "mount": "pki-int", "name": name, "allowedDomains": ["example.com"], "allowBareDomains": true, "allowSubdomains": true,
        "allowGlobDomains": true, "allowAnyName": false, "enforceHostnames": true, "allowIPSANs": false,
        "allowedURISANs": ["spiffe://example.com/*"], "allowedOtherSANs": ["1.2.3;UTF8:*"], "serverFlag": true,
        "clientFlag": false, "keyType": "ec", "keyBits": 256, "keyUsage": ["DigitalSignature"],
        "extKeyUsage": ["CodeSigning"], "ttl": "2m", "maxTTL": "5m", "issuerRef": "int", "noStore": false, "requireCN": false,
        "parameters": {"allow_localhost": false},
    })
}

async fn chain(scene: &Scene, name: &str) -> Result<(Vec<Link>, Link, String)> {
    let case = &scene.rig.case;
    let spec = json!({
        "mount": "pki-int", "role": "web", "commonName": format!("{name}.example.com"), "ttl": "2m",
        "destination": {"name": name, "create": true, "type": "kubernetes.io/tls"},
    });
    case.object("BaoPKISecret", name, spec).await?;
    let object = case.ready::<BaoPKISecret>(name, "True/Applied").await?;
    let serial = object.status.and_then(|status| status.certificate).context("no certificate")?.serial;
    let data = case.api::<Secret>().get(name).await?.data.unwrap_or_default();
    let text = |key: &str| String::from_utf8_lossy(&data[key].0).into_owned();
    let root = links(&text("ca.crt"))?.into_iter().next().context("no root")?;
    Ok((links(&text("tls.crt"))?, root, serial))
}

fn check_chain(chain: &[Link], root: &Link, name: &str) {
    let subjects: Vec<&str> = chain.iter().map(|link| link.subject.as_str()).collect();
    assert_eq!(subjects, [format!("CN={name}.example.com").as_str(), "CN=Example Intermediate"]);
    assert_eq!(chain[0].issuer, chain[1].key, "the intermediate did not sign");
    assert_eq!(chain[1].issuer, root.key, "the root did not sign");
    assert!(root.subject.contains("CN=Example Root") && root.subject.contains("OU=IT"), "{root:?}");
}

#[tokio::test]
async fn authorities_sign_each_other_and_rotate_while_their_certificates_stay_valid() -> Result<()> {
    let mut scene = Scene::new().await?;
    // The intermediate waits for the root. The response to the creation of the root is lost.
    scene.rig.openbao.lose("/root/generate/internal");
    scene.apply("PKIIssuer", "int", intermediate("int", "pki-int")).await?;
    scene.apply("PKIRole", "web", role("web")).await?;
    scene.apply("PKIRole", "web2", role("web2")).await?;
    scene.apply("PKIIssuer", "root", root()).await?;
    scene.rig.start().await?;
    let created = scene.ready("root").await?.status.context("no status")?;
    let certificate = created.certificate.context("no certificate")?;
    assert_eq!(certificate.common_name, "Example Root");
    assert_eq!(scene.only_names("pki/root", "issuer").await?, ["root"], "a second root exists");
    assert_eq!(scene.only_names("pki/root", "key").await?, ["root"]);
    let first = scene.ready("int").await?.status.context("no status")?;
    for name in ["web", "web2"] {
        scene.rig.case.ready::<PKIRole>(name, "True/Applied").await?;
    }
    assert_eq!(scene.only_names("pki-int", "key").await?, ["int"]);
    let (old_chain, root_link, old_leaf) = chain(&scene, "old").await?;
    check_chain(&old_chain, &root_link, "old");

    settled_and_repaired(&scene).await?;
    rotated(&scene, first.issuer_id.as_deref().unwrap_or_default()).await?;
    // The former issuer still exists and is not revoked, so that the chain of its certificate is complete.
    let former = scene.get(&format!("pki-int/issuer/{}", first.issuer_id.unwrap_or_default())).await?;
    assert_eq!(former["revoked"], false);
    let kept = links(former["certificate"].as_str().unwrap_or_default())?;
    assert_eq!(kept[0], old_chain[1]);
    assert_eq!(scene.get(&format!("pki-int/cert/{old_leaf}")).await?["revocation_time"], 0);
    let (new_chain, root_link, _) = chain(&scene, "new").await?;
    check_chain(&new_chain, &root_link, "new");
    ensure!(new_chain[1].key != old_chain[1].key, "the rotation kept the key");

    mistakes(&scene).await?;
    adopted(&scene).await?;
    crashes(&mut scene).await?;
    deleted(&scene).await
}

/// Nothing is written without a difference, and each change by hand is undone.
async fn settled_and_repaired(scene: &Scene) -> Result<()> {
    scene.rig.openbao.forget();
    scene.passes(&["/v1/pki/root/issuers", "/v1/pki-int/issuers", "/v1/pki-int/roles/web"]).await?;
    assert_eq!(scene.writes(), Vec::<String>::new());
    let issuer = "pki/root/issuer/root";
    let settings = [
        json!({"issuing_certificates": ["http://evil"]}),
        json!({"crl_distribution_points": ["http://evil"]}),
        json!({"ocsp_servers": []}),
        json!({"leaf_not_after_behavior": "err"}),
    ];
    for change in settings {
        scene.repairs(issuer, (Method::PATCH, issuer, change)).await?;
    }
    let id = scene.get(issuer).await?["issuer_id"].as_str().unwrap_or_default().to_owned();
    let by_id = format!("pki/root/issuer/{id}");
    scene.repairs(&by_id, (Method::PATCH, issuer, json!({"issuer_name": "other"}))).await?;
    for change in [json!({"expiry": "24h"}), json!({"auto_rebuild": false}), json!({"ocsp_expiry": "2h"})] {
        scene.repairs("pki/root/config/crl", (Method::POST, "pki/root/config/crl", change)).await?;
    }
    // Each parameter of the role. `PATCH` changes one and keeps the others.
    let changes = json!({
        "allowed_domains": ["evil.com"], "allow_bare_domains": false, "allow_subdomains": false, "allow_glob_domains": false,
        "allow_any_name": true, "enforce_hostnames": false, "allow_ip_sans": true, "allowed_uri_sans": ["*"],
        "allowed_other_sans": ["*"], "server_flag": false, "client_flag": true, "key_bits": 384,
        "key_usage": ["KeyAgreement"], "ext_key_usage": [], "ttl": "1m", "max_ttl": "9m", "issuer_ref": "default",
        "no_store": true, "require_cn": true, "allow_localhost": true,
    });
    // Two roles, because repairs of one object are paused after twenty in a short time.
    let paths = ["pki-int/roles/web", "pki-int/roles/web2"];
    for ((name, value), path) in changes.as_object().into_iter().flatten().zip(paths.into_iter().cycle()) {
        scene.repairs(path, (Method::PATCH, path, json!({name: value}))).await?;
    }
    let path = paths[0];
    scene.repairs(path, (Method::PATCH, path, json!({"key_type": "any", "key_bits": 0}))).await
}

async fn rotated(scene: &Scene, first: &str) -> Result<()> {
    scene.patch("int", json!({"renewBefore": "2h"})).await?;
    scene.says("int", "False/Invalid", "more than half of the lifetime").await?;
    let next = json!({"ttl": "2400h", "parameters": null});
    scene.patch("int", json!({"renewBefore": "1h", "intermediate": next})).await?;
    eventually("another issuer has the name", || async {
        let object = scene.issuers().get("int").await.map_err(|error| error.to_string())?;
        let id = object.status.and_then(|status| status.issuer_id).unwrap_or_default();
        if id != first { Ok(()) } else { Err(id) }
    })
    .await?;
    let object = scene.ready("int").await?;
    let id = object.status.context("no status")?.issuer_id.context("no issuer")?;
    assert_eq!(scene.get("pki-int/issuer/int").await?["issuer_id"], id);
    assert_eq!(scene.get("pki-int/config/issuers").await?["default"], id);
    let keys = scene.only_names("pki-int", "key").await?;
    ensure!(keys.len() == 2 && keys[0] == "int" && keys[1].starts_with("int-"), "{keys:?}");
    let former = scene.names("pki-int", "issuer").await?;
    ensure!(former.iter().any(|(name, id)| *name == keys[1] && id == first), "{former:?}");
    scene.rig.openbao.forget();
    scene.passes(&["/v1/pki-int/issuers"]).await?;
    assert_eq!(scene.writes(), Vec::<String>::new(), "a rotation does not settle");
    Ok(())
}

async fn mistakes(scene: &Scene) -> Result<()> {
    scene.rig.openbao.forget();
    let mut late = intermediate("late", "pki-int");
    late["intermediate"]["ttl"] = json!("17521h");
    scene.apply("PKIIssuer", "late", late).await?;
    scene.says("late", "False/Invalid", "would expire after that of its parent PKIIssuer").await?;
    let mut deep = intermediate("deep", "pki-int");
    deep["intermediate"]["parentRef"]["name"] = json!("int");
    scene.apply("PKIIssuer", "deep", deep).await?;
    scene.says("deep", "False/Invalid", "max path length of zero").await?;
    let mut lost = intermediate("lost", "pki-int");
    lost["intermediate"]["parentRef"]["name"] = json!("absent");
    scene.apply("PKIIssuer", "lost", lost).await?;
    scene.says("lost", "False/ReferenceNotFound", "absent").await?;
    let mut nowhere = root();
    nowhere["mount"] = json!("pki-nowhere");
    scene.apply("PKIIssuer", "nowhere", nowhere).await?;
    scene.says("nowhere", "False/SourceMissing", "mount pki-nowhere does not exist").await?;
    let mut second = root();
    second["issuerName"] = json!("second");
    scene.apply("PKIIssuer", "second", second).await?;
    let text = "PKIIssuer pki-issuers/root already sets default of mount pki/root";
    scene.says("second", "False/Conflict", text).await?;
    scene.patch("second", json!({"default": false})).await?;
    let text = "PKIIssuer pki-issuers/root already sets crl of mount pki/root";
    scene.says("second", "False/Conflict", text).await?;
    assert_eq!(scene.only_names("pki/root", "issuer").await?, ["root"]);
    let mut observed = intermediate("observed", "pki-hand");
    observed["mode"] = json!("Observe");
    scene.apply("PKIIssuer", "observed", observed).await?;
    let object = scene.rig.case.ready::<PKIIssuer>("observed", "True/Drifted").await?;
    let plan = object.status.context("no status")?.lifecycle.plan;
    assert_eq!(plan[0].path, "pki-hand/intermediate/generate/internal");
    let names = scene.names("pki-hand", "key").await?;
    ensure!(names.is_empty(), "{names:?}");
    observed_role(scene).await?;
    for name in ["late", "deep", "lost", "nowhere", "second", "observed"] {
        scene.issuers().delete(name, &DeleteParams::default()).await?;
        gone(&scene.issuers(), name).await?;
    }
    Ok(())
}

/// A role under `mode: Observe` has a plan, and nothing is written.
async fn observed_role(scene: &Scene) -> Result<()> {
    let mut observed = role("seen");
    observed["mode"] = json!("Observe");
    scene.apply("PKIRole", "seen", observed).await?;
    let roles: Api<PKIRole> = scene.rig.case.api();
    let object = serde_json::to_value(scene.rig.case.ready::<PKIRole>("seen", "True/Drifted").await?)?;
    let plan = &object["status"]["plan"];
    ensure!(plan[0]["operation"] == "Create" && plan[0]["path"] == "pki-int/roles/seen", "{object}");
    roles.delete("seen", &DeleteParams::default()).await?;
    gone(&roles, "seen").await?;
    let writes = scene.rig.writes(|path| path.contains("/roles/seen"));
    ensure!(writes.is_empty(), "{writes:?}");
    Ok(())
}

/// An issuer that was made by hand is adopted without a write, and never generated again.
async fn adopted(scene: &Scene) -> Result<()> {
    let made = json!({"common_name": "By Hand", "issuer_name": "hand", "key_type": "rsa", "ttl": "8760h"});
    let id = scene.post("pki-hand/root/generate/internal", made).await?["issuer_id"].clone();
    let made =
        json!({"common_name": "By Hand", "issuer_name": "hand-next", "key_type": "rsa", "ttl": "8760h"});
    scene.post("pki-hand/root/generate/internal", made).await?;
    scene.rig.openbao.forget();
    let spec = |name: &str, key: &str| {
        json!({
            "mount": "pki-hand", "issuerName": "hand", "root": {"commonName": name, "keyType": key, "ttl": "8760h"},
            "parameters": {"usage": ["read-only", "issuing-certificates", "crl-signing", "ocsp-signing"]},
        })
    };
    scene.apply("PKIIssuer", "hand", spec("By Hand", "ec")).await?;
    scene.says("hand", "False/Conflict", "set adopt: IfUnowned").await?;
    scene.patch("hand", json!({"adopt": "IfUnowned"})).await?;
    scene.says("hand", "False/Conflict", "has a key of type rsa instead of ec").await?;
    scene.patch("hand", json!({"root": {"keyType": "rsa"}})).await?;
    // An adoption never continues a rotation of someone else.
    scene.says("hand", "False/Conflict", "has the name of the next issuer of a rotation").await?;
    assert_eq!(scene.writes(), Vec::<String>::new(), "an adoption wrote");
    let renamed = json!({"issuer_name": "foreign"});
    scene.admin.request_any(Method::PATCH, "pki-hand/issuer/hand-next", Some(renamed)).await?;
    scene.rig.openbao.forget();
    scene.nudge().await?;
    let status = scene.ready("hand").await?.status.context("no status")?;
    assert_eq!(json!(status.issuer_id), id);
    assert_eq!(scene.writes(), Vec::<String>::new(), "an adoption wrote");
    scene.issuers().delete("hand", &DeleteParams::default()).await?;
    gone(&scene.issuers(), "hand").await?;
    assert_eq!(scene.get("pki-hand/issuer/hand").await?["issuer_id"], id, "values were not kept");
    scene
        .apply("PKIIssuer", "hand", {
            let mut other = spec("Another", "rsa");
            other["adopt"] = json!("IfUnowned");
            other
        })
        .await?;
    scene.says("hand", "False/Conflict", "has the common name By Hand instead of Another").await?;
    assert_eq!(scene.only_names("pki-hand", "issuer").await?, ["foreign", "hand"]);
    Ok(())
}

/// The operator is killed before each of its requests for an intermediate.
async fn crashes(scene: &mut Scene) -> Result<()> {
    for requests in 0..4_usize {
        let name = format!("crash-{requests}");
        scene.rig.openbao.cut_each_after(requests, |asked| {
            (asked.writes()
                && (asked.path.contains("/pki-crash/") || asked.path.ends_with("/sign-intermediate")))
            .then_some("pki")
        });
        scene.apply("PKIIssuer", &name, intermediate(&name, "pki-crash")).await?;
        scene.rig.openbao.holds("pki").await;
        scene.rig.kill().await?;
        scene.rig.openbao.open();
        scene.rig.start().await?;
        scene.ready(&name).await?;
        let keys = scene.only_names("pki-crash", "key").await?;
        assert_eq!(keys.len(), requests + 1, "{keys:?}");
        let issuers = scene.only_names("pki-crash", "issuer").await?;
        let named: Vec<_> = issuers.iter().filter(|name| !name.is_empty()).collect();
        assert_eq!(named.len(), requests + 1, "{issuers:?}");
    }
    Ok(())
}

/// `Delete` removes all issuers and their keys. A role is removed with both policies.
async fn deleted(scene: &Scene) -> Result<()> {
    scene.patch("int", json!({"deletionPolicy": "Delete"})).await?;
    scene.ready("int").await?;
    scene.issuers().delete("int", &DeleteParams::default()).await?;
    gone(&scene.issuers(), "int").await?;
    // The key of the issuer that its parent did not sign was kept, because its object had `deletionPolicy: Retain`.
    assert_eq!(scene.only_names("pki-int", "key").await?, ["deep"]);
    let named: Vec<_> =
        scene.only_names("pki-int", "issuer").await?.into_iter().filter(|name| !name.is_empty()).collect();
    assert_eq!(named, Vec::<String>::new());
    let roles: Api<PKIRole> = scene.rig.case.api();
    roles.delete("web", &DeleteParams::default()).await?;
    gone(&roles, "web").await?;
    let found = scene.get("pki-int/roles/web").await;
    ensure!(found.is_err(), "{found:?}");
    scene.issuers().delete("root", &DeleteParams::default()).await?;
    gone(&scene.issuers(), "root").await?;
    assert_eq!(scene.only_names("pki/root", "issuer").await?, ["root"]);
    Ok(())
}
