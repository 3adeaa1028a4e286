use std::collections::VecDeque;

use bytes::Bytes;
use rdl_model::Nanos;

use crate::walk::{MESSAGE_HEADER_BYTES, RECORD_HEADER_BYTES};
use crate::{ChunkBuilder, MessageView};

/// Messages that came loose are copied into blocks of this size, in bytes.
const BLOCK_BYTES: usize = 256 << 10;
/// What may be held beside the messages that wait before these are copied together, in bytes.
const SLACK_BYTES: usize = 4 << 20;

/// Messages that wait for their turn.
///
/// Those that came in a chunk are not copied: its records are held until the last of them has
/// moved away. Where few wait in much that is held, they are copied together.
#[derive(Default)]
pub(super) struct SortBuffer {
    /// The data of the messages. The first is block `first_block`.
    blocks: VecDeque<Block>,
    first_block: usize,
    /// What the blocks take.
    held_bytes: usize,
    /// How much of it belongs to messages that still wait.
    live_bytes: usize,
    entries: Vec<Entry>,
    /// What the messages take as records.
    bytes: usize,
    disordered: bool,
    oldest: Option<Nanos>,
    newest: Option<Nanos>,
}

struct Block {
    data: Data,
    /// How many of its messages still wait.
    waiting: usize,
}

enum Data {
    /// The records of a chunk.
    Shared(Bytes),
    Own(Vec<u8>),
}

struct Entry {
    log_time: Nanos,
    publish_time: Nanos,
    block: usize,
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

impl Block {
    fn held_bytes(&self) -> usize {
        match &self.data {
            Data::Shared(records) => records.len(),
            Data::Own(data) => data.capacity(),
        }
    }

    fn slice(&self, start: usize, len: usize) -> &[u8] {
        match &self.data {
            Data::Shared(records) => &records[start..start + len],
            Data::Own(data) => &data[start..start + len],
        }
    }
}

impl SortBuffer {
    /// Takes a message; `records` are those of the chunk in which its data lies, if it came in one.
    pub(super) fn push(&mut self, message: &MessageView<'_>, records: Option<&Bytes>) {
        let log_time = message.log_time;
        let (block, start) = self.place(message.data, records);
        let entry = Entry {
            log_time,
            publish_time: message.publish_time,
            block,
            start,
            len: message.data.len(),
            sequence: message.sequence,
            channel: message.channel,
        };
        self.bytes += entry.record_bytes();
        self.disordered |= self.entries.last().is_some_and(|last| log_time < last.log_time);
        self.oldest = Some(self.oldest.map_or(log_time, |oldest| oldest.min(log_time)));
        self.newest = Some(self.newest.map_or(log_time, |newest| newest.max(log_time)));
        self.entries.push(entry);
    }

    /// Where the data lies from now on.
    fn place(&mut self, data: &[u8], records: Option<&Bytes>) -> (usize, usize) {
        let start = match (records, self.blocks.back_mut().map(|block| &mut block.data)) {
            (Some(records), Some(Data::Shared(last))) if last.as_ptr() == records.as_ptr() => {
                offset_in(records, data)
            }
            (Some(records), _) => {
                self.add_block(Data::Shared(records.clone()));
                offset_in(records, data)
            }
            (None, Some(Data::Own(last))) if last.capacity() - last.len() >= data.len() => {
                last.extend_from_slice(data);
                last.len() - data.len()
            }
            (None, _) => {
                let mut own = Vec::with_capacity(data.len().max(BLOCK_BYTES));
                own.extend_from_slice(data);
                self.add_block(Data::Own(own));
                0
            }
        };
        self.live_bytes += data.len();
        if let Some(last) = self.blocks.back_mut() {
            last.waiting += 1;
        }
        (self.first_block + self.blocks.len() - 1, start)
    }

    fn add_block(&mut self, data: Data) {
        let block = Block { data, waiting: 0 };
        self.held_bytes += block.held_bytes();
        self.blocks.push_back(block);
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
        self.held_bytes + self.entries.capacity() * size_of::<Entry>()
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
            moved += 1;
            let block = &mut self.blocks[entry.block - self.first_block];
            let message = MessageView {
                channel: entry.channel,
                sequence: entry.sequence,
                log_time: entry.log_time,
                publish_time: entry.publish_time,
                data: block.slice(entry.start, entry.len),
            };
            chunk.message(entry.channel, &message);
            block.waiting -= 1;
            self.live_bytes -= entry.len;
        }
        self.bytes -= moved_bytes;
        self.entries.drain(..moved);
        self.let_go();
        self.oldest = self.entries.first().map(|entry| entry.log_time);
        if self.entries.is_empty() {
            self.newest = None;
        }
    }

