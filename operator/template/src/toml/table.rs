//! Tables of a document while it is read, with the rules that define each of them once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A value.
pub(super) enum Node {
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A string, or a time as RFC 3339 writes it.
    Text(String),
    List(Vec<Self>),
    /// Tables with a header such as `[[a]]`.
    Tables(Vec<Table>),
    Table(Table),
}

/// The part of a document that defines a table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A header with one more part. A header or a dotted key can define the table later.
    Parent,
    Header,
    /// A key with dots.
    Dotted,
    /// Braces, which nothing can extend.
    Inline,
}

pub(super) struct Table {
    pub(super) entries: BTreeMap<String, Node>,
    origin: Origin,
}

impl Table {
    pub(super) fn new(origin: Origin) -> Self {
        Self { entries: BTreeMap::new(), origin }
    }

    /// The table at a part of a header that is not its last one.
    pub(super) fn parent(&mut self, key: String) -> Option<&mut Self> {
        match self.table_or_other(key) {
            Node::Table(table) if table.origin != Origin::Inline => Some(table),
            Node::Tables(tables) => tables.last_mut(),
            _ => None,
        }
    }

    /// The table of a header.
    pub(super) fn open(&mut self, key: String) -> Option<&mut Self> {
        match self.table_or_other(key) {
            Node::Table(table) if table.origin == Origin::Parent => {
                table.origin = Origin::Header;
                Some(table)
            }
            _ => None,
        }
    }

    /// Another table of a header with two brackets.
    pub(super) fn append(&mut self, key: String) -> Option<&mut Self> {
        match self.entries.entry(key).or_insert_with(|| Node::Tables(Vec::new())) {
            Node::Tables(tables) => {
                tables.push(Self::new(Origin::Header));
                tables.last_mut()
            }
            _ => None,
        }
    }

    /// The table at a part of a dotted key that is not its last one.
    pub(super) fn dotted(&mut self, key: String) -> Option<&mut Self> {
        match self.table_or_other(key) {
            Node::Table(table) if matches!(table.origin, Origin::Parent | Origin::Dotted) => {
                table.origin = Origin::Dotted;
                Some(table)
            }
            _ => None,
        }
    }

    /// Adds a value. None if the key exists.
    pub(super) fn insert(&mut self, key: String, node: Node) -> Option<()> {
        match self.entries.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(node);
                Some(())
            }
            Entry::Occupied(_) => None,
        }
    }

    fn table_or_other(&mut self, key: String) -> &mut Node {
        self.entries.entry(key).or_insert_with(|| Node::Table(Self::new(Origin::Parent)))
    }
}
