//! The manifest contract: the JSON that a data backend answers with, its validation, and the JSON
//! Schema that is generated from the types.
//!
//! `fetch` hands a body to [`parse_manifest`] and gets a [`Manifest`] whose URLs are absolute,
//! whose ids are checked and whose times are [`Nanos`](rdl_model::Nanos). [`signature`] knows the
//! URLs that carry their own authority. No I/O.
//!
//! Invariants: an error names the JSON path of what is wrong and never shows the query, the user
//! info or the fragment of a URL; no two sources of a [`Manifest`] have the same key.

pub mod json;
mod parse;
mod schema;
pub mod signature;
mod source;
mod time;

pub use parse::{ManifestError, ManifestLimits, parse_manifest};
pub use schema::manifest_json_schema;
pub use source::{Manifest, Schema, Source, StaticSource, StreamedSource, Topic, redacted};
