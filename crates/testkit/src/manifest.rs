//! Manifests as a data backend writes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::decode::Message;
use crate::recording::{Channel, Schema};

/// A whole manifest.
pub fn manifest_json(name: Option<&str>, sources: &[Value]) -> Value {
    json!({"name": name, "sources": sources})
}

/// A source that supports range requests.
pub fn static_entry(url: &str) -> Value {
    json!({"url": url, "supportsRangeRequests": true})
}

/// A streamed source that declares just what these messages have.
pub fn streamed_entry(id: Option<&str>, url: &str, messages: &[Message]) -> Value {
    let mut channels: Vec<&Arc<Channel>> = Vec::new();
    for message in messages {
        if !channels.contains(&&message.channel) {
            channels.push(&message.channel);
        }
    }
    let mut ids: BTreeMap<&Schema, usize> = BTreeMap::new();
    for schema in channels.iter().filter_map(|channel| channel.schema.as_ref()) {
        let next = ids.len() + 1;
        ids.entry(schema).or_insert(next);
    }
    let topic = |channel: &&Arc<Channel>| {
        json!({
            "name": channel.topic,
            "messageEncoding": channel.message_encoding,
            "schemaId": channel.schema.as_ref().map(|schema| ids[schema]),
        })
    };
    let schema = |(schema, id): (&&Schema, &usize)| {
        json!({
            "id": id,
            "name": schema.name,
            "encoding": schema.encoding,
            "data": BASE64_STANDARD.encode(&schema.data),
        })
    };
    let times = messages.iter().map(|message| message.log_time);
    json!({
        "url": url,
        "id": id,
        "topics": channels.iter().map(topic).collect::<Vec<_>>(),
        "schemas": ids.iter().map(schema).collect::<Vec<_>>(),
        "startTime": rfc3339(times.clone().min().unwrap_or(0)),
        "endTime": rfc3339(times.max().unwrap_or(0)),
    })
}

/// A time as RFC 3339 writes it, in nanoseconds since the Unix epoch.
pub fn rfc3339(nanos: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanos));
    format!("{:.9}", time.expect("64 bits of nanoseconds lie within the years of jiff"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Drive;

    #[test]
    fn an_entry_declares_what_the_messages_have() {
        let messages = Drive::default().generate().sources.remove(0);
        let entry = streamed_entry(Some("a"), "/data/a", &messages);
        assert_eq!(entry["topics"].as_array().unwrap().len(), 2);
        assert_eq!(entry["schemas"].as_array().unwrap().len(), 1);
        assert!(entry["startTime"].as_str().unwrap().starts_with("2023-11-14T22:13:"));
        assert!(entry["startTime"].as_str() < entry["endTime"].as_str());
    }
}
