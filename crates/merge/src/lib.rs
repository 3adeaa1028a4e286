//! Which chunk or message a response sends next.
//!
//! Pure: queries, descriptors and open chunks in, steps out; no I/O and no async. The engine tells
//! the [`MergeHeap`] what its sources reveal, does what each [`Step`] says (read, open, verify,
//! write, wait) and asks again. A [`Lookback`] finds what is sent before the range, and
//! [`next_to_load`] which source has to be loaded for that. A [`FileLayout`] says where everything
//! lies in the virtual file, and [`JoinedRanges`] tell by few ranges where there is data.
//!
//! One order holds everywhere: log time, then the source's place in the manifest, then the
//! original order in the source, which is the order of its chunks and, within a chunk, the stable
//! order of its messages by time.

#[cfg(test)]
mod generator;
mod heap;
mod joined;
mod key;
mod layout;
mod lookback;
mod query;
mod selection;

pub use heap::{Entries, MergeHeap, SourceState, Step};
pub use joined::JoinedRanges;
pub use layout::{FileLayout, LaidSource, LayoutError, Piece, PieceKind};
pub use lookback::{DeclaredSource, Lookback, LookbackMessage, LookbackStep, next_to_load};
pub use query::{Query, ReplayPolicy};
pub use selection::WhyOpened;
