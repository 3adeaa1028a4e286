use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::write::{put_channel, put_schema};

/// What a schema is, apart from its number: its identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SchemaDef {
    /// Its name, such as `foxglove.PointCloud`.
    pub name: String,
    /// How `data` is written, such as `protobuf`.
    pub encoding: String,
    /// The definition itself.
    pub data: Bytes,
}

/// What a channel is, apart from its number: its identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChannelDef {
    /// The topic.
    pub topic: String,
    /// How its messages are written, such as `protobuf`.
    pub message_encoding: String,
    /// The schema of its messages, where it has one.
    pub schema: Option<Arc<SchemaDef>>,
    /// Free-form properties, such as `offered_qos_profiles`.
    pub metadata: BTreeMap<String, String>,
}

/// A channel as it is numbered in one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRecord {
    /// The channel's id.
    pub id: u16,
    /// The id of its schema; 0 when it has none.
    pub schema_id: u16,
    /// What the channel is.
    pub def: Arc<ChannelDef>,
}

impl SchemaDef {
    /// The whole record that defines it under this id, opcode and length included.
    pub fn to_record_bytes(&self, id: u16) -> Vec<u8> {
        let mut out = Vec::new();
        put_schema(&mut out, id, self);
        out
    }
}

impl ChannelRecord {
    /// The whole record, opcode and length included.
    pub fn to_record_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_channel(&mut out, self);
        out
    }
}
