//! What an object with `mode: Observe` plans, and the writes of the operator, of which there are none.

use anyhow::Result;
use serde_json::Value;
use steamer_api::PlannedChange;
use steamer_testing::audit;

use crate::fixture::Case;

/// Returns the operation and the path of each planned change.
pub fn planned(plan: &[PlannedChange]) -> Vec<String> {
    plan.iter().map(|change| format!("{:?} {}", change.operation, change.path)).collect()
}

/// Returns the writes of the operator to resources of the test's namespace, from the audit log of the API server. Statuses are left
/// out.
pub fn written(case: &Case, resources: &[&str]) -> Result<Vec<String>> {
    let entries = audit::entries(&case.ground.plane.audit, &case.namespace)?;
    let is_write = |line: &Value| {
        let (target, verb) = (&line["objectRef"], line["verb"].as_str().unwrap_or_default());
        line["user"]["username"] == "system:serviceaccount:steamer-system:steamer"
            && target["namespace"] == case.namespace.as_str()
            && target["subresource"].is_null()
            && resources.iter().any(|resource| target["resource"] == *resource)
            && ["create", "update", "patch", "delete"].contains(&verb)
    };
    let text = |line: &Value| format!("{} {}", line["verb"], line["requestURI"]);
    Ok(entries.iter().filter(|line| is_write(line)).map(|line| text(line)).collect())
}

/// Returns the requests below a path, from the audit log of OpenBao: operation and path.
pub fn requests(case: &Case, path: &str) -> Result<Vec<String>> {
    let entries = audit::entries(&case.ground.openbao.audit, path)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found = entries.iter().map(|line| (&line["type"], &line["request"]));
    let found =
        found.filter(|(kind, request)| **kind == "response" && text(&request["path"]).starts_with(path));
    let described = |request: &Value| format!("{} {}", text(&request["operation"]), text(&request["path"]));
    Ok(found.map(|(_, request)| described(request)).collect())
}

/// Returns the requests of [`requests`] that are no reads.
pub fn changes(case: &Case, path: &str) -> Result<Vec<String>> {
    let requests = requests(case, path)?.into_iter();
    Ok(requests.filter(|request| !request.starts_with("read ") && !request.starts_with("list ")).collect())
}
