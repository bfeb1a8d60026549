//! TOML 1.0, with the values and the text of Helm, which uses the module `github.com/BurntSushi/toml`.

mod cursor;
mod decoder;
mod encoder;
mod items;
mod problem;
mod scalar;
mod strings;
mod table;

pub(crate) use encoder::encode;
pub(crate) use items::decode;

#[cfg(test)]
mod tests;
