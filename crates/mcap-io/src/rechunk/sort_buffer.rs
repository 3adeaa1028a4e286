use rdl_model::Nanos;

use crate::walk::{MESSAGE_HEADER_BYTES, RECORD_HEADER_BYTES};
use crate::{ChunkBuilder, MessageView};

/// An empty buffer keeps this much room for the next messages, in bytes.
const KEPT_CAPACITY_BYTES: usize = 4 << 20;

/// Messages that wait for their turn.
///
/// Their data is copied here: a slice would hold on to the whole chunk that it came in.
#[derive(Default)]
pub(super) struct SortBuffer {
    /// The data of the messages, and of some that have moved away.
    data: Vec<u8>,
    /// How much of it belongs to messages that still wait.
    live_bytes: usize,
    entries: Vec<Entry>,
    /// What the messages take as records.
    bytes: usize,
    disordered: bool,
    oldest: Option<Nanos>,
    newest: Option<Nanos>,
}

struct Entry {
    log_time: Nanos,
    publish_time: Nanos,
    start: usize,
    len: usize,
    sequence: u32,
    channel: u16,
}

impl Entry {
    fn record_bytes(&self) -> usize {
        RECORD_HEADER_BYTES + MESSAGE_HEADER_BYTES + self.len
    }
}

impl SortBuffer {
    pub(super) fn push(&mut self, message: &MessageView<'_>) {
        let log_time = message.log_time;
        let entry = Entry {
            log_time,
            publish_time: message.publish_time,
            start: self.data.len(),
            len: message.data.len(),
            sequence: message.sequence,
            channel: message.channel,
        };
        self.bytes += entry.record_bytes();
        self.disordered |= self.entries.last().is_some_and(|last| log_time < last.log_time);
        self.oldest = Some(self.oldest.map_or(log_time, |oldest| oldest.min(log_time)));
        self.newest = Some(self.newest.map_or(log_time, |newest| newest.max(log_time)));
        self.live_bytes += entry.len;
        self.data.extend_from_slice(message.data);
        self.entries.push(entry);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What the messages take as records, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What it holds in memory, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.data.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// The least log time; `None` when empty.
    pub(super) fn oldest(&self) -> Option<Nanos> {
        self.oldest
    }

    /// The greatest log time; `None` when empty.
    pub(super) fn newest(&self) -> Option<Nanos> {
        self.newest
    }

    /// Moves the oldest messages, up to `until`, to `chunk`: about `target_bytes` of them, and at
    /// least one if there is one. Of equal times those that came first go first.
    pub(super) fn move_oldest(
        &mut self,
        chunk: &mut ChunkBuilder,
        target_bytes: usize,
        until: Nanos,
    ) {
        if self.disordered {
            self.entries.sort_by_key(|entry| entry.log_time);
            self.disordered = false;
        }
        let mut moved_bytes = 0;
        let mut moved = 0;
        for entry in self.entries.iter().take_while(|entry| entry.log_time <= until) {
            if moved > 0 && moved_bytes + entry.record_bytes() > target_bytes {
                break;
            }
            moved_bytes += entry.record_bytes();
            self.live_bytes -= entry.len;
            moved += 1;
            let message = MessageView {
                channel: entry.channel,
                sequence: entry.sequence,
                log_time: entry.log_time,
                publish_time: entry.publish_time,
                data: &self.data[entry.start..entry.start + entry.len],
            };
            chunk.message(entry.channel, &message);
        }
        self.bytes -= moved_bytes;
        self.entries.drain(..moved);
        self.compact();
        self.oldest = self.entries.first().map(|entry| entry.log_time);
        if self.entries.is_empty() {
            self.newest = None;
        }
    }

    /// Gives back the room of what was moved away, once that is as much as what is left: so each
    /// byte is copied once more at most.
    fn compact(&mut self) {
        if self.data.len() - self.live_bytes < self.live_bytes {
            return;
        }
        if self.entries.is_empty() {
            self.data.clear();
            self.data.shrink_to(KEPT_CAPACITY_BYTES);
            return;
        }
        let mut data = Vec::with_capacity(self.live_bytes);
        for entry in &mut self.entries {
            let start = data.len();
            data.extend_from_slice(&self.data[entry.start..entry.start + entry.len]);
            entry.start = start;
        }
        self.data = data;
        if self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }
}
