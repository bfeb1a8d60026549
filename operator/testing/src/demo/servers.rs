//! PostgreSQL, OpenBao and an issuer as pods.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use steamer_controllers::operator_policy;
use steamer_openbao::{Client, Identity, Session, Settings};

use super::cluster::NODE_PORT;
use super::{ISSUER_URL, OPERATOR, SERVERS, labels};
use crate::certificates::Authority;
use crate::issuer::JwtIssuer;
use crate::kubectl::Kubectl;
use crate::nodes::NODE;
use crate::openbao::configuration;
use crate::postgres::TABLES;
use crate::tools;
use crate::wait::eventually;

/// What is made once a cluster.
pub(super) struct Secrets {
    pub(super) ca: String,
    pub(super) ca_file: PathBuf,
    certificate: String,
    key: String,
    password: String,
    pub(super) issuer_key: Vec<u8>,
}

impl Secrets {
    /// Those of this cluster, made when it is new.
    pub(super) fn load(folder: &Path) -> Result<Self> {
        let file = |name: &str| folder.join(name);
        if !file("issuer.key").exists() {
            let authority = Authority::new("OpenBao test CA")?;
            let names = [
                NODE,
                "127.0.0.1",
                "openbao",
                "openbao.openbao",
                "openbao.openbao.svc",
                "openbao.openbao.svc.cluster.local",
            ];
            authority.leaf("openbao", None, &names)?.write(folder, "bao")?;
            std::fs::write(file("bao-ca.crt"), &authority.pem)?;
            std::fs::write(file("password"), uuid()?)?;
            let issuer = JwtIssuer::at(ISSUER_URL.to_owned())?;
            std::fs::write(file("issuer.key"), issuer.private_key("key-1")?)?;
        }
        let read = |name: &str| std::fs::read_to_string(file(name)).with_context(|| name.to_owned());
        Ok(Self {
            ca: read("bao-ca.crt")?,
            ca_file: file("bao-ca.crt"),
            certificate: read("bao.crt")?,
            key: read("bao.key")?,
            password: read("password")?,
            issuer_key: std::fs::read(file("issuer.key"))?,
        })
    }
}

fn uuid() -> Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned())
}

/// OpenBao as its administrator sees it from the host.
pub(super) struct Bao {
    pub(super) address: String,
    pub(super) token: SecretString,
    client: Client,
}

impl Bao {
    pub(super) fn admin(&self) -> Session {
        self.client.session(Identity::Token(self.token.clone()))
    }

    pub(super) fn anonymous(&self) -> Session {
        self.client.session(Identity::Anonymous)
    }

    pub(super) fn with_token(&self, token: &str) -> Session {
        self.client.session(Identity::Token(token.to_owned().into()))
    }
}

/// Logs the demo's administrator in: a ServiceAccount's token is all it takes.
pub(super) async fn login(kubectl: &Kubectl, secrets: &Secrets, address: &str) -> Result<Bao> {
    let client = Client::new(&Settings {
        addresses: vec![address.to_owned()],
        ca: secrets.ca.clone().into_bytes(),
        timeout: Some(Duration::from_secs(15)),
        ..Settings::default()
    })?;
    let anonymous = client.session(Identity::Anonymous);
    eventually("OpenBao answers on the host", || async {
        match anonymous.health().await {
            Ok(health) if health.initialized && !health.sealed && !health.standby => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let jwt = kubectl.run(&[
        "--namespace",
        SERVERS,
        "create",
        "token",
        "administrator",
        "--audience",
        "openbao",
    ])?;
    let body = json!({"role": "administrator", "jwt": jwt.trim()});
    let answer = anonymous.request_any(Method::POST, "auth/kubernetes/login", Some(body)).await?;
    let token = answer.pointer("/auth/client_token").and_then(Value::as_str).context("no token")?;
    Ok(Bao { address: address.to_owned(), token: token.to_owned().into(), client })
}

/// All objects.
pub(super) fn objects(secrets: &Secrets) -> Result<Vec<Value>> {
    let mut all = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SERVERS, "labels": labels()}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR}}),
    ];
    all.extend(postgres(secrets));
    all.extend(openbao(secrets)?);
    all.extend(issuer(secrets));
    Ok(all)
}

