//! Small pieces to write a **data backend** for the remote data loader with any HTTP server.
//!
//! A data backend is an HTTP service of your own, over your own store. Asked for a recording, its
//! *manifest endpoint* answers with JSON: a list of *sources*. A source is either *streamed*, a
//! URL that answers with MCAP made on demand, in ascending log time, or *static*, an MCAP file on
//! a server that supports range requests. The loader fetches, keeps and merges them.
//!
//! | piece | what it is for |
//! | --- | --- |
//! | [`ChannelSet`], [`MessageType`] | declare topics once, for the manifest and for the data |
//! | [`Manifest`], [`StreamedSource`], [`StaticSource`] | the manifest as JSON (serde) |
//! | [`time_slices`], [`source_id`] | split a recording into sources, and name them |
//! | [`BodyWriter`], and `body` with the feature `stream` | write the MCAP of a streamed source |
//! | [`Bearer`], [`ErrorReply`] | tell who asks, and tell users what went wrong |
//!
//! None of them needs another, and none of them knows your HTTP server; the feature `axum` makes
//! [`Bearer`] an extractor and [`ErrorReply`] a response.
//!
//! # A backend
//!
//! ```
//! use remote_data_loader_backend::{
//!     BodyOptions, BodyWriter, ChannelSet, Manifest, Message, MessageType, Nanos, StreamedSource,
//!     source_id, time_slices,
//! };
//!
//! // Both endpoints declare the same channels.
//! let mut channels = ChannelSet::new();
//! let odometry = channels.add("/odom", MessageType::json_schema("Odometry", r#"{"type": "object"}"#))?;
//!
//! // The manifest endpoint: a source for every ten seconds.
//! let (start, end) = (Nanos(1_700_000_000_000_000_000), Nanos(1_700_000_059_999_999_999));
//! let sources = time_slices(start, end, std::time::Duration::from_secs(10)).map(|slice| {
//!     let from = slice.start.0.to_string();
//!     StreamedSource {
//!         id: Some(source_id(["v1", "first-recording", &from])),
//!         ..channels.source(format!("/data?recording=first-recording&from={from}"), slice)
//!     }
//! });
//! let manifest = Manifest {
//!     name: Some("first-recording".to_owned()),
//!     sources: sources.map(Into::into).collect(),
//! };
//! assert_eq!(manifest.sources.len(), 6);
//! let json = serde_json::to_string(&manifest)?;
//!
//! // The data endpoint: the MCAP of a source, a piece at a time.
//! let mut body = BodyWriter::new(&channels, BodyOptions::default());
//! body.write(odometry, Message::at(start, br#"{"x": 1.5}"#))?;
//! body.finish()?;
//! let mcap: Vec<u8> = body.take().concat();
//! # assert!(mcap.starts_with(b"\x89MCAP0\r\n") && mcap.ends_with(b"\x89MCAP0\r\n"));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a body promises
//!
//! The loader trusts a body that ends cleanly to be complete. So a [`BodyWriter`] refuses what
//! would make playback wrong (messages out of order, outside the declared times, or of channels
//! that were not declared), and one that refused something cannot be finished: the connection is to be
//! aborted, and the loader asks again. Chunks close by size, by log time or when you ask, never by
//! the wall clock: the same messages give the same bytes, which lets the loader resume a broken
//! connection. They carry the loader's canonical ids, so that it keeps and passes them on as they
//! are.
//!
//! `remote-data-loader check <manifest url>` tells whether a backend is right.
//!
//! # Features
//!
//! `stream` (default): bodies that are sent while they are written, for async servers. `axum`:
//! the extractor and the response. `schemars`, `prost-reflect`, `foxglove`: message types from
//! your Rust types.

mod bearer;
mod body;
mod channels;
mod message_type;
mod reply;
mod source;
#[cfg(feature = "stream")]
mod stream;

pub use bearer::{Bearer, NoBearer};
pub use body::{BodyOptions, BodyWriter, Message, WriteError};
pub use channels::{Channel, ChannelError, ChannelSet};
pub use message_type::{MessageType, MessageTypeError};
pub use rdl_mcap_io::{AttachmentRecord, Compression, MetadataRecord, SchemaDef as MessageSchema};
pub use rdl_model::{Nanos, TimeRange};
pub use rdl_wire::json::{Manifest, Schema, Source, StaticSource, StreamedSource, Topic};
pub use reply::{ERROR_MESSAGE_HEADER, ErrorReply};
pub use source::{source_id, time_slices};
#[cfg(feature = "stream")]
pub use stream::{Body, BodyError, BodySender, SendError, body};
