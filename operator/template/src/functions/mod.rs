//! Functions of templates: those of Go's `text/template`, those of sprig that Vault Secrets Operator offers, and those for YAML,
//! TOML, certificates, keys and keystores of External Secrets Operator and Helm.

mod builtins;
mod case;
mod certificates;
mod compare;
mod convert;
mod dates;
mod decimal;
mod defaults;
mod dicts;
mod documents;
mod encoding;
mod equality;
mod keys;
mod keystores;
mod layout;
mod letters;
mod lists;
mod math;
mod merge;
mod paths;
mod random;
mod regexes;
mod signature;
mod strings;
mod urls;
mod versions;
mod words;

use std::collections::HashMap;
use std::sync::LazyLock;

pub(crate) use signature::{Function, Parameter};

const ALL: &[&[Function]] = &[
    builtins::FUNCTIONS,
    case::FUNCTIONS,
    certificates::FUNCTIONS,
    compare::FUNCTIONS,
    convert::FUNCTIONS,
    dates::FUNCTIONS,
    defaults::FUNCTIONS,
    dicts::FUNCTIONS,
    documents::FUNCTIONS,
    encoding::FUNCTIONS,
    keys::FUNCTIONS,
    keystores::FUNCTIONS,
    layout::FUNCTIONS,
    lists::FUNCTIONS,
    math::FUNCTIONS,
    paths::FUNCTIONS,
    random::FUNCTIONS,
    regexes::FUNCTIONS,
    strings::FUNCTIONS,
    urls::FUNCTIONS,
    versions::FUNCTIONS,
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static Function>> = LazyLock::new(|| {
    ALL.iter().flat_map(|group| group.iter()).map(|function| (function.name, function)).collect()
});

/// The function with this name.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    BY_NAME.get(name).copied()
}

/// Names of all functions, sorted.
pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = BY_NAME.keys().copied().collect();
    names.sort_unstable();
    names
}
