//! Recordings to measure with, and comparisons with other programs.
//!
//! [`scenario`] says what a recording is made of, [`recording`] writes it, [`digest`] tells whether
//! two hold the same messages, [`client`] reads files over HTTP. `compare` beside this package runs
//! the comparisons.

pub mod client;
pub mod digest;
pub mod recording;
pub mod scenario;
