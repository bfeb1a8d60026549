//! Writes that create and mark a namespace.

use steamer_core::error::Error;
use steamer_core::ownership::Mark;
use steamer_core::ownership::removal::deleting;
use steamer_openbao::{Namespace, NamespacePath};

use crate::engine::{Hold, Rights};
use crate::write::Write;

/// The write that creates a namespace or marks it as owned, if one is necessary.
///
/// # Errors
/// [`Error::Conflict`] for a namespace of another owner, [`Error::Deleting`] while OpenBao deletes the namespace.
pub(crate) fn write(
    path: &NamespacePath,
    namespace: Option<&Namespace>,
    rights: &Rights<'_>,
) -> Result<Option<Write>, Error> {
    let Some(namespace) = namespace else {
        return Ok(Write::create_namespace(path, rights.mark));
    };
    if namespace.tainted {
        return Err(deleting(&rights.published(path)));
    }
    let found = Mark::of_metadata(&namespace.custom_metadata);
    Ok(match rights.hold(&format!("namespace {}", rights.published(path)), found.as_ref())? {
        Hold::Owned => None,
        Hold::Adoptable => Write::adopt_namespace(path, rights.mark),
    })
}
