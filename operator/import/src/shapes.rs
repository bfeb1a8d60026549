//! Kinds and fields for the classes of resources.

use serde_json::{Map, Value, json};

use crate::certificates::is_root;
use crate::names::Names;
use crate::resource::{Class, Place, Resource, text};
use crate::roles::{Form, form};
use crate::spec::{Shape, set};

/// Names of the API's parameters in the map `parameters`.
const PARAMETERS: &[(&str, &str)] = &[("", "parameters")];
/// Fields at the top of the spec.
const TOP: &[(&str, &str)] = &[("", "")];

const fn plain(kind: &'static str) -> Shape {
    Shape { kind, renamed: &[], sections: TOP, rest: PARAMETERS, ignored: &["name"] }
}

const NAMESPACE: Shape = plain("BaoNamespace");

const POLICY: Shape = Shape { ignored: &["name", "version", "modified"], ..plain("BaoPolicy") };

/// What OpenBao computes for each mount.
const OF_MOUNTS: &[&str] = &[
    "accessor",
    "deprecation_status",
    "external_entropy_access",
    "options.version",
    "running_plugin_version",
    "running_sha256",
    "type",
    "uuid",
    "config_of_method.status",
    "config_of_method.token_reviewer_jwt_set",
];

const ENGINE: Shape = Shape {
    renamed: &[("config.force_no_cache", "forceNoCache")],
    sections: &[("config.", "tune"), ("config_of_engine.", "config"), ("", "")],
    rest: &[("options.", "options"), ("config_of_engine.", "parameters"), ("", "")],
    ignored: OF_MOUNTS,
    ..plain("SecretEngine")
};

const METHOD: Shape = Shape {
    sections: &[("config.", "tune"), ("", "")],
    rest: &[("options.", "options"), ("config_of_method.", "parameters"), ("", "")],
    ignored: OF_MOUNTS,
    ..plain("AuthMethod")
};

/// A role with its parameters in a block.
macro_rules! role {
    ($block:literal) => {{
        const SHAPE: Shape = Shape {
            sections: &[("", $block), ("", "")],
            ignored: &["name", "local_secret_ids", "role_id"],
            ..plain("BaoAuthRole")
        };
        &SHAPE
    }};
}

const ROLE: Shape =
    Shape { sections: &[], ignored: &["name", "local_secret_ids", "role_id"], ..plain("BaoAuthRole") };

const GROUP: Shape = Shape {
    rest: &[],
    ignored: &[
        "creation_time",
        "id",
        "last_update_time",
        "member_entity_ids",
        "member_group_ids",
        "modify_index",
        "name",
        "namespace_id",
        "parent_group_ids",
    ],
    ..plain("IdentityGroup")
};

/// An issuer with the contents of its certificate in a block.
const fn issuer(sections: &'static [(&'static str, &'static str)]) -> Shape {
    Shape { kind: "PKIIssuer", renamed: &[], sections, rest: &[], ignored: &[] }
}

const ROOT: Shape = issuer(&[("authority.", "root"), ("", "urls"), ("", "")]);

const INTERMEDIATE: Shape = issuer(&[("authority.", "intermediate"), ("", "urls"), ("", "")]);

const PKI_ROLE: Shape = plain("PKIRole");

const TRANSIT_KEY: Shape = Shape {
    rest: &[],
    ignored: &[
        "convergent_encryption_version",
        "imported_key",
        "kdf",
        "keys",
        "latest_version",
        "min_available_version",
        "name",
        "soft_deleted",
        "supports_",
    ],
    ..plain("TransitKey")
};

const CONNECTION: Shape = Shape {
    renamed: &[("plugin_name", "plugin"), ("root_credentials_rotate_statements", "rootRotationStatements")],
    sections: &[("connection_details.", ""), ("", "")],
    rest: &[("connection_details.", "parameters"), ("", "parameters")],
    ignored: &["name", "connection_details.username"],
    ..plain("DatabaseConnection")
};

const DATABASE_ROLE: Shape =
    Shape { ignored: &["name", "db_name", "last_vault_rotation"], ..plain("DatabaseRole") };

const STATIC_ROLE: Shape = Shape { sections: &[("", "static"), ("", "")], ..DATABASE_ROLE };

const QUOTA: Shape = Shape { ignored: &["name", "type"], ..plain("BaoRateLimitQuota") };

/// The shape of the objects for a resource.
pub(crate) fn shape(resource: &Resource) -> &'static Shape {
    match resource.place.class {
        Class::Namespace => &NAMESPACE,
        Class::Policy => &POLICY,
        Class::Engine => &ENGINE,
        Class::Method => &METHOD,
        Class::Role => match form(resource) {
            Form::Block("kubernetes") => role!("kubernetes"),
            Form::Block("jwt") => role!("jwt"),
            Form::Block("appRole") => role!("appRole"),
            Form::Block("cert") => role!("cert"),
            Form::Block("token") => role!("token"),
            Form::Block(_) | Form::Method(_) => &ROLE,
        },
        Class::Group => &GROUP,
        Class::Issuer if is_root(text(&resource.fields, "certificate")) => &ROOT,
        Class::Issuer => &INTERMEDIATE,
        Class::PkiRole => &PKI_ROLE,
        Class::TransitKey => &TRANSIT_KEY,
        Class::Connection => &CONNECTION,
        Class::DynamicRole => &DATABASE_ROLE,
        Class::StaticRole => &STATIC_ROLE,
        Class::Quota => &QUOTA,
    }
}

/// The connection of a role of a database.
pub(crate) fn connection_of(resource: &Resource) -> Option<Place> {
    let Resource { place, fields, .. } = resource;
    let is_role = matches!(place.class, Class::DynamicRole | Class::StaticRole);
    let connection = Place::new(Class::Connection, &place.namespace, text(fields, "db_name"));
    is_role.then(|| connection.inside(&place.mount, "config"))
}

/// Sets the fields that locate the resource.
pub(crate) fn identify(spec: &mut Map<String, Value>, resource: &Resource, names: &Names) {
    let Resource { place, method, .. } = resource;
    let located: Vec<(&str, Value)> = match place.class {
        Class::Namespace => vec![("path", json!(place.name))],
        Class::Policy | Class::Group | Class::Quota => vec![("name", json!(place.name))],
        Class::Engine | Class::Method => vec![("path", json!(place.name)), ("type", json!(method))],
        Class::Role => {
            let (field, value) = match form(resource) {
                Form::Block(block) => (block, json!({})),
                Form::Method(method) => ("method", json!(method)),
            };
            vec![("mount", json!(place.mount)), ("name", json!(place.name)), (field, value)]
        }
        Class::Issuer => vec![("mount", json!(place.mount)), ("issuerName", json!(place.name))],
        Class::PkiRole | Class::TransitKey | Class::Connection => {
            vec![("mount", json!(place.mount)), ("name", json!(place.name))]
        }
        Class::DynamicRole | Class::StaticRole => {
            let name = connection_of(resource).and_then(|connection| names.get(&connection));
            vec![("connectionRef", json!({"name": name})), ("name", json!(place.name))]
        }
    };
    for (field, value) in located {
        set(spec, field, value);
    }
}
