//! Uses between modules, from the paths in their code.

use std::collections::HashMap;

use anyhow::Result;

use super::Module;
use super::uses::{self, Mention, Role, Uses};

/// An import can lead to another import. Longer chains do not occur.
const MOST_IMPORTS: usize = 8;

/// The first use of module `to` in module `from`. Both are positions in the list of modules.
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) line: usize,
    pub(super) path: String,
}

pub(super) fn edges(modules: &[Module]) -> Result<Vec<Edge>> {
    let read = |module: &Module| uses::read(&module.file, &module.source);
    let uses = modules.iter().map(read).collect::<Result<Vec<Uses>>>()?;
    let tree = Tree::new(modules, &uses);
    let mut edges = Vec::new();
    for (from, uses) in uses.iter().enumerate() {
        if tree.position(&modules[from].path).is_some() {
            let names = Names::new(&tree, &modules[from].path, &uses.mentions);
            edges.extend(names.edges(from, &uses.mentions));
        }
    }
    Ok(edges)
}

/// Modules of a crate without those for tests.
struct Tree(HashMap<Vec<String>, usize>);

impl Tree {
    fn new(modules: &[Module], uses: &[Uses]) -> Self {
        let declared: Vec<Vec<String>> = modules
            .iter()
            .zip(uses)
            .flat_map(|(module, uses)| uses.tests.iter().map(|test| joined(&module.path, test)))
            .collect();
        let is_for_tests = |path: &[String]| {
            path.iter().any(|name| name == "tests") || declared.iter().any(|test| path.starts_with(test))
        };
        let kept = modules.iter().enumerate().filter(|(_, module)| !is_for_tests(&module.path));
        Self(kept.map(|(position, module)| (module.path.clone(), position)).collect())
    }

    fn position(&self, path: &[String]) -> Option<usize> {
        self.0.get(path).copied()
    }

    /// The deepest module that `path` names, with its path.
    fn deepest<'a>(&self, path: &'a [String]) -> Option<(&'a [String], usize)> {
        (0..=path.len()).rev().find_map(|length| Some((&path[..length], self.position(&path[..length])?)))
    }
}

/// Meaning of the names in one module.
struct Names<'a> {
    tree: &'a Tree,
    module: &'a [String],
    imports: HashMap<(&'a [String], &'a str), &'a Mention>,
}

impl<'a> Names<'a> {
    fn new(tree: &'a Tree, module: &'a [String], mentions: &'a [Mention]) -> Self {
        let named = |mention: &'a Mention| match &mention.role {
            Role::Import(Some(name)) | Role::ReExport(Some(name)) => {
                Some(((mention.scope.as_slice(), name.as_str()), mention))
            }
            _ => None,
        };
        Self { tree, module, imports: mentions.iter().filter_map(named).collect() }
    }

    fn edges(&self, from: usize, mentions: &[Mention]) -> Vec<Edge> {
        let mut edges: Vec<Edge> = Vec::new();
        for mention in mentions {
            if let Some((path, to)) = self.used(mention)
                && to != from
                && !edges.iter().any(|edge| edge.to == to)
            {
                edges.push(Edge {
                    from,
                    to,
                    line: mention.line,
                    path: format!("crate::{}", path.join("::")),
                });
            }
        }
        edges
    }

    /// The full path and the module that `mention` uses.
    fn used(&self, mention: &Mention) -> Option<(Vec<String>, usize)> {
        let path = self.absolute(&mention.scope, &mention.segments, MOST_IMPORTS)?;
        let (target, position) = self.tree.deepest(&path)?;
        let is_own_child = target.len() > self.module.len() && target.starts_with(self.module);
        let no_use = matches!(mention.role, Role::ReExport(_)) && is_own_child;
        (!no_use).then_some((path, position))
    }

    fn absolute(&self, scope: &[String], segments: &[String], imports: usize) -> Option<Vec<String>> {
        let here = joined(self.module, scope);
        let (first, rest) = segments.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some(upwards(here, rest)),
            "super" => Some(upwards(here, segments)),
            _ if self.tree.position(&joined(&here, &segments[..1])).is_some() => {
                Some(joined(&here, segments))
            }
            name if imports > 0 => {
                let import = self.imports.get(&(scope, name))?;
                let path = self.absolute(&import.scope, &import.segments, imports - 1)?;
                Some(joined(&path, rest))
            }
            _ => None,
        }
    }
}

/// `segments` seen from `here`, after each leading `super` has removed one name.
fn upwards(mut here: Vec<String>, segments: &[String]) -> Vec<String> {
    let supers = segments.iter().take_while(|segment| *segment == "super").count();
    here.truncate(here.len().saturating_sub(supers));
    joined(&here, &segments[supers..])
}

fn joined(start: &[String], end: &[String]) -> Vec<String> {
    [start, end].concat()
}
