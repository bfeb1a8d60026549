//! Auth methods of a store with an identity of AWS or Google.

use serde_json::json;

use super::credentials::{named_secret, unused};
use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::task::Task;

/// References to the parts of an access key, and the keys of the Secret that Steamer reads.
const ACCESS_KEY: &[(&str, &str)] = &[
    ("accessKeyIDSecretRef", "access_key_id"),
    ("secretAccessKeySecretRef", "secret_access_key"),
    ("sessionTokenSecretRef", "session_token"),
];

/// Fields of a cluster of GKE. External Secrets Operator asks the metadata server of its node for those that are missing.
const CLUSTER: &[(&str, &str)] = &[
    ("clusterLocation", "gcp.region"),
    ("clusterName", "gcp.clusterName"),
    ("clusterProjectID", "gcp.projectID"),
];

/// Moves the method `iam`.
pub(super) fn aws(task: &mut Task<'_>, from: &mut Cursor, login: &mut Draft) {
    login.rename(from, "path", "mount");
    login.rename(from, "vaultRole", "aws.role");
    login.rename(from, "vaultAwsIamServerID", "aws.headerValue");
    region(task, from, login);
    if from.has("jwt") {
        unused(task, from, ("secretRef", "jwt"));
        from.within("jwt", |jwt| account(task, jwt, login, "aws.irsaServiceAccount"));
    } else if from.has("secretRef") {
        access_key(task, from, login);
    } else {
        of_pod(task, from, "aws.irsaServiceAccount or aws.secretRef");
    }
    of_cluster(task, from);
}

/// Moves the method `gcp`. Steamer has no other identity than workload identity of GKE.
pub(super) fn gcp(task: &mut Task<'_>, from: &mut Cursor, login: &mut Draft) {
    login.rename(from, "path", "mount");
    login.rename(from, "role", "gcp.role");
    if !["secretRef", "workloadIdentity", "serviceAccountRef"].iter().any(|field| from.has(field)) {
        of_pod(task, from, "gcp with workload identity of GKE");
    }
    from.within("workloadIdentity", |from| {
        for &(field, to) in CLUSTER {
            if !from.has(field) {
                let action = format!("Steamer does not ask the metadata server of the node: write {to}");
                task.review(from.path(field), None, action);
            }
            login.rename(from, field, to);
        }
        account(task, from, login, "gcp.workloadIdentityServiceAccount");
    });
    of_cluster(task, from);
}

/// Moves the region. Without one, both operators sign for `us-east-1` with the global endpoint.
fn region(task: &mut Task<'_>, from: &mut Cursor, login: &mut Draft) {
    from.expect("region", &json!("us-east-1"));
    login.rename(from, "region", "aws.region");
    if login.get("aws.region").is_some() {
        let text = "Steamer signs for the STS endpoint of this region: if the auth mount uses another endpoint, write it into aws.stsEndpoint";
        task.note(from.path("region"), text);
    }
}

/// Moves the references to one Secret. References to several Secrets stay.
fn access_key(task: &mut Task<'_>, from: &mut Cursor, login: &mut Draft) {
    from.within("secretRef", |keys| {
        let mut references = ACCESS_KEY.iter().filter_map(|(field, _)| keys.peek(field));
        let first = references.next();
        let is_one = first.is_some_and(|first| {
            references.all(|it| it["name"] == first["name"] && it["namespace"] == first["namespace"])
        });
        if !is_one {
            return;
        }
        for &(field, key) in ACCESS_KEY {
            keys.within(field, |from| named_secret(task, from, login, (key, "aws.secretRef")));
        }
    });
}

/// Moves a reference to a ServiceAccount that the cloud provider knows. Its audiences stay.
fn account(task: &mut Task<'_>, from: &mut Cursor, login: &mut Draft, to: &str) {
    from.within("serviceAccountRef", |from| {
        login.rename(from, "name", to);
        if let Some(namespace) = from.take("namespace") {
            task.review(
                from.path("namespace"),
                Some(&namespace),
                "Steamer uses the ServiceAccount of this name in the namespace of each object that reads: create it there, with the same annotations and the same rights in the cloud",
            );
        }
    });
}

/// Reports a method without an identity.
fn of_pod(task: &mut Task<'_>, from: &Cursor, what: &str) {
    let text = "External Secrets Operator logs in with the identity of its pod, and Steamer does not";
    task.review(from.here(), None, format!("{text}: write {what}"));
}

/// A login for other namespaces is accepted only in the namespace of the operator.
fn of_cluster(task: &mut Task<'_>, from: &Cursor) {
    if task.origin.kind == "ClusterSecretStore" {
        let text = "Steamer accepts this method for objects of other namespaces only from the namespace of the operator: convert with --store-namespace and this namespace";
        task.note(from.here(), text);
    }
}
