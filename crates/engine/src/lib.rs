//! Ties the rooms together: a recording, its sources, their loads, and the bytes of a response.

mod info;

pub use info::{RecordingInfo, SourceInfo, SourceKind, SourceStatus, TopicInfo};
