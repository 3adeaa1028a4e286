//! Whether two recordings hold the same messages in the same order.

use std::collections::HashMap;
use std::io::Read;

use anyhow::Context as _;
use mcap::records::{self, Record};
use mcap::sans_io::{LinearReadEvent, LinearReader, LinearReaderOptions};
use sha2::{Digest as _, Sha256};

/// No record of these recordings is as large.
const MOST_RECORD_BYTES: usize = 64 << 20;

/// A running hash over messages.
#[derive(Default)]
pub struct Digest {
    hash: Sha256,
    messages: u64,
    payload_bytes: u64,
}

impl Digest {
    /// Takes the next message.
    pub fn message(&mut self, topic: &str, times: (u64, u64), sequence: u32, data: &[u8]) {
        self.hash.update((topic.len() as u64).to_le_bytes());
        self.hash.update(topic);
        self.hash.update(times.0.to_le_bytes());
        self.hash.update(times.1.to_le_bytes());
        self.hash.update(sequence.to_le_bytes());
        self.hash.update((data.len() as u64).to_le_bytes());
        self.hash.update(data);
        self.messages += 1;
        self.payload_bytes += data.len() as u64;
    }

    /// The hash, the number of messages and the bytes of their data, on one line.
    pub fn finish(self) -> String {
        let hash: String = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{hash} {} {}", self.messages, self.payload_bytes)
    }
}

/// The digest of an MCAP stream, as another reader than the loader's own sees it.
///
/// # Errors
///
/// If it is not whole, or no MCAP.
pub fn of_mcap(mut input: impl Read) -> anyhow::Result<String> {
    let options = LinearReaderOptions::default().with_record_length_limit(MOST_RECORD_BYTES);
    let mut reader = LinearReader::new_with_options(options);
    let mut topics: HashMap<u16, String> = HashMap::new();
    let mut digest = Digest::default();
    while let Some(event) = reader.next_event() {
        match event? {
            LinearReadEvent::ReadRequest(bytes) => {
                let read = input.read(reader.insert(bytes))?;
                reader.notify_read(read);
            }
            LinearReadEvent::Record { data, opcode } => match mcap::parse_record(opcode, data)? {
                Record::Channel(records::Channel { id, topic, .. }) => {
                    topics.insert(id, topic);
                }
                Record::Message { header, data } => {
                    let topic = topics.get(&header.channel_id).context("a channel is missing")?;
                    let times = (header.log_time, header.publish_time);
                    digest.message(topic, times, header.sequence, &data);
                }
                _ => {}
            },
        }
    }
    Ok(digest.finish())
}
