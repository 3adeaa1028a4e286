//! The backend over a folder of a thousand files, over hostile names, over files that grow, and over
//! a real S3 server. It is asked over HTTP, and what it serves is read by an independent decoder.

#![expect(clippy::unwrap_used, reason = "what cannot be unwrapped here fails the test")]

mod access;
mod bucket;
mod growing;
mod names;
mod permission;
mod running;
mod store;
mod thousand;
mod trouble;
mod watched;
