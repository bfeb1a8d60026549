//! Documents to values of a template.

use super::decoder::read;
use super::table::{Node, Table};
use crate::error::Fault;
use crate::item::{Element, Item};
use crate::scope::Scope;
use crate::text::Text;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Bytes of memory for each byte of a document.
const MEMORY: usize = 8;
/// Bytes of memory for each table: a map with room for some entries.
const TABLE: usize = 1024;

/// The dict of a document.
pub(crate) fn decode(scope: &mut Scope, document: &[u8]) -> Result<Item, Fault> {
    let document = document.strip_prefix(BYTE_ORDER_MARK).unwrap_or(document);
    // Each header, inline table and dot of a key can create a table.
    let tables = document.iter().filter(|byte| b".[{".contains(byte)).count();
    scope.allocate(document.len().saturating_mul(MEMORY).saturating_add(tables.saturating_mul(TABLE)))?;
    let table = read(document).map_err(|problem| problem.fault(document))?;
    dict(scope, table, 0)
}

fn item(scope: &mut Scope, node: Node, depth: usize) -> Result<Item, Fault> {
    scope.visit(depth)?;
    match node {
        Node::Bool(bool) => Ok(Item::Bool(bool)),
        Node::Int(int) => Ok(Item::Int64(int)),
        Node::Float(float) => Ok(Item::Float(float)),
        Node::Text(text) => scope.string(text),
        Node::List(nodes) => list(scope, nodes, depth),
        Node::Tables(tables) => list(scope, tables.into_iter().map(Node::Table).collect(), depth),
        Node::Table(table) => dict(scope, table, depth),
    }
}

fn list(scope: &mut Scope, nodes: Vec<Node>, depth: usize) -> Result<Item, Fault> {
    let items = nodes.into_iter().map(|node| item(scope, node, depth + 1)).collect::<Result<_, _>>()?;
    scope.list(Element::Any, items)
}

fn dict(scope: &mut Scope, table: Table, depth: usize) -> Result<Item, Fault> {
    let entries = table
        .entries
        .into_iter()
        .map(|(key, node)| Ok((Text::from(key), item(scope, node, depth + 1)?)))
        .collect::<Result<_, Fault>>()?;
    Ok(Item::Dict(scope.dict(Element::Any, entries)?))
}
