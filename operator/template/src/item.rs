//! Values while a template runs, with the types that they have in Go.

use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::moment::Moment;
use crate::text::Text;
use crate::version::Version;

/// A value in a running template.
#[derive(Clone)]
pub(crate) enum Item {
    /// An absent key: Go's invalid `reflect.Value`.
    Missing,
    /// A nil interface, such as JSON `null`.
    Nil,
    Bool(bool),
    Int(i64),
    Int64(i64),
    /// `uint8`, the element of a string.
    Byte(u8),
    Float(f64),
    String(Text),
    /// `json.Number`: a string with its own type.
    Number(Text),
    List(Rc<List>),
    Dict(Rc<Dict>),
    Version(Rc<Version>),
    Moment(Rc<Moment>),
}

/// Type of the elements of a list or dict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Element {
    Any,
    String,
    Int,
    /// `[]interface {}`, the chunks of `chunk`.
    List,
}

impl Element {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::String => "string",
            Self::Int => "int",
            Self::List => "[]interface {}",
        }
    }
}

/// An immutable list.
pub(crate) struct List {
    pub(crate) element: Element,
    /// Whether this is Go's nil slice, which JSON shows as `null`.
    pub(crate) nil: bool,
    pub(crate) items: Vec<Item>,
    /// Levels of lists in this list, including itself. It bounds the recursion of its removal from memory.
    depth: usize,
}

impl List {
    pub(crate) fn new(element: Element, items: Vec<Item>) -> Self {
        let inner = items.iter().map(list_depth).max().unwrap_or(0);
        Self { element, nil: false, items, depth: inner + 1 }
    }

    pub(crate) fn nil(element: Element) -> Self {
        Self { element, nil: true, items: Vec::new(), depth: 1 }
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }
}

fn list_depth(item: &Item) -> usize {
    match item {
        Item::List(list) => list.depth,
        _ => 0,
    }
}

/// A dict. `set` and `unset` change it in place.
pub(crate) struct Dict {
    /// `Any` or `String`.
    pub(crate) element: Element,
    /// Whether this is Go's nil map, which cannot be changed.
    pub(crate) nil: bool,
    pub(crate) entries: RefCell<BTreeMap<Text, Item>>,
}

impl Dict {
    pub(crate) fn get(&self, key: &[u8]) -> Option<Item> {
        self.entries.borrow().get(key).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    pub(crate) fn borrow(&self) -> Ref<'_, BTreeMap<Text, Item>> {
        self.entries.borrow()
    }

    /// A copy of the entries, for loops that may change the dict.
    pub(crate) fn pairs(&self) -> Vec<(Text, Item)> {
        self.borrow().iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

impl Item {
    pub(crate) fn text(text: impl Into<Text>) -> Self {
        Self::String(text.into())
    }

    pub(crate) fn is_nil(&self) -> bool {
        matches!(self, Self::Missing | Self::Nil)
    }

    /// Go's name of the type, as `%T` prints it.
    pub(crate) fn type_name(&self) -> String {
        match self {
            Self::List(list) => format!("[]{}", list.element.name()),
            Self::Dict(dict) => format!("map[string]{}", dict.element.name()),
            other => other.simple_name().to_owned(),
        }
    }

    fn simple_name(&self) -> &'static str {
        match self {
            Self::Missing | Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Byte(_) => "uint8",
            Self::Float(_) => "float64",
            Self::String(_) => "string",
            Self::Number(_) => "json.Number",
            Self::Version(_) => "*semver.Version",
            Self::Moment(_) => "time.Time",
            Self::List(_) | Self::Dict(_) => "",
        }
    }

    /// Go's name of the kind.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Missing | Self::Nil => "invalid",
            Self::Number(_) => "string",
            Self::List(_) => "slice",
            Self::Dict(_) => "map",
            Self::Version(_) => "ptr",
            Self::Moment(_) => "struct",
            other => other.simple_name(),
        }
    }

    /// Truth in `if`, `and`, `or` and `not`.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Missing | Self::Nil => false,
            Self::Bool(bool) => *bool,
            Self::Int(int) | Self::Int64(int) => *int != 0,
            Self::Byte(byte) => *byte != 0,
            Self::Float(float) => *float != 0.0,
            Self::String(text) | Self::Number(text) => !text.is_empty(),
            Self::List(list) => !list.items.is_empty(),
            Self::Dict(dict) => dict.len() > 0,
            Self::Version(_) | Self::Moment(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_knows_the_depth_of_its_lists() {
        let inner = Item::List(Rc::new(List::new(Element::Any, vec![Item::Nil])));
        assert_eq!(List::new(Element::Any, vec![Item::Int(1), inner]).depth(), 2);
    }

    #[test]
    fn types_have_the_names_of_go() {
        assert_eq!(Item::Number("1".into()).type_name(), "json.Number");
        assert_eq!(Item::List(Rc::new(List::nil(Element::List))).type_name(), "[][]interface {}");
        assert_eq!(Item::Number("1".into()).kind(), "string");
    }
}
