//! A ready data backend over MCAP files in a folder or a bucket.
//!
//! [`Place`] is where the files lie. A request comes through [`FilesBackend::router`], is checked
//! ([`AccessRule`]), and finds its files in a listing that is at most two seconds old. What each
//! file is is known from its summary, or from having read it once, and kept in memory under a bound:
//! a file with a summary is a *static* source, served by ranges (or by the bucket itself, under a
//! signed URL); one without is *streamed* sources, the segments of its intact beginning.
//!
//! ```text
//! GET /manifest?recording=<name>                  the sources of a recording
//! GET /recordings                                 all there are, and what is wrong with files
//! GET|HEAD /files/<path>.mcap                     a file, by ranges
//! GET|HEAD /intact/<version>/<path>.mcap          a segment of a file, and an end
//! GET /liveness                                   for whoever runs the process
//! ```
//!
//! Invariants: no path leads out of the folder or the prefix; the same id of a streamed source means
//! the same bytes, although its file grows: an answer gets its end only if all before it had the
//! hash that the id says; what one manifest named of a file later ones name, as long as the file
//! begins with it and this process remembers it; who may not see a file is told the same as if there were none; no token is
//! in a log or an error.

mod access;
mod backend;
mod bodies;
mod conditions;
mod contents;
mod error;
mod examine;
mod known;
mod listing;
mod manifest;
mod path;
mod place;
mod prefix;
mod reply;
mod routes;

pub use access::{AccessRule, JwtRule, PrefixRule};
pub use backend::{FilesBackend, FilesConfig};
pub use conditions::{Wanted, wanted};
pub use error::StartError;
pub use place::Place;
