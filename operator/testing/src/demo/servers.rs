//! PostgreSQL and an issuer in pods, and the objects that the OpenBaoCluster sample refers to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use steamer_openbao::{Client, Identity, Outgoing, Session, Settings};

use super::cluster::NODE_PORT;
use super::{ISSUER_URL, OPERATOR, SERVERS, labels};
use crate::certificates::Authority;
use crate::issuer::JwtIssuer;
use crate::kubectl::Kubectl;
use crate::nodes::NODE;
use crate::tools;
use crate::wait::eventually;

/// Keys, certificates and passwords of one cluster.
pub(super) struct Secrets {
    /// File with the CA of OpenBao, for `bao` on the host.
    pub(super) ca_file: PathBuf,
    postgres_ca: String,
    certificate: String,
    key: String,
    pub(super) password: String,
    pub(super) issuer_key: Vec<u8>,
}

impl Secrets {
    /// Loads the secrets of this cluster, and creates them for a new cluster.
    pub(super) fn load(folder: &Path) -> Result<Self> {
        let file = |name: &str| folder.join(name);
        if !file("issuer.key").exists() {
            let authority = Authority::new("PostgreSQL test CA")?;
            authority
                .leaf("postgres", None, &["postgres", "postgres.openbao.svc"])?
                .write(folder, "postgres")?;
            std::fs::write(file("postgres-ca.crt"), &authority.pem)?;
            std::fs::write(file("password"), uuid()?)?;
            let issuer = JwtIssuer::at(ISSUER_URL.to_owned())?;
            std::fs::write(file("issuer.key"), issuer.private_key("key-1")?)?;
        }
        let read = |name: &str| std::fs::read_to_string(file(name)).with_context(|| name.to_owned());
        Ok(Self {
            ca_file: file("bao-ca.crt"),
            postgres_ca: read("postgres-ca.crt")?,
            certificate: read("postgres.crt")?,
            key: read("postgres.key")?,
            password: read("password")?,
            issuer_key: std::fs::read(file("issuer.key"))?,
        })
    }
}

fn uuid() -> Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned())
}

/// OpenBao, and its administrator's token, on the host.
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

/// Logs in as the administrator of the demonstration, with a ServiceAccount token.
pub(super) async fn login(kubectl: &Kubectl, secrets: &Secrets, address: &str) -> Result<Bao> {
    let ca = kubectl.run(&[
        "--namespace",
        SERVERS,
        "get",
        "configmap",
        "main-ca",
        "-o",
        r"jsonpath={.data.ca\.crt}",
    ])?;
    std::fs::write(&secrets.ca_file, &ca)?;
    let client = Client::new(&Settings {
        addresses: vec![address.to_owned()],
        ca: ca.into_bytes(),
        timeout: Some(Duration::from_secs(15)),
        outgoing: Outgoing::LOOPBACK,
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
        "openbao:openbao/main",
    ])?;
    let body = json!({"role": "admin", "jwt": jwt.trim()});
    let answer = anonymous.request_any(Method::POST, "auth/kubernetes/login", Some(body)).await?;
    let token = answer.pointer("/auth/client_token").and_then(Value::as_str).context("no token")?;
    Ok(Bao { address: address.to_owned(), token: token.to_owned().into(), client })
}

/// Objects of the servers.
pub(super) fn objects(secrets: &Secrets) -> Result<Vec<Value>> {
    let mut all = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SERVERS, "labels": labels()}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR}}),
    ];
    all.extend(postgres(secrets));
    all.extend(openbao(secrets));
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
    let bin = "/usr/lib/postgresql/15/bin";
    // Single-user mode reads one statement per line.
    let script = format!(
        "set -e\nif [ ! -s /data/pg/PG_VERSION ]; then\n  \
         {bin}/initdb --username=postgres --pwfile=/credentials/password --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 -D /data/pg\n  \
         printf 'hostssl all all all scram-sha-256\\n' >> /data/pg/pg_hba.conf\n  \
         printf '%s\\n' \"CREATE ROLE owner LOGIN PASSWORD '$PASSWORD';\" \"CREATE ROLE admin LOGIN CREATEROLE PASSWORD '$PASSWORD';\" \
         'GRANT pg_signal_backend TO admin;' 'CREATE ROLE app;' 'CREATE DATABASE openbao OWNER owner;' | {bin}/postgres --single -D /data/pg postgres\nfi\n\
         exec {bin}/postgres -D /data/pg -c listen_addresses='*' -c unix_socket_directories=/tmp -c ssl=on -c ssl_cert_file=/credentials/tls.crt -c ssl_key_file=/credentials/tls.key\n"
    );
    let pod = json!({
        "securityContext": {"runAsUser": 65532, "runAsGroup": 65532, "runAsNonRoot": true, "fsGroup": 65532},
        "containers": [{
            "name": "postgres", "image": "steamer.test/postgres:15", "imagePullPolicy": "Never",
            "args": [script],
            "env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "postgres", "key": "password"}}}],
            "ports": [{"containerPort": 5432}], "securityContext": restricted(),
            "readinessProbe": {"tcpSocket": {"port": 5432}, "periodSeconds": 1},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "tmp", "mountPath": "/tmp"}, {"name": "credentials", "mountPath": "/credentials"}],
        }],
        "volumes": [
            {"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}},
            // PostgreSQL accepts a key of root that only the group can read.
            {"name": "credentials", "secret": {"secretName": "postgres", "defaultMode": 0o440}},
        ],
    });
    let data = json!({"password": secrets.password, "tls.crt": secrets.certificate, "tls.key": secrets.key});
    vec![secret("postgres", &data), service("postgres", 5432, None), workload("Deployment", "postgres", &pod)]
}

/// Objects that the OpenBaoCluster sample refers to, as CloudNativePG and an administrator create them, and a Service
/// for clients on the host.
fn openbao(secrets: &Secrets) -> Vec<Value> {
    let login = json!({
        "host": "postgres", "port": "5432", "dbname": "openbao", "username": "owner", "password": secrets.password,
    });
    let ports = json!([{"port": 8200, "targetPort": 8200, "nodePort": NODE_PORT}]);
    let selector = json!({"steamer.dev/cluster": "main", "openbao-active": "true"});
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("administrator")}),
        secret("pg-app", &login),
        secret("pg-admin", &json!({"username": "admin", "password": secrets.password})),
        secret("pg-ca", &json!({"ca.crt": secrets.postgres_ca})),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": meta("openbao-host"), "spec": {"type": "NodePort", "selector": selector, "ports": ports}}),
    ]
}

/// Changes a sample for the demonstration: local images, and certificates with the addresses of the host.
pub(super) fn demonstrated(mut object: Value) -> Value {
    if let Some(managed) = object.pointer_mut("/spec/managed") {
        managed["image"] = json!(format!("steamer.test/openbao:{}", tools::OPENBAO));
        managed["imagePullPolicy"] = json!("Never");
        managed["tls"] = json!({"extraNames": [NODE, "127.0.0.1"]});
    }
    object
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
