//! Reads an answer with the `mcap` crate, and checks what every whole answer must keep.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use mcap::records::Record;
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};

use crate::recording::{Channel, Schema};

/// A compressed answer may hold larger records than it is long; this is the loader's largest chunk.
const LARGEST_RECORD_BYTES: usize = 256 << 20;

/// A message and everything that belongs to it, less ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// The channel, less its ids.
    pub channel: Arc<Channel>,
    /// In nanoseconds.
    pub log_time: u64,
    /// In nanoseconds.
    pub publish_time: u64,
    /// As in the record.
    pub sequence: u32,
    /// The payload.
    pub data: Vec<u8>,
}

/// The contents of a whole MCAP.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// In the order of the file.
    pub messages: Vec<Message>,
    /// Metadata records, in the order of the file.
    pub metadata: Vec<(String, BTreeMap<String, String>)>,
    /// Names and data of attachments, in the order of the file.
    pub attachments: Vec<(String, Vec<u8>)>,
    /// The header's profile.
    pub profile: String,
    /// Compressions of the chunks, in the order of the file.
    pub compressions: Vec<String>,
}

impl Decoded {
    /// # Errors
    ///
    /// If a message has an earlier log time than the one before it.
    pub fn check_order(&self) -> anyhow::Result<()> {
        for (number, pair) in self.messages.windows(2).enumerate() {
            ensure!(
                pair[0].log_time <= pair[1].log_time,
                "message {} at {} comes after one at {}",
                number + 1,
                pair[1].log_time,
                pair[0].log_time,
            );
        }
        Ok(())
    }
}

