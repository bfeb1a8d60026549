//! Resources of OpenBao, with their parameters as OpenBao's API names them.

use std::fmt;

use serde_json::{Map, Value};

/// Parameters of a resource.
pub(crate) type Fields = Map<String, Value>;

/// Kind of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Namespace,
    Policy,
    Engine,
    Method,
    Role,
    Group,
    Issuer,
    PkiRole,
    TransitKey,
    Connection,
    DynamicRole,
    StaticRole,
    Quota,
}

/// Location of a resource in OpenBao.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) class: Class,
    /// OpenBao namespace, relative to the root of the cluster. Empty: the root.
    pub(crate) namespace: String,
    /// Mount that contains the resource. Empty: none.
    pub(crate) mount: String,
    /// Part of the API's path between the mount and the name, such as `role`. Empty: none.
    pub(crate) folder: String,
    /// Name of the resource, or path of a mount or namespace.
    pub(crate) name: String,
}

/// A resource of OpenBao.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resource {
    pub(crate) place: Place,
    /// Type of the mount that contains the resource, such as `jwt`. Empty: none.
    pub(crate) method: String,
    pub(crate) fields: Fields,
}

/// The path of the resource in OpenBao's API.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, namespace, mount, folder, name } = self;
        if !namespace.is_empty() {
            write!(f, "{namespace}/")?;
        }
        match class {
            Class::Namespace => write!(f, "sys/namespaces/{name}"),
            Class::Policy => write!(f, "sys/policies/acl/{name}"),
            Class::Engine => write!(f, "sys/mounts/{name}"),
            Class::Method => write!(f, "sys/auth/{name}"),
            Class::Role => write!(f, "auth/{mount}/{folder}/{name}"),
            Class::Group => write!(f, "identity/group/name/{name}"),
            Class::Issuer
            | Class::PkiRole
            | Class::TransitKey
            | Class::Connection
            | Class::DynamicRole
            | Class::StaticRole => {
                write!(f, "{mount}/{folder}/{name}")
            }
            Class::Quota => write!(f, "sys/quotas/rate-limit/{name}"),
        }
    }
}

impl Place {
    pub(crate) fn new(class: Class, namespace: &str, name: &str) -> Self {
        let trimmed = |text: &str| text.trim_matches('/').to_owned();
        let (mount, folder) = (String::new(), String::new());
        Self { class, namespace: trimmed(namespace), mount, folder, name: trimmed(name) }
    }

    pub(crate) fn inside(self, mount: &str, folder: &str) -> Self {
        Self { mount: mount.trim_matches('/').to_owned(), folder: folder.to_owned(), ..self }
    }
}

/// The text of a field, or an empty text.
pub(crate) fn text<'a>(fields: &'a Fields, field: &str) -> &'a str {
    fields.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The texts in the list of a field. Empty without a list.
pub(crate) fn items<'a>(fields: &'a Fields, field: &str) -> Vec<&'a str> {
    fields.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}
