/// What is the most that is accepted, checked before anything is allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The size of a chunk, as a record and uncompressed, in bytes.
    pub max_chunk_bytes: u64,
    /// A chunk, as a record or uncompressed, or a message that is larger goes through a
    /// [`crate::Spool`] and not through memory, in bytes.
    pub large_chunk_bytes: u64,
    /// The size of a message, or of any other single record but a chunk or an attachment, in
    /// bytes.
    pub max_message_bytes: u64,
    /// The size of an attachment that is kept, in bytes. A larger one is left out.
    pub max_attachment_bytes: u64,
    /// The size of all schemas, channels and metadata records of a source together, in bytes.
    pub max_definitions_bytes: u64,
    /// The size of the summary section, in bytes.
    pub max_summary_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_chunk_bytes: 256 << 20,
            large_chunk_bytes: 16 << 20,
            max_message_bytes: 64 << 20,
            max_attachment_bytes: 64 << 20,
            max_definitions_bytes: 64 << 20,
            max_summary_bytes: 256 << 20,
        }
    }
}
