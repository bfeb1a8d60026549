//! Requests of the operator, from the audit logs of the servers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use anyhow::Result;
use serde_json::Value;
use steamer_testing::Ground;

/// Number of requests of each kind.
pub(super) type Counts = BTreeMap<String, usize>;

/// End of the logs at the start of a measurement.
pub(super) struct Since {
    kubernetes: u64,
    openbao: u64,
}

impl Since {
    pub(super) fn now(ground: &Ground) -> Result<Self> {
        let end = |path: &Path| std::fs::metadata(path).map(|found| found.len());
        Ok(Self { kubernetes: end(&ground.plane.audit)?, openbao: end(&ground.openbao.audit)? })
    }

    /// Returns the requests since then.
    pub(super) fn counts(&self, ground: &Ground) -> Result<Counts> {
        let mut counts = Counts::new();
        for (path, start, kind) in [
            (&ground.plane.audit, self.kubernetes, of_kubernetes as fn(&Value) -> Option<String>),
            (&ground.openbao.audit, self.openbao, of_openbao),
        ] {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(start))?;
            for line in BufReader::new(file).lines() {
                if let Some(kind) = serde_json::from_str(&line?).ok().as_ref().and_then(kind) {
                    *counts.entry(kind).or_default() += 1;
                }
            }
        }
        Ok(counts)
    }
}

fn of_kubernetes(line: &Value) -> Option<String> {
    let text = |path: &str| line.pointer(path).and_then(Value::as_str).unwrap_or_default();
    if !text("/user/username").ends_with(":steamer-system:steamer") || text("/stage") != "ResponseComplete" {
        return None;
    }
    let kind = match (text("/objectRef/resource"), text("/objectRef/subresource"), text("/verb")) {
        (_, _, "watch") | ("leases", ..) => return None,
        ("events", ..) => "Kubernetes: Events",
        (_, "status", _) => "Kubernetes: status writes",
        (_, "token", _) => "Kubernetes: tokens",
        ("secrets", _, "create" | "update" | "patch" | "delete") => "Kubernetes: Secret writes",
        (_, _, "create" | "update" | "patch" | "delete") => "Kubernetes: other writes",
        _ => "Kubernetes: reads",
    };
    Some(kind.to_owned())
}

fn of_openbao(line: &Value) -> Option<String> {
    let text = |path: &str| line.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let by_admin = text("/auth/display_name") == "root";
    if text("/type") != "response" || by_admin {
        return None;
    }
    let (path, operation) = (text("/request/path"), text("/request/operation"));
    let kind = match operation {
        _ if path == "auth/token/renew-self" => "OpenBao: token renewals",
        _ if path == "sys/leases/renew" => "OpenBao: lease renewals",
        _ if path.contains("/creds/") => "OpenBao: credentials",
        _ if path.contains("/issue/") => "OpenBao: certificates",
        _ if path.ends_with("login") || path.contains("auth/token/") => "OpenBao: logins",
        "read" if path.contains("/data/") => "OpenBao: value reads",
        "read" | "list" => "OpenBao: other reads",
        _ if path == "sys/health" || path.ends_with("capabilities-self") => "OpenBao: other reads",
        _ => "OpenBao: writes",
    };
    Some(kind.to_owned())
}
