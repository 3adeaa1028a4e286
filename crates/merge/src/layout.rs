//! The layout of the virtual file: a whole recording as stable bytes.
//!
//! Header; every schema and channel; every chunk by (start, source, position), each with its
//! message indexes; metadata and attachments, each once; data end; summary. Made from descriptors
//! alone: no chunk is read for it, and the same sources give the same bytes everywhere.
//!
//! A chunk stays as it is unless one of its ids belongs to something else here; then it is laid out
//! under new ids, uncompressed ([`rdl_mcap_io::renumber_chunk`]). Whoever comes first keeps its ids,
//! so that sources which agree on them, as all do that were loaded, keep them all.

mod ids;
mod overlap;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use rdl_mcap_io::{
    AttachmentHead, ChannelRecord, ChunkDescriptor, LayoutWriter, MetadataRecord, NewIds,
    OutputError, SchemaDef, renumbered,
};
use rdl_model::{ByteRange, ChunkRef, ErrorKind, TimeRange};

/// What the header names as the library: it must not change with the version of the loader.
const LIBRARY: &str = "remote-data-loader";

/// A larger summary is not made, in bytes.
const MOST_SUMMARY_BYTES: u64 = 64 << 20;

/// What there is of one source.
#[derive(Clone, Debug, Default)]
pub struct LaidSource {
    /// Its profile; empty when it has none.
    pub profile: String,
    /// Its channels, by id.
    pub channels: BTreeMap<u16, Arc<ChannelRecord>>,
    /// Schemas that it has besides those of its channels, by id.
    pub schemas: BTreeMap<u16, Arc<SchemaDef>>,
    /// Its chunks, in their order. Those without messages are left out.
    pub chunks: Vec<Arc<ChunkDescriptor>>,
    /// Whether the descriptors are what a summary claims: then nobody knows which schema and
    /// channel records a chunk has.
    pub are_claims: bool,
    /// Its metadata records.
    pub metadata: Vec<MetadataRecord>,
    /// Its attachments, and how long the record of each is, in bytes.
    pub attachments: Vec<(AttachmentHead, u64)>,
}

/// Where everything lies in the virtual file.
#[derive(Clone, Debug)]
pub struct FileLayout {
    /// How long the file is.
    pub bytes: u64,
    /// What lies where, without gaps, in order.
    pub pieces: Vec<Piece>,
    /// What no source has, one behind the other: [`PieceKind::Own`] says where.
    pub own: Vec<Bytes>,
    /// The ids that the schemas and channels of each source have in the file.
    pub ids: Vec<NewIds>,
    /// The most chunks that have messages of one time.
    pub most_overlapping: usize,
    /// How many messages.
    pub message_count: u64,
}

/// Something that lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it starts; it ends where the next one does.
    pub start: u64,
    /// What it is.
    pub kind: PieceKind,
}

/// What lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceKind {
    /// What no source has: where it starts in [`FileLayout::own`].
    Own(u64),
    /// A chunk and its message indexes as they are.
    Chunk(ChunkRef),
    /// A chunk and its message indexes under new ids.
    Renumbered(ChunkRef),
    /// An attachment record as it is.
    Attachment {
        /// The position of the source in the layout.
        source: u32,
        /// The position among its attachments.
        attachment: u32,
    },
}

/// Why there can be no file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Its summary would be too large.
    #[error(
        "the recording is too large for one file: the summary of its schemas, channels and first \
         {chunks} chunks is over {limit_bytes} bytes; ask for a part of it, or for the stream"
    )]
    SummaryTooLarge {
        /// How many were laid out.
        chunks: usize,
        /// How large it may be.
        limit_bytes: u64,
    },
    /// The chunks do not fit together.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl LayoutError {
    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::SummaryTooLarge { .. } => ErrorKind::TooLarge,
            Self::Output(error) => error.kind(),
        }
    }
}

