use mcap::records::op;
use rdl_model::{Nanos, TimeRange};

use crate::fields::FieldError;
use crate::spool::{ChunkReader, ReadError, RecordHead};
use crate::walk::{
    ChunkItem, ChunkItems, MESSAGE_HEADER_BYTES, check_message_bytes, cut_off, opcode_zero,
    parse_channel, parse_message, parse_schema,
};
use crate::{ChunkError, Limits};

/// What must be known of a chunk before any of it is taken.
pub(super) struct Look {
    /// The least and the greatest log time; `None` without messages.
    pub(super) times: Option<TimeRange>,
    /// Whether its messages are in ascending log time.
    pub(super) in_order: bool,
}

/// Reads every record of a chunk, so that it is taken whole or not at all.
pub(super) fn look_through(records: &[u8], limits: &Limits) -> Result<Look, ChunkError> {
    let mut look = Look { times: None, in_order: true };
    let mut last = Nanos::MIN;
    for item in ChunkItems::new(records, limits) {
        let malformed = |what: &str, error: FieldError| {
            ChunkError::Damaged(format!("{what} in it is malformed: {error}"))
        };
        match item?.1 {
            ChunkItem::Schema(body) => {
                parse_schema(body).map_err(|error| malformed("a schema", error))?;
            }
            ChunkItem::Channel(body) => {
                parse_channel(body).map_err(|error| malformed("a channel", error))?;
            }
            ChunkItem::Message(message) => {
                let time = TimeRange { start: message.log_time, end: message.log_time };
                look.times = Some(look.times.map_or(time, |times| times.union(time)));
                look.in_order &= last <= message.log_time;
                last = message.log_time;
            }
        }
    }
    Ok(look)
}

/// What must be known of a chunk in a spool before any of it is taken.
pub(super) struct SpooledLook {
    /// The least and the greatest log time; `None` without messages.
    pub(super) times: Option<TimeRange>,
    /// The body of its largest record that has to be in memory.
    pub(super) largest_body_bytes: u64,
}

/// Reads every record of a chunk in a spool, and checks its size and its CRC.
pub(super) fn look_through_spooled(
    reader: &mut ChunkReader,
    crc: u32,
    limits: &Limits,
) -> Result<SpooledLook, ReadError> {
    let look = walk(reader, limits);
    if matches!(look, Err(ReadError::Spool(_))) {
        return look;
    }
    // What is wrong with the whole comes before what is wrong inside.
    reader.check_end(crc)?;
    look
}

fn walk(reader: &mut ChunkReader, limits: &Limits) -> Result<SpooledLook, ReadError> {
    let mut look = SpooledLook { times: None, largest_body_bytes: 0 };
    let mut body = Vec::new();
    while let Some(RecordHead { opcode, body_bytes, offset }) = reader.head()? {
        let malformed =
            |what, error| ChunkError::damaged(format!("{what} in it is malformed: {error}"));
        match opcode {
            0 => return Err(opcode_zero(offset).into()),
            op::MESSAGE => {
                let mut head = [0; MESSAGE_HEADER_BYTES];
                let here = head.len().min(usize::try_from(body_bytes).unwrap_or(usize::MAX));
                reader.fill(&mut head[..here])?;
                let message = parse_message(&head[..here])
                    .map_err(|error| cut_off("a message", offset, error))?;
                let data_bytes = body_bytes - here as u64;
                check_message_bytes(data_bytes, limits.max_message_bytes)?;
                let time = TimeRange { start: message.log_time, end: message.log_time };
                look.times = Some(look.times.map_or(time, |times| times.union(time)));
                reader.skip(data_bytes)?;
            }
            op::SCHEMA | op::CHANNEL => {
                let limit_bytes = limits.max_message_bytes;
                if body_bytes > limit_bytes {
                    let what = "a schema or channel";
                    return Err(
                        ChunkError::TooLarge { what, bytes: body_bytes, limit_bytes }.into()
                    );
                }
                body.clear();
                body.reserve_exact(usize::try_from(body_bytes).unwrap_or(usize::MAX));
                reader.append_to(&mut body, body_bytes)?;
                if opcode == op::SCHEMA {
                    parse_schema(&body).map_err(|error| malformed("a schema", error))?;
                } else {
                    parse_channel(&body).map_err(|error| malformed("a channel", error))?;
                }
            }
            _ => {
                reader.skip(body_bytes)?;
                continue;
            }
        }
        look.largest_body_bytes = look.largest_body_bytes.max(body_bytes);
    }
    Ok(look)
}
