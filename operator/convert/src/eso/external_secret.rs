//! ExternalSecret.

use super::store_reference::StoreReference;
use super::{dynamic_secret, entries, merge, policies, template, windows};
use crate::cursor::Cursor;
use crate::task::Task;

pub(super) fn converted(task: &mut Task<'_>, spec: &mut Cursor) {
    if !dynamic_secret::converted(task, spec) {
        of_store(task, spec);
    }
}

/// Converts an object whose entries are in the KV engine of a store.
fn of_store(task: &mut Task<'_>, spec: &mut Cursor) {
    let mut draft = task.draft("BaoStaticSecret");
    policies::refresh(task, spec, &mut draft);
    windows::moved(task, spec, &mut draft);
    let is_written = policies::target(task, spec, &mut draft);
    let own = StoreReference::taken(spec, "secretStoreRef");
    let Some(store) = own.or_else(|| entries::common_store(spec)) else {
        task.review(
            "spec.secretStoreRef",
            None,
            "the object refers to no store, or its entries to several ones: write one object for each store",
        );
        return;
    };
    let Some(found) = store.store(task) else { return };
    draft.put("authRef", store.auth(task), store.path.as_str());
    let entries =
        entries::taken(task, spec, &mut draft, &entries::Stores { reference: &store, store: &found });
    merge::written(task, &mut draft, entries);
    template::moved(task, spec, &mut draft);
    if is_written {
        task.drafts.push(draft);
    }
}
