//! What goes by in an export: how far it is, what it lacks, and whether it is whole.

use anyhow::Context as _;
use mcap::records::{Record, op};
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};
use rdl_model::{Nanos, ProblemCode};
use serde::Deserialize;

/// The metadata record in which a loader names what it left out.
const CLOSING_RECORD: &str = "remote-data-loader";

/// Looks at an MCAP while it goes by. Chunks stay closed.
pub(super) struct Watch {
    reader: LinearReader,
    bytes: u64,
    reached: Option<Nanos>,
    message_count: u64,
    missing: Vec<String>,
    is_late: bool,
    is_whole: bool,
}

/// What the closing record says of one thing that is missing.
#[derive(Deserialize)]
struct Missing {
    code: ProblemCode,
    source: String,
    #[serde(default)]
    chunk: Option<String>,
    count: u64,
}

impl Default for Watch {
    fn default() -> Self {
        let options = LinearReaderOptions::default().with_emit_chunks(true);
        Watch {
            reader: LinearReader::new_with_options(options),
            bytes: 0,
            reached: None,
            message_count: 0,
            missing: Vec::new(),
            is_late: false,
            is_whole: false,
        }
    }
}

impl Watch {
    /// Looks at the next bytes.
    pub(super) fn push(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        self.bytes += piece.len() as u64;
        if piece.is_empty() {
            // To the reader that would be the end.
            return Ok(());
        }
        self.reader.insert(piece.len()).copy_from_slice(piece);
        self.reader.notify_read(piece.len());
        self.drain()
    }

    /// Says that nothing comes any more.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        if !self.is_whole {
            self.reader.insert(0);
            self.reader.notify_read(0);
            self.drain()?;
        }
        anyhow::ensure!(self.is_whole, "the answer ended before the MCAP did; ask again");
        Ok(())
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        loop {
            let Some(event) = self.reader.next_event() else {
                self.is_whole = true;
                return Ok(());
            };
            match event.context("the answer is not a whole MCAP")? {
                LinearReadEvent::ReadRequest(_) => return Ok(()),
                LinearReadEvent::Record { opcode: op::CHUNK, data } => {
                    // MCAP, Chunk: the greatest log time is the second field.
                    if let Some(end) = data.get(8..16).and_then(|end| end.try_into().ok()) {
                        let end = Nanos(u64::from_le_bytes(end));
                        self.reached = self.reached.max(Some(end));
                    }
                }
                LinearReadEvent::Record {
                    opcode: opcode @ (op::METADATA | op::STATISTICS),
                    data,
                } => match mcap::parse_record(opcode, data).context("the answer is damaged")? {
                    Record::Statistics(statistics) => {
                        self.message_count = statistics.message_count;
                    }
                    Record::Metadata(record) if record.name == CLOSING_RECORD => {
                        for text in record.metadata.values() {
                            let Ok(missing) = serde_json::from_str::<Missing>(text) else {
                                continue;
                            };
                            self.is_late |= missing.code == ProblemCode::LateMessages;
                            self.missing.push(missing.describe());
                        }
                    }
                    _ => {}
                },
                LinearReadEvent::Record { .. } => {}
            }
        }
    }

    /// How many bytes went by.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The greatest log time that went by.
    pub(super) fn reached(&self) -> Option<Nanos> {
        self.reached
    }

    /// How many messages there are, as the summary says.
    pub(super) fn message_count(&self) -> u64 {
        self.message_count
    }

    /// What was left out, one sentence each.
    pub(super) fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Whether messages were left out because they came late: another reading has them.
    pub(super) fn is_late(&self) -> bool {
        self.is_late
    }
}

impl Missing {
    fn describe(&self) -> String {
        let Missing { code, source, chunk, count } = self;
        match (code, chunk) {
            (ProblemCode::LateMessages, _) => {
                format!("left out: {count} late messages of {source}")
            }
            (ProblemCode::SourceFailed, _) => {
                format!("left out: the source {source}, which failed")
            }
            (code, Some(chunk)) => {
                format!("left out: chunk {chunk} of {source} ({})", code.as_str())
            }
            (code, None) => format!("left out of {source}: {} x {count}", code.as_str()),
        }
    }
}

#[cfg(test)]
mod tests;
