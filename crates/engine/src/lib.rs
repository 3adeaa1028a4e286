//! Ties the rooms together: a recording, its sources, their loads, and the bytes of a response.
//!
//! An [`Engine`] lives as long as the process. [`Engine::recording`] asks the manifest endpoint
//! with the caller's own token and gives a [`Recording`]; [`Recording::stream`] answers a query
//! with a [`ResponseStream`]. Every source is one [`source::Source`], shared by all who may see it
//! and loaded once ([`load`]) or read by ranges ([`ranged`]).
//!
//! Nothing here writes to a socket or parses a request. CPU work and file access run on blocking
//! threads ([`cpu`]); the tasks only wait.

mod config;
mod cpu;
mod engine;
mod error;
mod files;
mod info;
mod load;
mod memory;
mod open_chunks;
mod pressure;
mod queue;
mod ranged;
mod readers;
mod recording;
mod registry;
mod response;
mod shared;
mod sharing;
mod source;
mod standing;
mod viewers;

pub use config::{EngineConfig, SharingConfig};
pub use engine::Engine;
pub use error::EngineError;
pub use files::{FileBody, FileInfo, FileRequest, FileVersion, OpenFile};
pub use info::{RecordingInfo, SourceInfo, SourceKind, SourceStatus, SourcesInfo, TopicInfo};
pub use rdl_fetch::{
    AskedManifest, FetchConfig, HttpClient, IpNet, ManifestClient, ManifestParams, Token,
    TokenPolicy,
};
pub use rdl_mcap_io::Compression;
pub use rdl_merge::{Query, ReplayPolicy, WhyOpened};
pub use rdl_store::{
    Bucket, BucketConfig, BucketCut, BucketEntry, BucketError, BucketErrorKind, BucketFolder,
    BucketProvider, StoreConfig, StoredSource,
};
pub use recording::Recording;
pub use response::{ExplainedSource, Explanation, Reads, ResponseStream, SourceUse, Stage, Tier};
