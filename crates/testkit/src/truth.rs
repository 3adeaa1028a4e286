//! What an answer must hold, and what of it has arrived when only its beginning is there.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use mcap::parse_record;
use mcap::records::Record;
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};

use crate::decode::Message;
use crate::recording::{Channel, Schema};

/// The messages of a beginning of an MCAP, as many as have arrived whole.
///
/// # Errors
///
/// If what is there cannot be the beginning of an MCAP.
pub fn arrived(mut bytes: &[u8]) -> anyhow::Result<Vec<Message>> {
    let options = LinearReaderOptions::default().with_record_length_limit(1 << 30);
    let mut reader = LinearReader::new_with_options(options);
    let mut schemas: HashMap<u16, Schema> = HashMap::new();
    let mut channels: HashMap<u16, Arc<Channel>> = HashMap::new();
    let mut messages = Vec::new();
    while let Some(event) = reader.next_event() {
        let (opcode, data) = match event.context("framing")? {
            LinearReadEvent::ReadRequest(wanted) => {
                // Given nothing, the reader would take it for the end of the file and complain.
                if bytes.is_empty() {
                    break;
                }
                let (given, rest) = bytes.split_at(wanted.min(bytes.len()));
                reader.insert(given.len()).copy_from_slice(given);
                reader.notify_read(given.len());
                bytes = rest;
                continue;
            }
            LinearReadEvent::Record { opcode, data } => (opcode, data),
        };
        match parse_record(opcode, data).context("record")? {
            Record::Schema { header, data } => {
                let (name, encoding) = (header.name, header.encoding);
                schemas.insert(header.id, Schema { name, encoding, data: data.into_owned() });
            }
            Record::Channel(channel) => {
                let schema = match channel.schema_id {
                    0 => None,
                    id => Some(schemas.get(&id).context("a channel without its schema")?.clone()),
                };
                let own = Channel {
                    topic: channel.topic,
                    schema,
                    message_encoding: channel.message_encoding,
                    metadata: channel.metadata,
                };
                channels.insert(channel.id, Arc::new(own));
            }
            Record::Message { header, data } => messages.push(Message {
                channel: channels.get(&header.channel_id).context("no such channel")?.clone(),
                log_time: header.log_time,
                publish_time: header.publish_time,
                sequence: header.sequence,
                data: data.into_owned(),
            }),
            _ => {}
        }
    }
    Ok(messages)
}

/// # Errors
///
/// If these messages are not the first ones of the truth; the error has the place.
pub fn check_beginning<T: Borrow<Message>>(
    messages: &[Message],
    truth: &[T],
) -> anyhow::Result<()> {
    let mut pairs = messages.iter().zip(truth);
    let wrong = pairs.position(|(found, true_one)| found != true_one.borrow());
    if let Some(at) = wrong {
        let (found, wanted) = (&messages[at], truth[at].borrow());
        anyhow::bail!(
            "message {at} is {} at {} #{} and should be {} at {} #{}",
            found.channel.topic,
            found.log_time,
            found.sequence,
            wanted.channel.topic,
            wanted.log_time,
            wanted.sequence,
        );
    }
    ensure!(messages.len() <= truth.len(), "{} messages of {}", messages.len(), truth.len());
    Ok(())
}

/// # Errors
///
/// If these messages are not exactly the truth; the error has the place.
pub fn check_all<T: Borrow<Message>>(messages: &[Message], truth: &[T]) -> anyhow::Result<()> {
    check_beginning(messages, truth)?;
    ensure!(messages.len() == truth.len(), "{} messages of {}", messages.len(), truth.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Drive, FileSpec};

    #[test]
    fn a_beginning_has_the_first_messages() {
        let truth = Drive { messages: 50, ..Drive::default() }.generate().merged();
        let specs = [FileSpec::default(), FileSpec { compression: None, ..FileSpec::default() }];
        for spec in specs {
            let file = spec.write(&truth);
            let mut most = 0;
            for length in (0..file.len()).step_by(97) {
                let messages = arrived(&file[..length]).unwrap();
                check_beginning(&messages, &truth).unwrap();
                assert!(messages.len() >= most, "{length}");
                most = messages.len();
            }
            check_all(&arrived(&file).unwrap(), &truth).unwrap();
        }
    }

    #[test]
    fn what_differs_is_named() {
        let truth = Drive { messages: 50, ..Drive::default() }.generate().merged();
        let error = check_beginning(&truth[1..], &truth).unwrap_err().to_string();
        assert!(error.contains("message 0"), "{error}");
        assert!(check_all(&truth[..9], &truth).unwrap_err().to_string().contains("9 messages"));
    }
}
