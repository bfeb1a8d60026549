use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Program, Server, Slot, while_running};
use crate::wait::eventually;

/// A server with a child in its own session, like PostgreSQL, and a child in its process group.
const TWO_CHILDREN: &str = "exec 3<&0; setsid sleep 1000 <&3 & sleep 1000 & exec sleep 1000";
/// A server with a child in its own session.
const OWN_SESSION: &str = "exec 3<&0; setsid sleep 1000 <&3 & exec sleep 1000";

fn program(script: &str) -> Program {
    Program::new("server", Path::new("/bin/sh")).args(["-c", script])
}

async fn all(server: &Server, processes: usize) -> Result<Vec<u32>> {
    while_running(server, "all processes run", || async {
        let found = server.processes();
        if found.len() == processes { Ok(found) } else { Err(found) }
    })
    .await
}

fn exists(id: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    state.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with('Z'))
}

#[tokio::test]
async fn a_killed_server_leaves_no_process() -> Result<()> {
    let logs = tempfile::tempdir()?;
    let mut process = program(TWO_CHILDREN).start(logs.path())?;
    let all = all(&process.server(), 3).await?;
    process.kill();
    assert!(!all.into_iter().any(exists));
    Ok(())
}

#[tokio::test]
async fn a_server_that_was_killed_from_outside_leaves_no_process_when_it_is_replaced() -> Result<()> {
    let logs = tempfile::tempdir()?;
    let slot = Slot::default();
    let server = slot.start(program(OWN_SESSION), logs.path())?;
    let all = all(&server, 2).await?;
    let child = all.into_iter().find(|id| server.id() != *id);
    crate::tools::succeed(std::process::Command::new("kill").args(["-KILL", &server.id().to_string()]))?;
    eventually("the main process has exited", || async {
        if server.alive().is_err() { Ok(()) } else { Err("alive") }
    })
    .await?;
    assert!(child.is_some_and(exists), "the child outlives its parent");
    let next = slot.start(program("echo next; exec sleep 1000"), logs.path())?;
    assert!(next.alive().is_ok());
    assert!(!child.is_some_and(exists), "the child has exited before the next server has started");
    Ok(())
}

#[tokio::test]
async fn a_server_that_exits_during_its_start_fails_the_wait_at_once() -> Result<()> {
    let logs = tempfile::tempdir()?;
    let process = program("echo the port is in use; exit 3").start(logs.path())?;
    let since = Instant::now();
    let waited =
        while_running(&process.server(), "the server answers", || async { Err::<(), _>("no") }).await;
    let error = waited.expect_err("it never answers").to_string();
    assert!(error.contains("exit status: 3") && error.contains("the port is in use"), "{error}");
    assert!(since.elapsed() < Duration::from_secs(30));
    Ok(())
}

#[tokio::test]
async fn a_terminated_server_reports_its_exit_status() -> Result<()> {
    let logs = tempfile::tempdir()?;
    let script = "trap 'exit 0' TERM; echo started; while true; do sleep 0.1; done";
    let mut process = program(script).start(logs.path())?;
    eventually("the trap is set", || async {
        let log = super::tail(process.log());
        if log == "started" { Ok(()) } else { Err(log) }
    })
    .await?;
    assert!(process.terminate()?);
    assert!(process.alive().is_err());
    Ok(())
}
