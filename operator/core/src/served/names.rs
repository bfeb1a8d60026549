//! The kinds of VSO and their counterparts.

use steamer_api::{
    BaoAuth, BaoAuthGlobal, BaoConnection, BaoDynamicSecret, BaoPKISecret, BaoStaticSecret, Kind, KindId,
    SecretTransformation,
};

/// API group of VSO.
pub const GROUP: &str = "secrets.hashicorp.com";
/// The version that Steamer serves.
pub(super) const VERSION: &str = "v1beta1";
/// Beginning of the names in references between served objects. No object of the API server has such a name, so an object of
/// VSO never refers to an object of Steamer, and the other way around.
const PREFIX: &str = "vso/";

/// Name in a reference to the VaultAuthGlobal that `allowDefault` permits instead of a name. No object has it.
pub(super) const ANY_DEFAULT: &str = "*default";

/// A kind of Steamer with a counterpart in VSO.
pub trait Counterpart: Kind {
    /// Kind of VSO.
    const SERVED: &'static str;
    /// Name of the kind of VSO in URLs.
    const PLURAL: &'static str;
}

macro_rules! counterparts {
    ($($kind:ident $served:literal $plural:literal),+ $(,)?) => {
        $(
            impl Counterpart for $kind {
                const SERVED: &'static str = $served;
                const PLURAL: &'static str = $plural;
            }
        )+

        /// The kind of VSO whose objects are served as objects of a kind.
        #[must_use]
        pub fn kind(kind: KindId) -> Option<&'static str> {
            match kind {
                $(KindId::$kind => Some($served),)+
                _ => None,
            }
        }

        /// Returns true for the name of a controller of served objects.
        fn is_controller(name: &str) -> bool {
            matches!(name, $($plural)|+)
        }

        /// The kind as which objects of a kind of VSO are served.
        #[must_use]
        pub fn parse(text: &str) -> Option<KindId> {
            match text {
                $($served => Some(KindId::$kind),)+
                _ => None,
            }
        }
    };
}

counterparts! {
    BaoConnection "VaultConnection" "vaultconnections",
    BaoAuth "VaultAuth" "vaultauths",
    BaoAuthGlobal "VaultAuthGlobal" "vaultauthglobals",
    BaoStaticSecret "VaultStaticSecret" "vaultstaticsecrets",
    BaoDynamicSecret "VaultDynamicSecret" "vaultdynamicsecrets",
    BaoPKISecret "VaultPKISecret" "vaultpkisecrets",
    SecretTransformation "SecretTransformation" "secrettransformations",
}

/// The name of a served object in a reference.
pub(super) fn reference(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// The name of the served object that a reference names, for an object of a controller. `None` for a reference to an object of
/// Steamer. Also `None` for an object of Steamer that states the prefix: what it refers to does not exist.
pub(crate) fn referred<'a>(name: &'a str, controller: &str) -> Option<&'a str> {
    name.strip_prefix(PREFIX).filter(|_| is_controller(controller))
}