fn meta(name: &str) -> Value {
    json!({"name": name, "namespace": SERVERS, "labels": labels()})
}

fn service(name: &str, port: u16, node_port: Option<u16>) -> Value {
    let ports = match node_port {
        Some(node_port) => json!([{"port": port, "targetPort": port, "nodePort": node_port}]),
        None => json!([{"port": port, "targetPort": port}]),
    };
    let kind = if node_port.is_some() { "NodePort" } else { "ClusterIP" };
    json!({"apiVersion": "v1", "kind": "Service", "metadata": meta(name), "spec": {"type": kind, "selector": {"app": name}, "ports": ports}})
}

fn secret(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta(name), "stringData": data})
}

fn workload(kind: &str, name: &str, pod: &Value) -> Value {
    let mut spec = json!({
        "replicas": 1, "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
    });
    if kind == "StatefulSet" {
        spec["serviceName"] = json!(name);
    }
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": meta(name), "spec": spec})
}

fn restricted() -> Value {
    json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}})
}

fn postgres(secrets: &Secrets) -> Vec<Value> {
    // Single-user mode takes one statement a line.
    let tables: Vec<String> = TABLES
        .split(';')
        .map(|table| table.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|table| !table.is_empty())
        .collect();
    let bin = "/usr/lib/postgresql/15/bin";
    let script = format!(
        "set -e\nif [ ! -s /data/pg/PG_VERSION ]; then\n  \
         {bin}/initdb --username=postgres --pwfile=/credentials/password --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 -D /data/pg\n  \
         printf 'host all all all scram-sha-256\\n' >> /data/pg/pg_hba.conf\n  \
         printf 'CREATE DATABASE openbao;\\n' | {bin}/postgres --single -D /data/pg postgres\n  \
         printf '%s\\n' \"$TABLES\" | {bin}/postgres --single -D /data/pg openbao\nfi\n\
         exec {bin}/postgres -D /data/pg -c listen_addresses='*' -c unix_socket_directories=/tmp\n"
    );
    let pod = json!({
        "securityContext": {"runAsUser": 65532, "runAsGroup": 65532, "runAsNonRoot": true, "fsGroup": 65532},
        "containers": [{
            "name": "postgres", "image": "steamer.test/postgres:15", "imagePullPolicy": "Never",
            "args": [script], "env": [{"name": "TABLES", "value": tables.join(";\n") + ";"}],
            "ports": [{"containerPort": 5432}], "securityContext": restricted(),
            "readinessProbe": {"tcpSocket": {"port": 5432}, "periodSeconds": 1},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "tmp", "mountPath": "/tmp"}, {"name": "credentials", "mountPath": "/credentials"}],
        }],
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}, {"name": "credentials", "secret": {"secretName": "postgres"}}],
    });
    vec![
        secret("postgres", &json!({"password": secrets.password})),
        service("postgres", 5432, None),
        workload("Deployment", "postgres", &pod),
    ]
}

