//! The words that every other room uses: times, ranges, keys, problems and kinds of error, and
//! what is decided once about addresses and about texts from outside.
//!
//! No I/O and no async. Nothing here knows of MCAP or HTTP.

mod address;
mod error;
mod key;
mod nanos;
mod one_line;
mod problem;
mod range;

pub use address::{embedded_v4, is_special_address};
pub use error::ErrorKind;
pub use key::{ChunkRef, SourceKey, SourceKeyHasher};
pub use nanos::{Nanos, ParseNanosError};
pub use one_line::one_line;
pub use problem::{Problem, ProblemCode, Severity};
pub use range::{ByteRange, TimeRange};
