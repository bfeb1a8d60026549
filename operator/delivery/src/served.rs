//! Objects of Vault Secrets Operator that Steamer serves: the same engine, with other names.

use std::sync::Arc;

use steamer_api::{
    BaoAuth, BaoAuthGlobal, BaoConnection, BaoDynamicSecret, BaoPKISecret, BaoStaticSecret, Mode,
    PlannedChange, SecretTransformation,
};
use steamer_core::Error;
use steamer_core::served::{Counterpart, Installed, Served};
use steamer_core::tasks::Tasks;

use crate::engine::{Common, Controller, Engine, ReadAccess, Recorded, Synced};
use crate::forms::FormController;

impl<K: Synced + Counterpart> Synced for Served<K> {
    const NAME: &'static str = K::PLURAL;
    type Source = K::Source;

    fn common(&self) -> Common<'_> {
        self.object().common()
    }

    fn clears(&self) -> bool {
        self.object().clears()
    }

    fn validate(&self) -> Result<(), Error> {
        self.object().validate()
    }

    fn source(&self, access: ReadAccess) -> K::Source {
        self.object().source(access)
    }

    fn recorded(status: &K::Status) -> Recorded {
        K::recorded(status)
    }

    fn record(status: &mut K::Status, recorded: Recorded) {
        K::record(status, recorded);
    }

    fn mode(&self) -> Mode {
        self.object().mode()
    }

    fn set_plan(status: &mut K::Status, plan: Vec<PlannedChange>) {
        K::set_plan(status, plan);
    }
}

/// Adds the controllers of the kinds of Vault Secrets Operator that the API server serves.
pub(crate) fn register(tasks: &mut Tasks, engine: &Arc<Engine>, installed: &Installed) {
    let context = tasks.context();
    macro_rules! serve {
        ($kind:ty, $controller:expr) => {
            if installed.has::<$kind>() {
                tasks.controller($controller);
            }
        };
    }
    serve!(BaoConnection, FormController::<BaoConnection, Served<BaoConnection>>::new(context.clone()));
    serve!(BaoAuth, FormController::<BaoAuth, Served<BaoAuth>>::new(context.clone()));
    serve!(BaoAuthGlobal, FormController::<BaoAuthGlobal, Served<BaoAuthGlobal>>::new(context.clone()));
    serve!(
        SecretTransformation,
        FormController::<SecretTransformation, Served<SecretTransformation>>::new(context)
    );
    serve!(BaoStaticSecret, Controller::<Served<BaoStaticSecret>>::new(engine.clone()));
    serve!(BaoDynamicSecret, Controller::<Served<BaoDynamicSecret>>::new(engine.clone()));
    serve!(BaoPKISecret, Controller::<Served<BaoPKISecret>>::new(engine.clone()));
}