impl FileLayout {
    /// Lays out these sources; their order decides between chunks that start at the same time.
    pub fn new(sources: &[LaidSource]) -> Result<FileLayout, LayoutError> {
        let mut writer = LayoutWriter::new(common_profile(sources), LIBRARY);
        let ids = ids::define(sources, &mut writer)?;
        check_summary(&writer, 0)?;
        let mut elsewhere = Vec::new();
        let mut message_count = 0;
        let order = order(sources);
        for at in &order {
            let source = &sources[at.source as usize];
            let ids = &ids[at.source as usize];
            let chunk = &source.chunks[at.chunk as usize];
            message_count += chunk.message_count;
            let is_kept = if source.are_claims { ids.is_identity() } else { ids.keep(chunk) };
            let (range, kind) = match is_kept {
                true => (writer.chunk(chunk)?, PieceKind::Chunk(*at)),
                false => (writer.chunk(&renumbered(chunk, ids))?, PieceKind::Renumbered(*at)),
            };
            elsewhere.push((range, kind));
            check_summary(&writer, elsewhere.len())?;
        }
        let mut known = HashSet::new();
        for metadata in sources.iter().flat_map(|source| &source.metadata) {
            if known.insert(metadata) {
                writer.metadata(metadata);
            }
        }
        for (at, source) in (0..).zip(sources) {
            for (attachment, (head, record_bytes)) in (0..).zip(&source.attachments) {
                let range = writer.attachment(head, *record_bytes);
                elsewhere.push((range, PieceKind::Attachment { source: at, attachment }));
            }
        }
        let (own, bytes) = writer.finish();
        let chunks = order.iter().map(|at| &*sources[at.source as usize].chunks[at.chunk as usize]);
        let times: Vec<TimeRange> = chunks.map(|chunk| chunk.times).collect();
        Ok(FileLayout {
            bytes,
            pieces: pieces(&own, elsewhere),
            own: own.into_iter().map(|(_, bytes)| bytes).collect(),
            ids,
            most_overlapping: overlap::most_overlapping(&times),
            message_count,
        })
    }

    /// The pieces of which a range has something, each with where it lies. Empty for what lies
    /// beyond the file.
    pub fn pieces_of(&self, range: ByteRange) -> impl Iterator<Item = (PieceKind, ByteRange)> + '_ {
        let first = self.pieces.partition_point(|piece| piece.start <= range.start);
        let pieces = self.pieces.iter().enumerate().skip(first.saturating_sub(1));
        pieces.take_while(move |(_, piece)| piece.start < range.end).map(|(at, piece)| {
            let end = self.pieces.get(at + 1).map_or(self.bytes, |next| next.start);
            (piece.kind, ByteRange { start: piece.start, end })
        })
    }
}

fn check_summary(writer: &LayoutWriter, chunks: usize) -> Result<(), LayoutError> {
    match writer.summary_bytes() <= MOST_SUMMARY_BYTES {
        true => Ok(()),
        false => Err(LayoutError::SummaryTooLarge { chunks, limit_bytes: MOST_SUMMARY_BYTES }),
    }
}

/// Every chunk by (start, source, position).
fn order(sources: &[LaidSource]) -> Vec<ChunkRef> {
    let mut order = Vec::new();
    for (source, laid) in (0..).zip(sources) {
        let with_messages = |(_, chunk): &(u32, &Arc<ChunkDescriptor>)| chunk.message_count > 0;
        for (chunk, descriptor) in (0..).zip(&laid.chunks).filter(with_messages) {
            order.push((descriptor.times.start, ChunkRef { source, chunk }));
        }
    }
    order.sort_unstable();
    order.into_iter().map(|(_, at)| at).collect()
}

/// Own and foreign pieces in one order.
fn pieces(own: &[(u64, Bytes)], elsewhere: Vec<(ByteRange, PieceKind)>) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(own.len() + elsewhere.len());
    let mut at = 0;
    for (start, bytes) in own {
        pieces.push(Piece { start: *start, kind: PieceKind::Own(at) });
        at += bytes.len() as u64;
    }
    let foreign = elsewhere.into_iter().filter(|(range, _)| !range.is_empty());
    pieces.extend(foreign.map(|(range, kind)| Piece { start: range.start, kind }));
    pieces.sort_unstable_by_key(|piece| piece.start);
    let is_own = |piece: &Piece| matches!(piece.kind, PieceKind::Own(_));
    pieces.dedup_by(|next, piece| is_own(next) && is_own(piece));
    pieces
}

/// The profile that all sources which name one agree on; none otherwise.
fn common_profile(sources: &[LaidSource]) -> &str {
    let mut profiles =
        sources.iter().map(|source| source.profile.as_str()).filter(|profile| !profile.is_empty());
    let first = profiles.next().unwrap_or_default();
    if profiles.all(|profile| profile == first) { first } else { "" }
}

#[cfg(test)]
mod tests;
