//! Documents to tables.

use super::cursor::Cursor;
use super::problem::Problem;
use super::scalar::scalar;
use super::strings::{key, string};
use super::table::{Node, Origin, Table};

/// Levels of tables and lists of a document.
const DEPTH: usize = 60;
const TWICE: &str = "this key or table exists already";

/// The table of a document without a byte order mark.
pub(super) fn read(document: &[u8]) -> Result<Table, Problem> {
    let mut cursor = Cursor::new(document)?;
    let mut root = Table::new(Origin::Header);
    section(&mut cursor, &mut root, 0)?;
    while cursor.accept("[") {
        let (table, depth) = header(&mut cursor, &mut root)?;
        cursor.end_of_line()?;
        section(&mut cursor, table, depth)?;
    }
    Ok(root)
}

/// The keys before the next header.
fn section(cursor: &mut Cursor<'_>, table: &mut Table, depth: usize) -> Result<(), Problem> {
    loop {
        cursor.lines();
        if cursor.rest().is_empty() || cursor.rest().starts_with('[') {
            return Ok(());
        }
        pair(cursor, table, depth)?;
        cursor.end_of_line()?;
    }
}

/// The table of a header after its first bracket, and its level.
fn header<'t>(cursor: &mut Cursor<'_>, root: &'t mut Table) -> Result<(&'t mut Table, usize), Problem> {
    let is_list = cursor.accept("[");
    let twice = cursor.problem(TWICE);
    let (parents, last) = key(cursor)?;
    cursor.expect(if is_list { "]]" } else { "]" }, "the header of a table has no end")?;
    let depth = parents.len() + 1;
    bounded(cursor, depth)?;
    let mut table = root;
    for parent in parents {
        table = table.parent(parent).ok_or(twice)?;
    }
    let table = if is_list { table.append(last) } else { table.open(last) };
    Ok((table.ok_or(twice)?, depth))
}

fn pair(cursor: &mut Cursor<'_>, table: &mut Table, depth: usize) -> Result<(), Problem> {
    let twice = cursor.problem(TWICE);
    let (parents, last) = key(cursor)?;
    cursor.expect("=", "a key has no value")?;
    cursor.space();
    let node = value(cursor, depth + parents.len() + 1)?;
    let mut table = table;
    for parent in parents {
        table = table.dotted(parent).ok_or(twice)?;
    }
    table.insert(last, node).ok_or(twice)
}

fn value(cursor: &mut Cursor<'_>, depth: usize) -> Result<Node, Problem> {
    bounded(cursor, depth)?;
    cursor.node()?;
    if let Some(text) = string(cursor)? {
        return Ok(Node::Text(text));
    }
    if cursor.accept("[") {
        return list(cursor, depth);
    }
    if cursor.accept("{") {
        return inline(cursor, depth);
    }
    scalar(cursor)
}

fn list(cursor: &mut Cursor<'_>, depth: usize) -> Result<Node, Problem> {
    let mut items = Vec::new();
    loop {
        cursor.lines();
        if cursor.accept("]") {
            return Ok(Node::List(items));
        }
        items.push(value(cursor, depth + 1)?);
        cursor.lines();
        if !cursor.accept(",") {
            cursor.expect("]", "a list has no end")?;
            return Ok(Node::List(items));
        }
    }
}

fn inline(cursor: &mut Cursor<'_>, depth: usize) -> Result<Node, Problem> {
    let mut table = Table::new(Origin::Inline);
    cursor.space();
    if cursor.accept("}") {
        return Ok(Node::Table(table));
    }
    loop {
        cursor.space();
        pair(cursor, &mut table, depth)?;
        cursor.space();
        if !cursor.accept(",") {
            cursor.expect("}", "an inline table has no end")?;
            return Ok(Node::Table(table));
        }
    }
}

fn bounded(cursor: &Cursor<'_>, depth: usize) -> Result<(), Problem> {
    if depth > DEPTH { Err(cursor.problem("tables and lists have too many levels")) } else { Ok(()) }
}
