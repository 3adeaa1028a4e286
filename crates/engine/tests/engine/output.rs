//! Reading an answer with a reader that is not ours.

use futures::StreamExt as _;
use rdl_engine::{EngineError, Query, Recording};

use crate::drive::Message;

/// Collects an answer to its end.
pub(crate) async fn collect(recording: &Recording, query: Query) -> Result<Vec<u8>, EngineError> {
    let mut stream = recording.stream(query).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

/// The messages of an answer, in the order of the file; everything that can be checked is.
pub(crate) fn messages(bytes: &[u8]) -> Vec<Message> {
    let messages = messages_as_they_lie(bytes);
    assert!(messages.is_sorted_by_key(|message| message.log_time), "times descend");
    messages
}

/// The same of a file whose messages may lie in any order.
pub(crate) fn messages_as_they_lie(bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    for message in mcap::MessageStream::new(bytes).unwrap() {
        let message = message.unwrap();
        let channel = &message.channel;
        assert_eq!(channel.message_encoding, "raw");
        messages.push(Message {
            topic: channel.topic.clone(),
            schema: channel.schema.as_ref().map(|schema| {
                assert_eq!(schema.encoding, "raw");
                (schema.name.clone(), schema.data.to_vec())
            }),
            metadata: channel.metadata.clone(),
            log_time: message.log_time,
            publish_time: message.publish_time,
            sequence: message.sequence,
            data: message.data.to_vec(),
        });
    }
    let summary = mcap::Summary::read(bytes).unwrap().expect("there is a summary");
    let stats = summary.stats.expect("there are statistics");
    assert_eq!(stats.message_count, messages.len() as u64);
    messages
}

/// The metadata records of an answer.
pub(crate) fn metadata(bytes: &[u8]) -> Vec<mcap::records::Metadata> {
    let summary = mcap::Summary::read(bytes).unwrap().expect("there is a summary");
    let indexes = summary.metadata_indexes.iter();
    indexes.map(|index| mcap::read::metadata(bytes, index).unwrap()).collect()
}
