//! What tests of the other rooms stand on: generated recordings, a fake data backend that fails
//! on demand, an independent decoder of answers, and guards around real processes.
//!
//! Only tests depend on it. It writes and reads MCAP with the `mcap` crate alone and speaks HTTP
//! by hand, so that it shares no mistake with what it tests. Everything is deterministic: what is
//! random follows from a seed, and every server listens on a free port of the loopback interface.

mod backend;
mod decode;
mod files;
mod flaky_store;
mod http;
mod manifest;
mod mcap_file;
mod nginx;
mod observed;
mod one_chunk;
mod process;
mod random;
mod raw;
mod recording;
pub mod servers;
pub mod soak;
mod truth;
mod viewer;

pub use backend::{FakeBackend, Fault, SeenRequest};
pub use decode::{Decoded, Message, decode};
pub use files::{conformance_files, mcap_crate_file};
pub use flaky_store::FlakyStore;
pub use http::{HttpAnswer, get, send};
pub use manifest::{manifest_json, rfc3339, static_entry, streamed_entry};
pub use mcap_file::FileSpec;
pub use nginx::Nginx;
pub use observed::{Observed, bytes_in};
pub use one_chunk::OneChunk;
pub use process::Process;
pub use random::Random;
pub use raw::{RawChunk, RawFile};
pub use recording::{Channel, Drive, Recording, Schema};
pub use truth::{arrived, check_all, check_beginning};
pub use viewer::Viewer;
