//! Where loads write and responses read: the disk store.
//!
//! [`DiskStore`] owns one folder per process. A load writes an [`Attempt`] there, part by part,
//! and whoever follows it reads the same files through [`SourceFiles`] while they grow. With a
//! bucket folder (`local`) a complete attempt moves into the bucket by a rename, nothing is stored
//! twice, and [`DiskStore::find`] gives it back after a restart. Chunks that were fetched by range
//! lie in [`ScratchFile`]s, which last as long as the process.
//!
//! Invariants: an attempt is found only after its last byte was written and verified
//! (`complete.json` is written last); an attempt that is dropped before leaves nothing behind; the
//! folder of a dead process is removed by the next one that starts.
//!
//! Everything here blocks: call it off the async threads.

mod attempt;
mod complete;
mod disk_store;
mod error;
mod files;
mod process_folder;
mod scratch;

pub use attempt::Attempt;
pub use disk_store::{DiskStore, FoundSource, StoreConfig};
pub use error::StoreError;
pub use files::SourceFiles;
pub use scratch::ScratchFile;
