//! Images on the nodes of a cluster.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::ScopedJoinHandle;

use anyhow::{Result, anyhow};

use super::Cluster;
use super::node::Node;
use crate::image::Image;
use crate::tools::succeed;

/// An image as an archive.
pub(super) struct Archive {
    file: PathBuf,
    known: PathBuf,
    stamp: String,
}

/// File that records which content of an image the nodes have.
fn known(image: &Image, folder: &Path) -> PathBuf {
    folder.join(format!("{}.stamp", image.name.replace(['/', ':'], "-")))
}

impl Archive {
    /// Writes the archive. `folder` is the folder of the cluster.
    pub(super) fn new(image: &Image, folder: &Path) -> Result<Self> {
        let (file, _) = image.archive(&folder.join("images"))?;
        Ok(Self { file, known: known(image, folder), stamp: image.stamp() })
    }

    pub(super) fn import(&self, node: &Node) -> Result<()> {
        succeed(node.ctr().args(["images", "import"]).arg(&self.file))
    }

    /// Records that every node has the image, and deletes the archive.
    pub(super) fn imported(&self) -> Result<()> {
        std::fs::remove_file(&self.file)?;
        Ok(std::fs::write(&self.known, &self.stamp)?)
    }
}

impl Cluster {
    /// Imports an image on every node. Returns whether an import was necessary. Imports run one after another, because those of
    /// one image use one file.
    ///
    /// # Errors
    /// When the image cannot be created or imported.
    pub fn import(&self, image: &Image) -> Result<bool> {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known(image, &self.folder);
        if std::fs::read_to_string(known).is_ok_and(|known| known == image.stamp()) {
            return Ok(false);
        }
        let archive = &Archive::new(image, &self.folder)?;
        std::thread::scope(|scope| {
            let imports = self.nodes.iter().map(|node| scope.spawn(move || archive.import(node)));
            let imports: Vec<_> = imports.collect();
            let mut results = imports.into_iter().map(ScopedJoinHandle::join);
            results.try_for_each(|result| result.map_err(|_| anyhow!("an import panicked"))?)
        })?;
        archive.imported()?;
        Ok(true)
    }
}
