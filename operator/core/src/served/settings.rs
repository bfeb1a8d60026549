//! Settings of VSO that its objects do not contain.

use std::sync::OnceLock;

use steamer_convert::Settings;

/// Settings of VSO that its objects do not contain. The parser of a watch has no other access to them.
static SETTINGS: OnceLock<Settings> = OnceLock::new();

/// Sets the settings of VSO for this process. Only the first call has an effect.
pub fn configure(settings: Settings) {
    SETTINGS.get_or_init(|| settings);
}

/// The settings of VSO.
pub(super) fn settings() -> &'static Settings {
    SETTINGS.get_or_init(Settings::default)
}
