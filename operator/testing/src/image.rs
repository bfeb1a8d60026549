//! Container images without a builder: a docker-archive with one layer, a configuration and a manifest.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use crate::cache;
use crate::process::GARBAGE;
use crate::tools::{self, output, succeed};

/// Description of an image.
pub struct Image {
    /// Full name with a tag.
    pub name: String,
    /// Files: source on the host, and path in the image.
    pub files: Vec<(PathBuf, String)>,
    /// Empty folders.
    pub folders: Vec<&'static str>,
    /// Entrypoint.
    pub entrypoint: Vec<&'static str>,
    /// Numeric user and group.
    pub user: &'static str,
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/false\nnonroot:x:65532:65532:nonroot:/tmp:/bin/false\n";

impl Image {
    /// Fingerprint of the files from their paths, sizes and times, without their content.
    #[must_use]
    pub fn stamp(&self) -> String {
        let of = |path: &Path| std::fs::metadata(path).map(|found| (found.len(), found.modified().ok())).ok();
        let files: Vec<_> = self.files.iter().map(|(from, to)| (from, to, of(from))).collect();
        format!("{files:?} {:?} {:?}", self.entrypoint, self.user)
    }

    /// Writes the archive to `folder`. Returns its path and the digest of the image.
    ///
    /// # Errors
    /// When a file is missing.
    pub fn archive(&self, folder: &Path) -> Result<(PathBuf, String)> {
        std::fs::create_dir_all(folder)?;
        let root = tempfile::tempdir_in(folder)?;
        self.lay_out(root.path())?;
        let work = tempfile::tempdir_in(folder)?;
        let layer = work.path().join("layer.tar");
        // Times, owners and order are fixed, so that the same files produce the same image.
        succeed(
            Command::new("tar")
                .args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-cf"])
                .arg(&layer)
                .arg("-C")
                .arg(root.path())
                .arg("."),
        )?;
        let layer_digest = sha256(&layer)?;
        let config = json!({
            "architecture": architecture(), "os": "linux", "created": "1970-01-01T00:00:00Z",
            "config": {"Entrypoint": self.entrypoint, "User": self.user, "WorkingDir": "/", "Env": ["PATH=/bin:/usr/bin:/", format!("GOGC={GARBAGE}")]},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
        });
        std::fs::write(work.path().join("config.json"), config.to_string())?;
        let manifest = json!([{"Config": "config.json", "RepoTags": [self.name], "Layers": ["layer.tar"]}]);
        std::fs::write(work.path().join("manifest.json"), manifest.to_string())?;
        let digest = sha256(&work.path().join("config.json"))?;
        let file = self.name.rsplit('/').next().unwrap_or("image").replace(':', "-");
        let archive = folder.join(format!("{file}.tar"));
        succeed(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(work.path()).args([
            "manifest.json",
            "config.json",
            "layer.tar",
        ]))?;
        Ok((archive, digest))
    }

