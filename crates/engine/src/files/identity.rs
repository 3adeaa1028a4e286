//! What tells one body of a source from another: two with the same identity have the same bytes.
//!
//! A static file has its validator. What was loaded has its descriptors: whoever loads the same
//! source again, on whatever replica, most often has the same chunks again, and files that were open
//! stay as they were.

use std::sync::LazyLock;

use rdl_mcap_io::{ChannelRecord, ChunkDescriptor};
use rdl_model::{SourceKey, SourceKeyHasher, TimeRange};

use crate::source::{Attachment, FileIdentity, Generation, State};

/// Tells this process from every other.
static PROCESS: LazyLock<u64> = LazyLock::new(|| {
    use std::hash::{BuildHasher as _, Hasher as _};
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
});

/// The identity of what a generation has. CPU work: it looks at every chunk.
pub(super) fn of(state: &State, generation: &Generation) -> SourceKey {
    match (&state.identity, &state.claims) {
        (Some(identity), Some(_)) => of_file(identity, generation),
        _ => {
            let chunks = state.chunks.iter().map(|chunk| &*chunk.descriptor);
            let mut hasher = SourceKeyHasher::new().field("loaded").field(&state.profile);
            for channel in state.channels.values() {
                hasher = hasher.field(channel_bytes(channel));
            }
            hasher = hasher.field("chunks");
            for chunk in chunks {
                hasher = hasher.field(chunk_bytes(chunk));
            }
            hasher = hasher.field("metadata");
            for metadata in &state.metadata {
                hasher = hasher.field(metadata.to_record_bytes());
            }
            hasher = hasher.field("attachments");
            for attachment in &state.attachments {
                hasher = hasher.field(attachment_bytes(attachment));
            }
            hasher.finish()
        }
    }
}

/// The identity of a static file, however it is read; `None` of a file that nobody could look at.
pub(super) fn of_static(generation: &Generation) -> SourceKey {
    let identity = generation.state().identity.clone();
    of_file(&identity.unwrap_or(FileIdentity { bytes: None, validator: None }), generation)
}

fn of_file(identity: &FileIdentity, generation: &Generation) -> SourceKey {
    let hasher = SourceKeyHasher::new();
    let bytes = identity.bytes.unwrap_or_default().to_le_bytes();
    match &identity.validator {
        Some(validator) => hasher.field("file").field(validator.to_string()).field(bytes).finish(),
        // Nobody can tell whether it is the same file: it lives as long as this look at it.
        None => {
            let (look, _) = generation.chunk_id(0);
            hasher.field("look").field(PROCESS.to_le_bytes()).field(look.to_le_bytes()).finish()
        }
    }
}

fn channel_bytes(channel: &ChannelRecord) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&channel.id.to_le_bytes());
    out.extend_from_slice(&channel.schema_id.to_le_bytes());
    put(&mut out, channel.def.topic.as_bytes());
    put(&mut out, channel.def.message_encoding.as_bytes());
    if let Some(schema) = &channel.def.schema {
        put(&mut out, schema.name.as_bytes());
        put(&mut out, schema.encoding.as_bytes());
        put(&mut out, &schema.data);
    }
    for (key, value) in &channel.def.metadata {
        put(&mut out, key.as_bytes());
        put(&mut out, value.as_bytes());
    }
    out
}

fn chunk_bytes(chunk: &ChunkDescriptor) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + chunk.channels.len() * 22);
    put_times(&mut out, chunk.times);
    put(&mut out, chunk.compression.mcap_name().as_bytes());
    for number in [chunk.uncompressed_bytes, chunk.record_bytes, chunk.index_bytes] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&chunk.crc.to_le_bytes());
    for used in &chunk.channels {
        out.extend_from_slice(&used.id.to_le_bytes());
        out.extend_from_slice(&used.count.to_le_bytes());
        put_times(&mut out, used.times);
    }
    for records in [&chunk.channel_records, &chunk.schema_records] {
        put(&mut out, &records.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>());
    }
    out
}

fn attachment_bytes(attachment: &Attachment) -> Vec<u8> {
    let head = &attachment.head;
    let mut out = attachment.crc.unwrap_or_default().to_le_bytes().to_vec();
    for number in [head.log_time.0, head.create_time.0, head.data_bytes] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    put(&mut out, head.name.as_bytes());
    put(&mut out, head.media_type.as_bytes());
    out
}

fn put_times(out: &mut Vec<u8>, times: TimeRange) {
    out.extend_from_slice(&times.start.0.to_le_bytes());
    out.extend_from_slice(&times.end.0.to_le_bytes());
}

/// Bytes after their length: no two lists give the same.
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}
