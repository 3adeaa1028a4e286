//! HTTP towards the data backend: manifests, streamed downloads, range reads.
//!
//! [`HttpClient`] sends one GET and follows its redirects; every rule about where a request may go
//! and whether it carries the bearer token is checked there, at every hop. On it stand
//! [`ManifestClient`] (retry, one fetch for identical requests, cache), [`Download`] (a streamed
//! source) and [`RangeReader`] (a static one).
//!
//! Invariants: no query, user info or token is in any error or log line; a token goes only where
//! [`TokenPolicy`] lets it; nothing that a server says makes a read grow beyond its limit; HEAD is
//! never used.

mod address;
mod client;
mod config;
mod denied;
mod download;
mod error;
mod manifest;
mod purpose;
mod range;
mod retry;
mod stability;
mod token;

pub use client::HttpClient;
pub use config::{FetchConfig, TokenPolicy};
pub use download::Download;
pub use error::{FetchError, TimedOut};
pub use ipnet::IpNet;
pub use manifest::{AskedManifest, ManifestClient, ManifestParams};
pub use range::{Opened, Opening, RangeReader, Validator};
pub use rdl_wire::redacted;
pub use token::{Access, Token};

use self::purpose::Purpose;

#[cfg(test)]
mod testing;
