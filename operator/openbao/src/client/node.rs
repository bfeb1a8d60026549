//! Nodes of a server.

use reqwest::Url;

use crate::answer::{self, Answer, Request};
use crate::fault::Fault;
use crate::json::Malformed;
use crate::settings::InvalidSetting;
use crate::transport::parsed;
use crate::{Error, Settings};

/// A node of a server.
pub(super) struct Node {
    /// Address for messages, as the settings state it.
    pub(super) address: String,
    /// URL for requests. Contains the name of the certificate.
    pub(super) url: Url,
}

impl Node {
    pub(super) fn new(address: &str, settings: &Settings) -> Result<Self, InvalidSetting> {
        let mut url = parsed(address)?;
        if let Some(name) = &settings.server_name {
            url.set_host(Some(name)).map_err(|_| InvalidSetting::Address)?;
        }
        Ok(Self { address: address.trim_end_matches('/').to_owned(), url })
    }

    pub(super) fn served(&self, answer: Answer, request: &Request) -> Result<Answer, Error> {
        answer::served(answer, request, &self.url).map_err(|problem| match problem {
            Ok(error) => error,
            Err(fault) => self.error(request, fault),
        })
    }

    pub(super) fn error(&self, request: &Request, fault: Fault) -> Error {
        let address = self.address.clone();
        match fault {
            Fault::TooLarge(limit) => {
                Error::Answer { path: request.full_path(), source: Malformed::TooLarge(limit) }
            }
            fault @ Fault::Redirect(_) => Error::Redirect { address, source: fault },
            source => Error::Unreachable { address, source },
        }
    }
}
