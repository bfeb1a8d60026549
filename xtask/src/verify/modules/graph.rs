//! Strongly connected components of modules, and the shortest cycle in each.

use std::collections::{HashMap, VecDeque};

use super::Module;
use super::resolution::Edge;

/// Modules that use each other, directly or through others.
pub(super) struct Cycle {
    pub(super) modules: Vec<String>,
    /// The shortest cycle, with the path in the code behind each step.
    pub(super) text: String,
}

/// A component of more than one module, and the edges of its shortest cycle.
pub(super) struct Component<'a> {
    members: Vec<usize>,
    shortest: Vec<&'a Edge>,
}

/// Components of more than one module in a graph with `count` modules.
pub(super) fn cycles(count: usize, edges: &[Edge]) -> Vec<Component<'_>> {
    let mut search = Search::new(count, edges);
    for node in 0..count {
        if !search.order.contains_key(&node) {
            search.visit(node);
        }
    }
    let mut found = search.found;
    found.sort();
    found
        .into_iter()
        .map(|members| Component { shortest: shortest(&members, edges).unwrap_or_default(), members })
        .collect()
}

pub(super) fn described(modules: &[Module], component: Component<'_>) -> Cycle {
    let name = |node: usize| match modules[node].path.as_slice() {
        [] => "crate".to_owned(),
        path => path.join("::"),
    };
    let Component { members, shortest } = component;
    let steps: Vec<String> = shortest.iter().map(|edge| name(edge.from)).collect();
    let uses: Vec<String> = shortest
        .iter()
        .map(|edge| format!("{}:{} uses {}", modules[edge.from].file, edge.line, edge.path))
        .collect();
    let mut text = format!("{} -> {} ({})", steps.join(" -> "), steps[0], uses.join("; "));
    let modules: Vec<String> = members.into_iter().map(name).collect();
    let others: Vec<&str> =
        modules.iter().filter(|module| !steps.contains(module)).map(String::as_str).collect();
    if !others.is_empty() {
        text = format!("{text}; other modules of the same cycle: {}", others.join(", "));
    }
    Cycle { modules, text }
}

/// Tarjan's algorithm.
struct Search<'a> {
    edges: &'a [Edge],
    /// Number of each visited node, in order of the visits.
    order: HashMap<usize, usize>,
    /// Lowest number that each visited node reaches.
    low: Vec<usize>,
    stack: Vec<usize>,
    found: Vec<Vec<usize>>,
}

impl<'a> Search<'a> {
    fn new(count: usize, edges: &'a [Edge]) -> Self {
        Self { edges, order: HashMap::new(), low: vec![0; count], stack: Vec::new(), found: Vec::new() }
    }

    fn visit(&mut self, node: usize) {
        let number = self.order.len();
        self.order.insert(node, number);
        self.low[node] = number;
        self.stack.push(node);
        for edge in self.edges.iter().filter(|edge| edge.from == node) {
            if !self.order.contains_key(&edge.to) {
                self.visit(edge.to);
                self.low[node] = self.low[node].min(self.low[edge.to]);
            } else if self.stack.contains(&edge.to) {
                self.low[node] = self.low[node].min(self.order[&edge.to]);
            }
        }
        if self.low[node] == number {
            self.close(node);
        }
    }

    fn close(&mut self, node: usize) {
        let start = self.stack.iter().position(|it| *it == node).unwrap_or_default();
        let mut members = self.stack.split_off(start);
        members.sort_unstable();
        if members.len() > 1 {
            self.found.push(members);
        }
    }
}

fn shortest<'a>(members: &[usize], edges: &'a [Edge]) -> Option<Vec<&'a Edge>> {
    let inside: Vec<&Edge> =
        edges.iter().filter(|edge| members.contains(&edge.from) && members.contains(&edge.to)).collect();
    members.iter().filter_map(|start| back_to(*start, &inside)).min_by_key(Vec::len)
}

/// The shortest way from `start` back to itself, breadth first.
fn back_to<'a>(start: usize, edges: &[&'a Edge]) -> Option<Vec<&'a Edge>> {
    let mut reached: HashMap<usize, &Edge> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for edge in edges.iter().filter(|edge| edge.from == node) {
            reached.entry(edge.to).or_insert_with(|| {
                queue.push_back(edge.to);
                edge
            });
        }
    }
    let mut way = vec![*reached.get(&start)?];
    while way[0].from != start {
        way.insert(0, reached.get(&way[0].from)?);
    }
    Some(way)
}
