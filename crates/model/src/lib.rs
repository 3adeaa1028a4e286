//! The words that every other room uses: times, ranges, keys, problems and kinds of error.
//!
//! No I/O and no async. Nothing here knows of MCAP or HTTP.

mod address;
mod error;
mod key;
mod nanos;
mod problem;
mod range;

pub use address::{embedded_v4, is_special_address};
pub use error::ErrorKind;
pub use key::{ChunkRef, SourceKey, SourceKeyHasher};
pub use nanos::{Nanos, ParseNanosError};
pub use problem::{Problem, ProblemCode, Severity};
pub use range::{ByteRange, TimeRange};
