//! Output of the commands that write objects: objects, report, exit code.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::Value;
use steamer_convert::Report;

/// Exit code for a report with findings to review.
const REVIEW: u8 = 1;
/// Exit code for an input that cannot be read.
const FAILED: u8 = 2;

/// Format of a report.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ReportFormat {
    Text,
    Json,
}

/// The exit code of a command.
pub(crate) fn exit_code(result: Result<Report>) -> ExitCode {
    match result {
        Ok(report) if report.needs_review() => ExitCode::from(REVIEW),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

/// Writes the objects into a folder, or to the standard output.
pub(crate) fn write(folder: Option<&Path>, objects: &[Value]) -> Result<()> {
    match folder {
        Some(folder) => write_files(folder, objects),
        None => Ok(std::io::stdout().write_all(steamer_convert::documents(objects)?.as_bytes())?),
    }
}

/// Writes a report to the standard error output.
pub(crate) fn print(report: &Report, format: ReportFormat) -> Result<()> {
    match format {
        ReportFormat::Text => eprint!("{report}"),
        ReportFormat::Json => eprintln!("{}", serde_json::to_string_pretty(report)?),
    }
    Ok(())
}

fn write_files(folder: &Path, objects: &[Value]) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for object in objects {
        let path = folder.join(file_name(object));
        let text = steamer_convert::documents(std::slice::from_ref(object))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Name of the file of an object: kind, namespace and name. Other characters than those of Kubernetes names are replaced.
fn file_name(object: &Value) -> String {
    let parts = ["/kind", "/metadata/namespace", "/metadata/name"].map(|path| object.pointer(path));
    let parts: Vec<&str> = parts.into_iter().flatten().filter_map(Value::as_str).collect();
    let name = parts.join("-").to_lowercase();
    let allowed = |character: char| character.is_ascii_alphanumeric() || ".-".contains(character);
    name.chars().map(|it| if allowed(it) { it } else { '-' }).chain(".yaml".chars()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_has_the_name_of_its_object_and_stays_in_the_folder() {
        let object = |namespace: Value, name: &str| json!({"kind": "BaoAuth", "metadata": {"namespace": namespace, "name": name}});
        assert_eq!(file_name(&object(json!("web"), "a.b")), "baoauth-web-a.b.yaml");
        assert_eq!(file_name(&object(json!(null), "../../etc/passwd")), "baoauth-..-..-etc-passwd.yaml");
    }
}
