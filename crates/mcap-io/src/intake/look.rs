use rdl_model::{Nanos, TimeRange};

use crate::fields::FieldError;
use crate::walk::{ChunkItem, ChunkItems, parse_channel, parse_schema};
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
