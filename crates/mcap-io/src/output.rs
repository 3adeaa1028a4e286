//! Writing a response: stored chunks passed on unchanged, and messages merged into new chunks.

mod ids;

use std::sync::Arc;

use rdl_model::ErrorKind;

use crate::file::FileWriter;
pub use crate::file::OutputPiece;
use crate::{
    AttachmentRecord, ChannelRecord, ChunkBuilder, ChunkDescriptor, Compression, MessageView,
    MetadataRecord,
};
use ids::Ids;

/// What the headers name as the library that wrote the file.
pub(crate) const LIBRARY: &str = concat!("remote-data-loader/", env!("CARGO_PKG_VERSION"));

/// How an output is written.
#[derive(Clone, Debug)]
pub struct OutputOptions {
    /// The profile in the header; empty when there is none.
    pub profile: String,
    /// The library in the header.
    pub library: String,
    /// How new chunks are compressed.
    pub compression: Compression,
    /// A new chunk closes at this size, uncompressed, in bytes.
    pub chunk_target_bytes: usize,
}

impl Default for OutputOptions {
    /// No profile, lz4, chunks of 2 MiB.
    fn default() -> Self {
        OutputOptions {
            profile: String::new(),
            library: LIBRARY.to_owned(),
            compression: Compression::Lz4,
            chunk_target_bytes: 2 << 20,
        }
    }
}

/// Why an output cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// The channels, or the schemas, need more numbers than 16 bits give.
    #[error("there are more than 65,535 different channels or schemas; ask for fewer topics")]
    TooManyChannels,
    /// A chunk was to be passed whose channel cannot keep its number.
    #[error("channel {id} ({topic}) or its schema has a number that is taken; this is a bug")]
    IdTaken {
        /// The channel's id.
        id: u16,
        /// The channel's topic.
        topic: String,
    },
    /// A chunk's bytes are not what its descriptor says.
    #[error("a chunk is not what its descriptor says; this is a bug")]
    WrongDescriptor,
    /// A chunk could not be compressed.
    #[error("a chunk cannot be compressed: {0}")]
    Codec(String),
}

impl OutputError {
    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TooManyChannels => ErrorKind::TooLarge,
            Self::IdTaken { .. } | Self::WrongDescriptor | Self::Codec(_) => ErrorKind::Internal,
        }
    }
}

/// Writes one MCAP file, in order, without ever going back.
///
/// Messages and chunks come in the order in which they are to be read. Schemas and channels are
/// written loose, once, before the first chunk that uses them. A channel keeps the number that it
/// has in its source where that is free; the same channel may end up with several. Nothing may
/// follow [`OutputWriter::finish`].
pub struct OutputWriter {
    file: FileWriter,
    ids: Ids,
    open: ChunkBuilder,
    chunk_target_bytes: usize,
    tickets: u64,
}

impl OutputWriter {
    /// An output whose header is written.
    pub fn new(options: OutputOptions) -> OutputWriter {
        let OutputOptions { profile, library, compression, chunk_target_bytes } = options;
        OutputWriter {
            file: FileWriter::new(&profile, &library),
            ids: Ids::default(),
            open: ChunkBuilder::new(compression),
            chunk_target_bytes,
            tickets: 0,
        }
    }

    /// Whether a chunk with these channels, used or recorded, can be passed: each number is free
    /// here, or was written with identical fields, its schema's too.
    pub fn accepts<'a>(&self, channels: impl IntoIterator<Item = &'a ChannelRecord>) -> bool {
        channels.into_iter().all(|channel| self.file.fits(channel))
    }

    /// Leaves the place for a chunk that is sent unchanged, after whatever is still open and those of
    /// `channels`, which are all that it uses or records, that are new. Its stored bytes, as long as
    /// the descriptor says, go where the ticket is met that is returned. Only what
    /// [`OutputWriter::accepts`] accepts.
    pub fn pass(
        &mut self,
        descriptor: &ChunkDescriptor,
        channels: &[Arc<ChannelRecord>],
    ) -> Result<u64, OutputError> {
        self.close_chunk()?;
        for channel in channels {
            self.file.define(channel)?;
        }
        let ticket = self.tickets;
        self.tickets += 1;
        self.file.chunk_elsewhere(descriptor, ticket)?;
        Ok(ticket)
    }

    /// How large the next chunk is that is written, uncompressed, in bytes.
    pub fn set_chunk_target_bytes(&mut self, bytes: usize) {
        self.chunk_target_bytes = bytes;
    }

    /// Adds a message of `channel`, as its source numbers it, to the open chunk.
    pub fn message(
        &mut self,
        channel: &Arc<ChannelRecord>,
        message: MessageView<'_>,
    ) -> Result<(), OutputError> {
        let id = self.ids.resolve(channel, &mut self.file)?;
        self.open.message(id, &message);
        if self.open.uncompressed_bytes() >= self.chunk_target_bytes {
            self.close_chunk()?;
        }
        Ok(())
    }

    /// Writes a metadata record.
    pub fn metadata(&mut self, metadata: &MetadataRecord) -> Result<(), OutputError> {
        self.close_chunk()?;
        self.file.metadata(metadata);
        Ok(())
    }

    /// Writes an attachment.
    pub fn attachment(&mut self, attachment: &AttachmentRecord) -> Result<(), OutputError> {
        self.close_chunk()?;
        self.file.attachment(attachment);
        Ok(())
    }

    /// Writes the open chunk, if it has messages.
    pub fn close_chunk(&mut self) -> Result<(), OutputError> {
        let built = self.open.build().map_err(|error| OutputError::Codec(error.to_string()))?;
        if let Some(chunk) = built {
            self.file.chunk(&chunk)?;
        }
        Ok(())
    }

    /// Writes the open chunk, the summary and the end of the file. A second call does nothing.
    pub fn finish(&mut self) -> Result<(), OutputError> {
        self.close_chunk()?;
        self.file.finish();
        Ok(())
    }

    /// Takes what was written since the last call, in order; passed chunks are not copied.
    pub fn take_output(&mut self) -> Vec<OutputPiece> {
        self.file.take_output()
    }

    /// What was written and not taken yet, in bytes; neither the open chunk counts nor those that
    /// pass through from elsewhere.
    pub fn pending_bytes(&self) -> usize {
        self.file.pending_bytes()
    }

    /// What was written at all, in bytes; the open chunk does not count.
    pub fn bytes_written(&self) -> u64 {
        self.file.bytes_written()
    }

    /// How many messages were passed or added, those of the open chunk too.
    pub fn message_count(&self) -> u64 {
        self.file.message_count() + self.open.message_count()
    }
}

#[cfg(test)]
mod tests;
