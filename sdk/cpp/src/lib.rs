//! The C ABI of the data-backend kit: the Rust core behind functions that C can call.
//!
//! `include/remote_data_loader_backend.h` declares all of it and says how it is used: who owns
//! what, what errors look like, what threads may do. It is written by hand, and a test compares it
//! with this code (`tests.rs`). `include/remote_data_loader_backend.hpp` makes it pleasant in C++.
//!
//! Here lies nothing but the way in and out: pointers are checked and become references (`memory`),
//! errors and panics become status codes (`status`), and the core does the rest.
//!
//! **Invariants.** No panic leaves this crate: every function runs in `status::guard` or
//! `status::answer`. NULL and sizes that cannot be are errors. Nothing is kept of what a caller
//! passes, and what is handed out lies still until it is freed.

mod body;
mod channels;
mod manifest;
mod memory;
mod request;
mod source;
mod status;
#[cfg(test)]
mod tests;
mod types;

pub use body::*;
pub use channels::*;
pub use manifest::*;
pub use memory::*;
pub use request::*;
pub use source::*;
pub use status::*;
pub use types::*;
