//! Objects of a kind of Steamer and served objects, for controllers of both.

use kube::core::object::HasStatus;
use steamer_api::{BaoAuth, BaoAuthGlobal, BaoConnection, Kind, SecretTransformation};
use steamer_runtime::Object;

use super::names::Counterpart;
use super::object::Served;

/// An object of a kind of Steamer, or an object that is served as one.
pub trait Form<T: HasStatus>: Kind + Object + HasStatus<Status = T::Status> {
    /// Name of the controller.
    const CONTROLLER: &'static str;

    /// The object of Steamer.
    fn form(&self) -> &T;
}

macro_rules! forms {
    ($($kind:ident $controller:literal),+ $(,)?) => {
        $(
            impl Form<$kind> for $kind {
                const CONTROLLER: &'static str = $controller;

                fn form(&self) -> &$kind {
                    self
                }
            }

            impl Form<$kind> for Served<$kind> {
                const CONTROLLER: &'static str = $kind::PLURAL;

                fn form(&self) -> &$kind {
                    self.object()
                }
            }
        )+
    };
}

forms! {
    BaoConnection "baoconnection",
    BaoAuth "baoauth",
    BaoAuthGlobal "baoauthglobal",
    SecretTransformation "secrettransformation",
}
