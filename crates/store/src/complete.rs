//! `complete.json`: the last thing an attempt writes, and all that a restart needs to know of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rdl_mcap_io::{
    ChannelDef, ChannelRecord, Index, IndexedAttachment, IndexedChunk, MetadataRecord, SchemaDef,
};
use rdl_model::Problem;
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::attempt::PartInfo;

/// The file's name.
pub(crate) const COMPLETE: &str = "complete.json";

/// Raised whenever an older file must not be read any more.
const LAYOUT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Complete {
    layout: u32,
    profile: String,
    parts: Vec<PartInfo>,
    schemas: Vec<Schema>,
    channels: Vec<Channel>,
    chunks: Vec<IndexedChunk>,
    metadata: Vec<MetadataRecord>,
    attachments: Vec<IndexedAttachment>,
    problems: Vec<Problem>,
}

#[derive(Serialize, Deserialize)]
struct Schema {
    id: u16,
    name: String,
    encoding: String,
    data: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Channel {
    id: u16,
    schema_id: u16,
    topic: String,
    message_encoding: String,
    metadata: BTreeMap<String, String>,
}

/// Writes the file into an attempt's folder, durably.
pub(crate) fn write(folder: &Path, parts: &[PartInfo], index: &Index) -> Result<(), StoreError> {
    let mut schemas = BTreeMap::new();
    for channel in index.channels.values() {
        if let Some(schema) = &channel.def.schema {
            schemas.entry(channel.schema_id).or_insert(schema);
        }
    }
    let complete = Complete {
        layout: LAYOUT,
        profile: index.profile.clone(),
        parts: parts.to_vec(),
        schemas: schemas
            .into_iter()
            .map(|(id, schema)| Schema {
                id,
                name: schema.name.clone(),
                encoding: schema.encoding.clone(),
                data: STANDARD.encode(&schema.data),
            })
            .collect(),
        channels: index
            .channels
            .values()
            .map(|channel| Channel {
                id: channel.id,
                schema_id: channel.schema_id,
                topic: channel.def.topic.clone(),
                message_encoding: channel.def.message_encoding.clone(),
                metadata: channel.def.metadata.clone(),
            })
            .collect(),
        chunks: index.chunks.clone(),
        metadata: index.metadata.clone(),
        attachments: index.attachments.clone(),
        problems: index.problems.clone(),
    };
    let path = folder.join(COMPLETE);
    let failed = || StoreError::io("write", &path);
    let mut file = BufWriter::new(File::create_new(&path).map_err(failed())?);
    serde_json::to_writer(&mut file, &complete).map_err(|error| failed()(error.into()))?;
    file.flush().map_err(failed())?;
    file.get_ref().sync_all().map_err(failed())
}

/// Why a stored source cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// It is not what was written, for certain.
    #[error("{0}")]
    Damaged(String),
    /// The system would not let it be read; that may pass.
    #[error("{0}")]
    Unreadable(std::io::Error),
}

impl From<String> for Unusable {
    fn from(what: String) -> Self {
        Self::Damaged(what)
    }
}

/// Reads the file back, and checks that the parts that it lists are there.
pub(crate) fn read(folder: &Path) -> Result<Index, Unusable> {
    let text = fs::read(folder.join(COMPLETE)).map_err(Unusable::Unreadable)?;
    let complete: Complete = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    check_parts(folder, &complete)?;
    index(complete).map_err(Unusable::Damaged)
}

/// Whether every part is there as it was written, and every chunk lies within one.
fn check_parts(folder: &Path, complete: &Complete) -> Result<(), Unusable> {
    if complete.layout != LAYOUT {
        return Err(format!("layout {} is not {LAYOUT}", complete.layout).into());
    }
    for part in &complete.parts {
        let bytes = match fs::metadata(folder.join(&part.name)) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(format!("{} is missing", part.name).into());
            }
            Err(error) => return Err(Unusable::Unreadable(error)),
        };
        if bytes != part.bytes {
            return Err(
                format!("{} is {bytes} bytes long and was {}", part.name, part.bytes).into()
            );
        }
    }
    for chunk in &complete.chunks {
        let part = chunk.position.part as usize;
        let fits = part
            .checked_sub(1)
            .and_then(|at| complete.parts.get(at))
            .is_some_and(|part| chunk.position.range.end <= part.bytes);
        if !fits || chunk.position.range.len() != chunk.descriptor.stored_bytes() {
            return Err(format!("a chunk lies outside part {part}").into());
        }
    }
    Ok(())
}

fn index(complete: Complete) -> Result<Index, String> {
    let mut schemas = BTreeMap::new();
    for schema in complete.schemas {
        let data = STANDARD.decode(&schema.data).map_err(|error| error.to_string())?;
        let def = SchemaDef { name: schema.name, encoding: schema.encoding, data: data.into() };
        schemas.insert(schema.id, Arc::new(def));
    }
    let mut channels = BTreeMap::new();
    for channel in complete.channels {
        let schema = match channel.schema_id {
            0 => None,
            id => Some(schemas.get(&id).ok_or("a channel lacks its schema")?.clone()),
        };
        let def = ChannelDef {
            topic: channel.topic,
            message_encoding: channel.message_encoding,
            schema,
            metadata: channel.metadata,
        };
        let record =
            ChannelRecord { id: channel.id, schema_id: channel.schema_id, def: Arc::new(def) };
        channels.insert(channel.id, Arc::new(record));
    }
    Ok(Index {
        profile: complete.profile,
        channels,
        chunks: complete.chunks,
        metadata: complete.metadata,
        attachments: complete.attachments,
        problems: complete.problems,
    })
}
