//! Where loads write and responses read: the disk store.
//!
//! [`DiskStore`] owns one folder per process. A load writes an [`Attempt`] there, part by part,
//! and whoever follows it reads the same files through [`SourceFiles`] while they grow. A complete
//! attempt moves by a rename to where [`DiskStore::find`] finds it: into the bucket folder
//! (`local`), where it outlives the process, or else into the process's folder. Chunks that were
//! fetched by range, and what does not fit into memory, lie in [`ScratchFile`]s.
//!
//! The store is bounded: every byte is charged before it is written, complete sources are evicted
//! by last use to make room, and what does not fit even then is refused with
//! [`StoreError::Full`], which leaves everything as it was.
//!
//! Invariants: an attempt is found only after its last byte was written and verified
//! (`complete.json` is written last); an attempt that is dropped before leaves nothing behind; what
//! is being read in this process is not evicted; the folder of a dead process is removed by the
//! next one that starts.
//!
//! [`Bucket`] is where several replicas share what they loaded.
//!
//! What lies on the disk is read and written in blocking calls: make them off the async threads.
//! What concerns the bucket is async.

mod attempt;
mod bucket;
mod charge;
mod complete;
mod descriptors;
mod disk_store;
mod error;
mod files;
mod inventory;
mod kept;
mod listing;
mod process_folder;
mod scratch;
mod space;
mod used;
mod whole;

pub use attempt::Attempt;
pub use bucket::{
    AttemptName, Bucket, BucketConfig, BucketCut, BucketEntry, BucketError, BucketErrorKind,
    BucketProvider, Checksums, ClosedPart, FollowedPart, Look, OpenedBucket, PartRead, Pulse,
    RemoteParts, RemoteSource, ReplicaId, Running, RunningEnd, RunningPart, RunningState, Sign,
    UploadError, open_bucket,
};
pub use disk_store::{DiskStore, FoundSource, StoreConfig};
pub use error::StoreError;
pub use files::SourceFiles;
pub use listing::{BucketFolder, StoredSource};
pub use scratch::ScratchFile;
pub use space::Usage;
pub use whole::{KeptFile, WholeFile};
