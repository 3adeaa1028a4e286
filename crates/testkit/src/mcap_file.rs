use std::collections::HashMap;
use std::io::Cursor;
use std::sync::Arc;

use mcap::records::MessageHeader;
use mcap::{Compression, WriteOptions};

use crate::decode::Message;
use crate::recording::Channel;

/// How a file of given messages is written.
#[derive(Clone, Debug)]
pub struct FileSpec {
    /// Of chunks, uncompressed; none: no chunks, every message lies loose.
    pub chunk_bytes: Option<u64>,
    /// Of chunks.
    pub compression: Option<Compression>,
    /// The ids are consecutive from here, for schemas and for channels.
    pub first_id: u16,
    /// Message indexes behind each chunk.
    pub message_indexes: bool,
    /// A summary.
    pub summary: bool,
    /// CRCs of chunks, of the data section and of the summary.
    pub crcs: bool,
    /// The header's profile.
    pub profile: String,
    /// Metadata records: name, key and value.
    pub metadata: Vec<(String, String, String)>,
    /// Attachments: name and data.
    pub attachments: Vec<(String, Vec<u8>)>,
}

impl Default for FileSpec {
    fn default() -> Self {
        FileSpec {
            chunk_bytes: Some(16 << 10),
            compression: Some(Compression::Lz4),
            first_id: 1,
            message_indexes: true,
            summary: true,
            crcs: true,
            profile: String::new(),
            metadata: Vec::new(),
            attachments: Vec::new(),
        }
    }
}

impl FileSpec {
    /// The file with these messages, in this order.
    ///
    /// # Panics
    ///
    /// If the `mcap` crate refuses them.
    pub fn write(&self, messages: &[Message]) -> Vec<u8> {
        self.try_write(messages).expect("the mcap crate writes any messages into memory")
    }

    fn try_write(&self, messages: &[Message]) -> mcap::McapResult<Vec<u8>> {
        let mut writer = WriteOptions::new()
            .profile(self.profile.clone())
            .library("rdl-testkit")
            .compression(self.compression)
            .chunk_size(self.chunk_bytes)
            .use_chunks(self.chunk_bytes.is_some())
            .emit_message_indexes(self.message_indexes)
            .emit_summary_records(self.summary)
            .emit_summary_offsets(self.summary)
            .calculate_chunk_crcs(self.crcs)
            .calculate_data_section_crc(self.crcs)
            .calculate_summary_section_crc(self.crcs)
            .create(Cursor::new(Vec::new()))?;
        let mut ids: HashMap<Arc<Channel>, u16> = HashMap::new();
        for message in messages {
            let id = match ids.get(&message.channel) {
                Some(id) => *id,
                None => {
                    let id = self.first_id.wrapping_add(ids.len() as u16);
                    let channel = &message.channel;
                    let schema_id = match &channel.schema {
                        Some(schema) => writer.add_schema_with_id(
                            id,
                            &schema.name,
                            &schema.encoding,
                            &schema.data,
                        )?,
                        None => 0,
                    };
                    writer.add_channel_with_id(
                        id,
                        schema_id,
                        &channel.topic,
                        &channel.message_encoding,
                        &channel.metadata,
                    )?;
                    ids.insert(Arc::clone(channel), id);
                    id
                }
            };
            let header = MessageHeader {
                channel_id: id,
                sequence: message.sequence,
                log_time: message.log_time,
                publish_time: message.publish_time,
            };
            writer.write_to_known_channel(&header, &message.data)?;
        }
        for (name, key, value) in &self.metadata {
            let metadata = [(key.clone(), value.clone())].into();
            writer.write_metadata(&mcap::records::Metadata { name: name.clone(), metadata })?;
        }
        for (name, data) in &self.attachments {
            writer.attach(&mcap::Attachment {
                name: name.clone(),
                media_type: "application/octet-stream".to_owned(),
                log_time: 0,
                create_time: 0,
                data: data.into(),
            })?;
        }
        writer.finish()?;
        Ok(writer.into_inner().into_inner())
    }
}
