//! What merging the recording must give, as the digest that `tests/python/validate_mcap.py`
//! prints: SHA-256 over the messages in order, ids left out. A text or a payload is written as its
//! length and its bytes; every number as 64 bits, little end first.

use axum::Json;
use axum::http::StatusCode;
use futures::StreamExt as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) async fn answer() -> Result<Json<Value>, (StatusCode, String)> {
    digest().await.map(Json).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

async fn digest() -> mcap::McapResult<Value> {
    let mut messages: Vec<(u64, Vec<u8>)> = Vec::new();
    for (topic, second) in crate::sources() {
        let (handle, stream) = foxglove::stream::create_mcap_stream();
        let written = tokio::spawn(crate::recording::log(handle, topic, second));
        let bytes = stream.collect::<Vec<_>>().await.concat();
        written.await.map_err(|error| std::io::Error::other(error.to_string()))?;
        for message in mcap::MessageStream::new(&bytes)? {
            let message = message?;
            messages.push((message.log_time, fields(&message)));
        }
    }
    // A stable sort: ties go by the order of the sources.
    messages.sort_by_key(|(log_time, _)| *log_time);
    let mut sha = Sha256::new();
    for (_, fields) in &messages {
        sha.update(fields);
    }
    let digest: String = sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(json!({"messages": messages.len(), "digest": digest}))
}

fn fields(message: &mcap::Message<'_>) -> Vec<u8> {
    let channel = &message.channel;
    let schema = channel.schema.as_ref();
    let mut fields = Vec::new();
    put(&mut fields, channel.topic.as_bytes());
    put(&mut fields, channel.message_encoding.as_bytes());
    put(&mut fields, schema.map_or(b"", |schema| schema.name.as_bytes()));
    put(&mut fields, schema.map_or(b"", |schema| schema.encoding.as_bytes()));
    put(&mut fields, schema.map_or(b"", |schema| &schema.data));
    fields.extend_from_slice(&(channel.metadata.len() as u64).to_le_bytes());
    for (key, value) in &channel.metadata {
        put(&mut fields, key.as_bytes());
        put(&mut fields, value.as_bytes());
    }
    for number in [message.log_time, message.publish_time, u64::from(message.sequence)] {
        fields.extend_from_slice(&number.to_le_bytes());
    }
    put(&mut fields, &message.data);
    fields
}

fn put(fields: &mut Vec<u8>, bytes: &[u8]) {
    fields.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    fields.extend_from_slice(bytes);
}
