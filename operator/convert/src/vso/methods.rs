//! Auth methods of VaultAuth and VaultAuthGlobal.

use serde_json::{Value, json};

use crate::consents;
use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::task::Task;

/// Method of VSO, which is the name of its block, method of Steamer, and fields of the block that both have.
const METHODS: &[(&str, &str, &[&str])] = &[
    ("kubernetes", "Kubernetes", &["role", "serviceAccount", "audiences", "tokenExpirationSeconds"]),
    ("jwt", "JWT", &["role", "secretRef", "serviceAccount", "audiences", "tokenExpirationSeconds"]),
    ("appRole", "AppRole", &["roleId", "secretRef", "secretIDPath"]),
    (
        "aws",
        "AWS",
        &["role", "region", "headerValue", "sessionName", "stsEndpoint", "secretRef", "irsaServiceAccount"],
    ),
    ("gcp", "GCP", &["role", "workloadIdentityServiceAccount", "region", "clusterName", "projectID"]),
];

/// Fields that only the blocks of a VaultAuthGlobal have.
const GLOBAL: &[&str] = &["namespace", "mount", "params", "headers"];

/// Moves the name of the method. Another text stays.
pub(super) fn chosen(spec: &mut Cursor, draft: &mut Draft, field: &str) {
    let path = spec.path(field);
    let method = spec.peek(field).and_then(Value::as_str);
    let Some((_, method, _)) = METHODS.iter().find(|(theirs, ..)| Some(*theirs) == method) else { return };
    spec.take(field);
    draft.put(field, json!(method), path);
}

/// Moves the blocks. With a method, the other blocks are not used.
pub(super) fn blocks(task: &mut Task<'_>, spec: &mut Cursor, draft: &mut Draft, method: Option<&str>) {
    for (block, name, fields) in METHODS {
        if method.is_some_and(|method| method != *name) {
            if let Some(unused) = spec.take(block) {
                task.review(spec.path(block), Some(&unused), "the method does not use this block: remove it");
            }
            continue;
        }
        if spec.has(block) {
            draft.trace(block, spec.path(block));
        }
        let global: &[&str] = if method.is_none() { GLOBAL } else { &[] };
        spec.within(block, |from| {
            for field in fields.iter().chain(global) {
                draft.rename(from, field, &format!("{block}.{field}"));
            }
        });
        consents::secret(task, draft, block, format!("spec.{block}.secretRef"));
        consents::cloud(task, draft, block);
    }
}
