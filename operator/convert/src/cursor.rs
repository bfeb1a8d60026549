//! A part of an object from which a converter takes fields. What remains is reported.

use serde_json::{Map, Value};

use crate::value::{is_empty, joined};

/// A JSON object at a path. Fields of an unexpected type stay in it, and are reported.
pub(crate) struct Cursor {
    path: String,
    rest: Map<String, Value>,
}

impl Cursor {
    pub(crate) fn new(path: impl Into<String>, rest: Map<String, Value>) -> Self {
        Self { path: path.into(), rest }
    }

    /// The path from the root of the object.
    pub(crate) fn here(&self) -> &str {
        &self.path
    }

    /// The path of a field from the root of the object.
    pub(crate) fn path(&self, field: &str) -> String {
        joined(&self.path, field)
    }

    /// The value of a field, if it is set and not null.
    pub(crate) fn peek(&self, field: &str) -> Option<&Value> {
        self.rest.get(field).filter(|value| !value.is_null())
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.peek(field).is_some()
    }

    /// Takes a value of any type, if it is set and not null.
    pub(crate) fn take(&mut self, field: &str) -> Option<Value> {
        self.rest.remove(field).filter(|value| !value.is_null())
    }

    /// Takes a value for which `accepts` holds. Another value stays.
    pub(crate) fn take_if(&mut self, field: &str, accepts: impl Fn(&Value) -> bool) -> Option<Value> {
        self.peek(field).is_some_and(accepts).then(|| self.take(field)).flatten()
    }

    /// Takes a text. None if it is empty.
    pub(crate) fn text(&mut self, field: &str) -> Option<String> {
        match self.take_if(field, Value::is_string) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    pub(crate) fn flag(&mut self, field: &str) -> Option<bool> {
        self.take_if(field, Value::is_boolean)?.as_bool()
    }

    /// Takes the given value, which is the default or has no effect. Another value stays.
    pub(crate) fn expect(&mut self, field: &str, value: &Value) {
        drop(self.take_if(field, |found| found == value));
    }

    /// Takes an object with texts as values.
    pub(crate) fn texts(&mut self, field: &str) -> Map<String, Value> {
        let is_texts =
            |value: &Value| value.as_object().is_some_and(|fields| fields.values().all(Value::is_string));
        match self.take_if(field, is_texts) {
            Some(Value::Object(texts)) => texts,
            _ => Map::new(),
        }
    }

    /// Works on an object in a field. What `work` leaves stays.
    pub(crate) fn within<T>(&mut self, field: &str, work: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let Some(Value::Object(rest)) = self.take_if(field, Value::is_object) else {
            return None;
        };
        let mut inner = Self::new(self.path(field), rest);
        let result = work(&mut inner);
        self.keep(field, Value::Object(inner.rest));
        Some(result)
    }

    /// Works on the objects in a list. What `work` leaves stays, and elements of another type.
    pub(crate) fn each<T>(&mut self, field: &str, mut work: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let Some(Value::Array(items)) = self.take_if(field, Value::is_array) else {
            return Vec::new();
        };
        let (mut left, mut results) = (Vec::with_capacity(items.len()), Vec::new());
        for (index, item) in items.into_iter().enumerate() {
            let Value::Object(rest) = item else {
                left.push(item);
                continue;
            };
            let mut inner = Self::new(format!("{}[{index}]", self.path(field)), rest);
            results.push(work(&mut inner));
            left.push(Value::Object(inner.rest));
        }
        self.keep(field, Value::Array(left));
        results
    }

    fn keep(&mut self, field: &str, value: Value) {
        if !is_empty(&value) {
            self.rest.insert(field.to_owned(), value);
        }
    }

    /// The fields that no converter took.
    pub(crate) fn rest(self) -> Map<String, Value> {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cursor(value: Value) -> Cursor {
        Cursor::new("", value.as_object().cloned().unwrap_or_default())
    }

    #[test]
    fn what_is_not_taken_stays_at_its_place() {
        let mut cursor = cursor(json!({
            "a": {"b": {"c": 1, "d": 2}, "e": "x"}, "list": [{"f": 1, "g": 2}, 5, {"f": 3}], "n": null, "t": 7,
        }));
        let taken = cursor.within("a", |a| {
            assert_eq!(a.path("b"), "a.b");
            a.within("b", |b| b.take("c")).flatten()
        });
        assert_eq!(taken, Some(Some(json!(1))));
        let paths = cursor.each("list", |item| {
            item.take("f");
            item.path("f")
        });
        assert_eq!(paths, ["list[0].f", "list[2].f"]);
        assert_eq!((cursor.text("t"), cursor.take("n")), (None, None));
        let rest = json!({"a": {"b": {"d": 2}, "e": "x"}, "list": [{"g": 2}, 5, {}], "t": 7});
        assert_eq!(Value::Object(cursor.rest()), rest);
    }
}