    fn lay_out(&self, root: &Path) -> Result<()> {
        for folder in ["etc", "tmp"].iter().chain(&self.folders) {
            std::fs::create_dir_all(root.join(folder))?;
        }
        succeed(Command::new("chmod").arg("1777").arg(root.join("tmp")))?;
        std::fs::write(root.join("etc/passwd"), PASSWD)?;
        for (from, to) in &self.files {
            let to = root.join(to.trim_start_matches('/'));
            std::fs::create_dir_all(to.parent().context("a folder")?)?;
            succeed(Command::new("cp").arg("-aL").arg(from).arg(&to))?;
        }
        Ok(())
    }
}

fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

fn sha256(file: &Path) -> Result<String> {
    let text = output(Command::new("sha256sum").arg(file))?;
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}

/// Copies a binary without its debug information.
fn stripped(binary: &Path, folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let to = folder.join(binary.file_name().context("a name")?);
    let age = |path: &Path| std::fs::metadata(path).and_then(|found| found.modified());
    if let (Ok(copy), Ok(original)) = (age(&to), age(binary))
        && copy > original
    {
        return Ok(to);
    }
    let written = tempfile::NamedTempFile::new_in(folder)?;
    succeed(Command::new("objcopy").arg("--strip-all").arg(binary).arg(written.path()))?;
    std::fs::set_permissions(written.path(), std::fs::metadata(binary)?.permissions())?;
    // Another test may be reading an earlier copy.
    written.persist(&to)?;
    Ok(to)
}

/// CAs in the operator's image, for issuers and servers with public certificates.
const PUBLIC_CAS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Image of the operator.
///
/// # Errors
/// When the binary is missing.
pub fn steamer(binary: &Path, folder: &Path) -> Result<Image> {
    let mut files = vec![(stripped(binary, folder)?, "/steamer".to_owned())];
    if Path::new(PUBLIC_CAS).exists() {
        files.push((PUBLIC_CAS.into(), PUBLIC_CAS.to_owned()));
    }
    let name = "ghcr.io/steamer-dev/steamer:0.1.0".to_owned();
    Ok(Image { name, files, folders: vec![], entrypoint: vec!["/steamer"], user: "65532:65532" })
}

/// Image of the issuer of the demonstration.
///
/// # Errors
/// When the binary is missing.
pub fn issuer(binary: &Path, folder: &Path) -> Result<Image> {
    let files = vec![(stripped(binary, folder)?, "/test-issuer".to_owned())];
    let name = "steamer.test/issuer:1".to_owned();
    Ok(Image { name, files, folders: vec![], entrypoint: vec!["/test-issuer"], user: "65532:65532" })
}

/// Image of the pod sandbox.
///
/// # Errors
/// When the program cannot be built.
pub fn pause() -> Result<Image> {
    let files = vec![(tools::pause()?, "/pause".to_owned())];
    let name = "steamer.test/pause:1".to_owned();
    Ok(Image { name, files, folders: vec![], entrypoint: vec!["/pause"], user: "65532:65532" })
}

/// Image of OpenBao: one static file in an empty root file system.
///
/// # Errors
/// When OpenBao cannot be downloaded.
pub fn openbao(version: &str) -> Result<Image> {
    let files = vec![(tools::bao(version)?, "/bin/bao".to_owned())];
    let name = format!("steamer.test/openbao:{version}");
    Ok(Image { name, files, folders: vec![], entrypoint: vec!["/bin/bao"], user: "65532:65532" })
}

/// Image of PostgreSQL from the Debian packages, with a shell, which `initdb` needs.
///
/// # Errors
/// When PostgreSQL cannot be installed.
pub fn postgres() -> Result<Image> {
    let bin = tools::postgres()?;
    let mut files: Vec<(PathBuf, String)> =
        ["/usr/share/postgresql/15", "/usr/share/zoneinfo", "/usr/lib/locale/C.utf8"]
            .iter()
            .filter(|path| Path::new(path).exists())
            .map(|path| (PathBuf::from(path), (*path).to_owned()))
            .collect();
    files.push(("/usr/lib/postgresql/15".into(), "/usr/lib/postgresql/15".to_owned()));
    files.push(("/bin/dash".into(), "/bin/sh".to_owned()));
    let mut libraries = std::collections::BTreeSet::new();
    for program in ["postgres", "initdb", "psql", "pg_ctl"] {
        libraries.extend(libraries_of(&bin.join(program))?);
    }
    libraries.extend(libraries_of(Path::new("/bin/dash"))?);
    files.extend(libraries.into_iter().map(|path| (PathBuf::from(&path), path)));
    let name = "steamer.test/postgres:15".to_owned();
    Ok(Image {
        name,
        files,
        folders: vec!["var/run/postgresql"],
        entrypoint: vec!["/bin/sh", "-c"],
        user: "65532:65532",
    })
}

/// Image that stands in for applications which use PostgreSQL: a shell, `psql` and `sleep`. `script` is the entrypoint, and also
/// at the paths of the entrypoints of these applications.
///
/// # Errors
/// When PostgreSQL cannot be installed.
pub fn application(script: &Path, paths: &[&str]) -> Result<Image> {
    let programs = [
        (tools::postgres()?.join("psql"), "/bin/psql"),
        ("/bin/dash".into(), "/bin/sh"),
        ("/bin/sleep".into(), "/bin/sleep"),
    ];
    let mut libraries = std::collections::BTreeSet::new();
    for (program, _) in &programs {
        libraries.extend(libraries_of(program)?);
    }
    let mut files: Vec<(PathBuf, String)> = programs.map(|(from, to)| (from, to.to_owned())).to_vec();
    files.extend(libraries.into_iter().map(|path| (PathBuf::from(&path), path)));
    let scripts = paths.iter().chain(&["/application.sh"]);
    files.extend(scripts.map(|path| (script.to_owned(), (*path).to_owned())));
    let entrypoint = vec!["/bin/sh", "/application.sh"];
    Ok(Image {
        name: "steamer.test/application:1".to_owned(),
        files,
        folders: vec![],
        entrypoint,
        user: "65532:65532",
    })
}

fn libraries_of(program: &Path) -> Result<Vec<String>> {
    let text = output(Command::new("ldd").arg(program))?;
    Ok(text.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect())
}

/// Builds a binary of this workspace, with the settings of all other builds. Returns its path.
///
/// # Errors
/// When the build fails.
pub fn built(package: &str, binary: &str, profile: &str) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--bin", binary, "--profile", profile]);
    match profile {
        // Shares the dependencies of the tests, which have more features.
        "dev" => cargo.arg("--workspace"),
        _ => cargo.args(["--package", package]),
    };
    // The variable of an outer `cargo run` causes a full rebuild.
    cargo.env_remove("CARGO_MANIFEST_DIR").current_dir(cache::checkout());
    succeed(&mut cargo)?;
    let folder = if profile == "dev" { "debug" } else { profile };
    let target = cache::checkout().join("target");
    let triple = output(Command::new("rustc").arg("-vV"))?;
    let triple = triple.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
    Ok(target.join(triple).join(folder).join(binary))
}