fn openbao(secrets: &Secrets) -> Result<Vec<Value>> {
    let account = |name: &str| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(name)});
    let reviews = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "openbao-reviews-tokens", "labels": labels()},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
        "subjects": [{"kind": "ServiceAccount", "name": "openbao", "namespace": SERVERS}],
    });
    let pod = json!({
        "serviceAccountName": "openbao",
        "securityContext": {"runAsUser": 65532, "runAsGroup": 65532, "runAsNonRoot": true, "fsGroup": 65532},
        "containers": [{
            "name": "openbao", "image": format!("steamer.test/openbao:{}", tools::OPENBAO), "imagePullPolicy": "Never",
            "args": ["server", "-config=/config/openbao.json"],
            "env": [{"name": "BAO_PG_CONNECTION_URL", "valueFrom": {"secretKeyRef": {"name": "openbao-storage", "key": "url"}}}],
            "ports": [{"containerPort": 8200}], "securityContext": restricted(),
            "readinessProbe": {"httpGet": {"scheme": "HTTPS", "path": "/v1/sys/health?standbyok=true", "port": 8200}, "periodSeconds": 1},
            "livenessProbe": {"tcpSocket": {"port": 8200}, "initialDelaySeconds": 30},
            "volumeMounts": [{"name": "config", "mountPath": "/config"}, {"name": "tls", "mountPath": "/tls"}, {"name": "tmp", "mountPath": "/tmp"}],
        }],
        "volumes": [
            {"name": "config", "secret": {"secretName": "openbao-config"}}, {"name": "tls", "secret": {"secretName": "openbao-tls"}},
            {"name": "tmp", "emptyDir": {}},
        ],
    });
    let url = format!(
        "postgres://postgres:{}@postgres.{SERVERS}.svc:5432/openbao?sslmode=disable",
        secrets.password
    );
    Ok(vec![
        account("openbao"),
        account("administrator"),
        reviews,
        secret("openbao-storage", &json!({"url": url})),
        secret("openbao-config", &json!({"openbao.json": serde_json::to_string(&config())?})),
        secret("openbao-tls", &json!({"tls.crt": secrets.certificate, "tls.key": secrets.key})),
        secret("openbao-ca", &json!({"ca.crt": secrets.ca})),
        service("openbao", 8200, Some(NODE_PORT)),
        workload("StatefulSet", "openbao", &pod),
    ])
}

/// The server's settings, and what it does at its very first start: logins for the operator and the administrator.
fn config() -> Value {
    let listener = json!({
        "address": "[::]:8200", "cluster_address": "[::]:8201", "tls_cert_file": "/tls/tls.crt", "tls_key_file": "/tls/tls.key",
    });
    let mut config = configuration("https://openbao.openbao.svc:8200", &listener, "");
    config["cluster_addr"] = json!("https://openbao.openbao.svc:8201");
    let everything = json!({"path": {"*": {"capabilities": ["create", "read", "update", "patch", "delete", "list", "scan", "sudo"]}}});
    let request = |name: &str, path: &str, data: Value| json!({name: {"operation": "update", "path": path, "data": data}});
    let role = |account: &str, namespace: &str, policy: &str, ttl: &str| {
        json!({
            "bound_service_account_names": [account], "bound_service_account_namespaces": [namespace],
            "audience": "openbao", "token_policies": [policy], "token_ttl": ttl,
        })
    };
    config["initialize"] = json!([{"demo": {"request": [
        request("operator_policy", "sys/policies/acl/steamer", json!({"policy": operator_policy::text()})),
        request("admin_policy", "sys/policies/acl/administrator", json!({"policy": everything.to_string()})),
        request("kubernetes", "sys/auth/kubernetes", json!({"type": "kubernetes"})),
        request("kubernetes_config", "auth/kubernetes/config", json!({"kubernetes_host": "https://kubernetes.default.svc"})),
        request("operator_role", "auth/kubernetes/role/steamer", role("steamer", OPERATOR, "steamer", "10m")),
        request("admin_role", "auth/kubernetes/role/administrator", role("administrator", SERVERS, "administrator", "168h")),
    ]}}]);
    config
}

fn issuer(secrets: &Secrets) -> Vec<Value> {
    use base64::Engine;
    let key = base64::engine::general_purpose::STANDARD.encode(&secrets.issuer_key);
    let pod = json!({
        "securityContext": {"runAsUser": 65532, "runAsGroup": 65532, "runAsNonRoot": true, "fsGroup": 65532},
        "automountServiceAccountToken": false,
        "containers": [{
            "name": "issuer", "image": "steamer.test/issuer:1", "imagePullPolicy": "Never",
            "args": [ISSUER_URL, "0.0.0.0:8080", "/key/issuer.key"], "ports": [{"containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/keys", "port": 8080}, "periodSeconds": 1},
            "securityContext": restricted(), "volumeMounts": [{"name": "key", "mountPath": "/key"}],
        }],
        "volumes": [{"name": "key", "secret": {"secretName": "gitlab-key"}}],
    });
    let key = json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta("gitlab-key"), "data": {"issuer.key": key}});
    vec![key, service("gitlab", 8080, None), workload("Deployment", "gitlab", &pod)]
}