    /// Lets go of what no message needs any more.
    fn let_go(&mut self) {
        if self.entries.is_empty() {
            self.first_block += self.blocks.len();
            self.blocks.clear();
            self.held_bytes = 0;
            return;
        }
        // The last one may still grow, or be that of a chunk which is being taken.
        while self.blocks.len() > 1
            && let Some(done) = self.blocks.front().filter(|first| first.waiting == 0)
        {
            self.held_bytes -= done.held_bytes();
            self.blocks.pop_front();
            self.first_block += 1;
        }
        let last_bytes = self.blocks.back().map_or(0, Block::held_bytes);
        let earlier_bytes = self.held_bytes - last_bytes;
        if earlier_bytes > self.live_bytes.saturating_mul(2).saturating_add(SLACK_BYTES) {
            self.copy_together();
        }
        if self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }

    fn copy_together(&mut self) {
        let blocks = std::mem::take(&mut self.blocks);
        let first_block = self.first_block;
        self.first_block += blocks.len();
        (self.held_bytes, self.live_bytes) = (0, 0);
        for mut entry in std::mem::take(&mut self.entries) {
            let data = blocks[entry.block - first_block].slice(entry.start, entry.len);
            (entry.block, entry.start) = self.place(data, None);
            self.entries.push(entry);
        }
    }
}

/// Where `part` begins in `whole`, of which it is a part.
fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - whole.as_ptr().addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Compression, Limits, OpenChunk};

    const MIB: usize = 1 << 20;

    fn view(log_time: u64, data: &[u8]) -> MessageView<'_> {
        let (log_time, publish_time) = (Nanos(log_time), Nanos(log_time));
        MessageView { channel: 1, sequence: 0, log_time, publish_time, data }
    }

    /// The times and the data of the oldest messages.
    fn moved(buffer: &mut SortBuffer, until: u64) -> Vec<(u64, Vec<u8>)> {
        let mut builder = ChunkBuilder::new(Compression::None);
        buffer.move_oldest(&mut builder, usize::MAX, Nanos(until));
        let Some(chunk) = builder.build().unwrap() else { return Vec::new() };
        let chunk = OpenChunk::open(&chunk.bytes, &Limits::default()).unwrap();
        let message = |at| {
            let message = chunk.message(at);
            (message.log_time.0, message.data.to_vec())
        };
        (0..chunk.len()).map(message).collect()
    }

    #[test]
    fn what_waits_long_does_not_hold_all_that_it_came_with() {
        let mut buffer = SortBuffer::default();
        let first: Bytes = (0..8 * MIB).map(|at| (at / MIB) as u8).collect();
        let second = Bytes::from(vec![9; MIB]);
        for number in 0..8 {
            // The first of the chunk is the last by time.
            let time = if number == 0 { 100 } else { number as u64 };
            buffer.push(&view(time, &first[number * MIB..][..MIB]), Some(&first));
        }
        buffer.push(&view(50, b"loose"), None);
        buffer.push(&view(51, b""), None);
        buffer.push(&view(52, &second[..10]), Some(&second));
        assert_eq!(buffer.memory_bytes() / MIB, 9, "what came in chunks is not copied");

        let out = moved(&mut buffer, 10);
        assert_eq!(out.iter().map(|(time, _)| *time).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
        assert!(out.iter().all(|(time, data)| *data == vec![*time as u8; MIB]));
        assert!(buffer.memory_bytes() < 2 * MIB, "{}", buffer.memory_bytes());
        assert_eq!((buffer.oldest(), buffer.newest()), (Some(Nanos(50)), Some(Nanos(100))));

        buffer.push(&view(53, b"later"), None);
        let out = moved(&mut buffer, u64::MAX);
        let expected = [
            (50, b"loose".to_vec()),
            (51, Vec::new()),
            (52, vec![9; 10]),
            (53, b"later".to_vec()),
            (100, vec![0; MIB]),
        ];
        assert_eq!(out, expected);
        assert!(buffer.is_empty() && buffer.held_bytes == 0);
    }
}