/// Reads a whole MCAP: magic at both ends, CRCs, footer, and a summary that agrees with the data.
///
/// # Errors
///
/// If anything of that is not so; a truncated answer always is an error.
pub fn decode(bytes: &[u8]) -> anyhow::Result<Decoded> {
    check_crcs(bytes)?;
    let mut decoded = Decoded::default();
    let mut ended = false;
    for record in mcap::read::LinearReader::new(bytes).context("framing")? {
        match record.context("record")? {
            Record::Header(header) => decoded.profile = header.profile,
            Record::Chunk { header, .. } => decoded.compressions.push(header.compression),
            Record::Metadata(record) => decoded.metadata.push((record.name, record.metadata)),
            Record::Attachment { header, data, .. } => {
                decoded.attachments.push((header.name, data.into_owned()));
            }
            Record::Footer(_) => ended = true,
            _ => {}
        }
    }
    ensure!(ended, "there is no footer");
    // Many messages share a channel: so that each is converted once.
    let mut channels: Vec<(Arc<mcap::Channel<'_>>, Arc<Channel>)> = Vec::new();
    for message in mcap::MessageStream::new(bytes)? {
        let message = message.context("message")?;
        let known = channels.iter().find(|(read, _)| Arc::ptr_eq(read, &message.channel));
        let channel = if let Some((_, channel)) = known {
            Arc::clone(channel)
        } else {
            let channel = Arc::new(own(&message.channel));
            channels.push((message.channel, Arc::clone(&channel)));
            channel
        };
        decoded.messages.push(Message {
            channel,
            log_time: message.log_time,
            publish_time: message.publish_time,
            sequence: message.sequence,
            data: message.data.into_owned(),
        });
    }
    check_summary(bytes, &decoded)?;
    Ok(decoded)
}

/// The crate's comfortable readers check none of them.
fn check_crcs(mut bytes: &[u8]) -> anyhow::Result<()> {
    let options = LinearReaderOptions::default()
        .with_check_finishes_after_end_magic(true)
        .with_prevalidate_chunk_crcs(true)
        .with_validate_data_section_crc(true)
        .with_validate_summary_section_crc(true)
        .with_record_length_limit(bytes.len().max(LARGEST_RECORD_BYTES));
    let mut reader = LinearReader::new_with_options(options);
    while let Some(event) = reader.next_event() {
        if let LinearReadEvent::ReadRequest(wanted) = event.context("framing and CRCs")? {
            let (given, rest) = bytes.split_at(wanted.min(bytes.len()));
            reader.insert(given.len()).copy_from_slice(given);
            reader.notify_read(given.len());
            bytes = rest;
        }
    }
    Ok(())
}

fn own(channel: &mcap::Channel<'_>) -> Channel {
    Channel {
        topic: channel.topic.clone(),
        schema: channel.schema.as_ref().map(|schema| Schema {
            name: schema.name.clone(),
            encoding: schema.encoding.clone(),
            data: schema.data.to_vec(),
        }),
        message_encoding: channel.message_encoding.clone(),
        metadata: channel.metadata.clone(),
    }
}

fn check_summary(bytes: &[u8], decoded: &Decoded) -> anyhow::Result<()> {
    let Some(summary) = mcap::Summary::read(bytes).context("summary")? else { return Ok(()) };
    if let Some(stats) = &summary.stats {
        ensure!(
            stats.message_count == decoded.messages.len() as u64,
            "the statistics count {} messages, there are {}",
            stats.message_count,
            decoded.messages.len(),
        );
        let times = decoded.messages.iter().map(|message| message.log_time);
        let (least, greatest) = (times.clone().min().unwrap_or(0), times.max().unwrap_or(0));
        ensure!(
            (stats.message_start_time, stats.message_end_time) == (least, greatest),
            "the statistics' times are not those of the messages",
        );
    }
    if summary.chunk_indexes.is_empty() {
        return Ok(());
    }
    ensure!(summary.chunk_indexes.len() == decoded.compressions.len(), "a chunk has no index");
    let mut indexed = 0;
    for index in &summary.chunk_indexes {
        for message in summary.stream_chunk(bytes, index)? {
            let time = message?.log_time;
            if !(index.message_start_time..=index.message_end_time).contains(&time) {
                bail!("a chunk index leaves out the time {time}");
            }
            indexed += 1;
        }
    }
    ensure!(indexed == decoded.messages.len(), "messages lie outside the indexed chunks");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Drive, FileSpec};

    #[test]
    fn what_is_written_is_read_back() {
        let messages = Drive::default().generate().merged();
        let specs = [
            FileSpec::default(),
            FileSpec { compression: None, first_id: 500, ..FileSpec::default() },
            FileSpec { compression: Some(mcap::Compression::Zstd), ..FileSpec::default() },
            FileSpec { chunk_bytes: None, ..FileSpec::default() },
            FileSpec { summary: false, crcs: false, ..FileSpec::default() },
        ];
        for spec in specs {
            let decoded = decode(&spec.write(&messages)).unwrap();
            assert_eq!(decoded.messages, messages, "{spec:?}");
            decoded.check_order().unwrap();
        }
    }

    #[test]
    fn metadata_and_attachments_are_read_back() {
        let spec = FileSpec {
            metadata: vec![("run".into(), "weather".into(), "rain".into())],
            attachments: vec![("notes".into(), b"wet".to_vec())],
            profile: "ros2".into(),
            ..FileSpec::default()
        };
        let decoded = decode(&spec.write(&[])).unwrap();
        assert_eq!(decoded.metadata[0].1["weather"], "rain");
        assert_eq!(decoded.attachments, [("notes".to_owned(), b"wet".to_vec())]);
        assert_eq!(decoded.profile, "ros2");
    }

    #[test]
    fn every_cut_is_noticed() {
        let messages = Drive { messages: 20, ..Drive::default() }.generate().merged();
        let file = FileSpec::default().write(&messages);
        for length in 0..file.len() {
            assert!(decode(&file[..length]).is_err(), "cut to {length} bytes");
        }
    }

    #[test]
    fn disorder_is_noticed() {
        let mut messages = Drive::default().generate().merged();
        let last = messages.len() - 1;
        messages.swap(0, last);
        let decoded = decode(&FileSpec::default().write(&messages)).unwrap();
        assert!(decoded.check_order().is_err());
    }
}
