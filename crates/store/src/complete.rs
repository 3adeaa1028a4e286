//! `complete.json`: the last thing an attempt writes, and all that a restart needs to know of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rdl_mcap_io::{
    ChannelDef, ChannelRecord, Index, IndexedAttachment, IndexedChunk, MetadataRecord, Position,
    SchemaDef,
};
use rdl_model::Problem;
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::attempt::PartInfo;
use crate::charge::Charge;

/// The file's name.
pub(crate) const COMPLETE: &str = "complete.json";

/// Raised whenever an older file must not be read any more.
const LAYOUT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Complete {
    layout: u32,
    /// The source's id, or else its URL less query and credentials; for people.
    #[serde(default)]
    name: String,
    profile: String,
    parts: Vec<PartInfo>,
    schemas: Vec<Schema>,
    channels: Vec<Channel>,
    chunks: Vec<IndexedChunk>,
    metadata: Vec<MetadataRecord>,
    attachments: Vec<IndexedAttachment>,
    #[serde(deserialize_with = "known_problems")]
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

/// What an attempt has written.
pub(crate) struct Written<'a> {
    pub(crate) name: &'a str,
    pub(crate) parts: &'a [PartInfo],
    pub(crate) index: &'a Index,
}

/// The file's text.
pub(crate) fn to_json(written: &Written<'_>) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Complete::of(written))
}

/// Writes the file into an attempt's folder, so that it outlives the system where it must; after
/// an error it is not there.
pub(crate) fn write(
    folder: &Path,
    written: &Written<'_>,
    durable: bool,
    charge: &Charge,
) -> Result<(), StoreError> {
    let complete = Complete::of(written);
    let path = folder.join(COMPLETE);
    let mut length = Length(0);
    serde_json::to_writer(&mut length, &complete)
        .map_err(|error| StoreError::io("write", &path)(error.into()))?;
    charge.write(length.0, &path, || {
        let written = write_json(&path, &complete, durable);
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written
    })
}

impl Complete {
    fn of(written: &Written<'_>) -> Complete {
        let Written { name, parts, index } = *written;
        let mut schemas = BTreeMap::new();
        for channel in index.channels.values() {
            if let Some(schema) = &channel.def.schema {
                schemas.entry(channel.schema_id).or_insert(schema);
            }
        }
        Complete {
            layout: LAYOUT,
            name: name.to_owned(),
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
        }
    }
}

fn write_json(path: &Path, complete: &Complete, durable: bool) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    serde_json::to_writer(&mut file, complete)?;
    file.flush()?;
    if durable { file.get_ref().sync_all() } else { Ok(()) }
}

/// Counts what is written to it.
struct Length(u64);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a stored source cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// There is no `complete.json`.
    #[error("it is gone")]
    Gone,
    /// It is not what was written, for certain.
    #[error("{0}")]
    Damaged(String),
    /// The system would not let it be read; that may pass.
    #[error("{0}")]
    Unreadable(io::Error),
}

impl From<String> for Unusable {
    fn from(what: String) -> Self {
        Self::Damaged(what)
    }
}

/// The name alone, for people.
pub(crate) fn name(folder: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let file = File::open(folder.join(COMPLETE)).ok()?;
    let named: Named = serde_json::from_reader(BufReader::new(file)).ok()?;
    Some(named.name)
}

/// The same, of the file's text.
pub(crate) fn name_of(text: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let named: Named = serde_json::from_slice(text).ok()?;
    Some(named.name).filter(|name| !name.is_empty())
}

/// At most so many problems of a source are read back.
const MOST_PROBLEMS: usize = 1000;

/// Those of the problems whose code is known here: another version of the loader may know more.
pub(crate) fn known_problems<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Problem>, D::Error> {
    let problems = Vec::<serde_json::Value>::deserialize(deserializer)?.into_iter();
    let known = problems.filter_map(|problem| serde_json::from_value(problem).ok());
    Ok(known.take(MOST_PROBLEMS).collect())
}

/// Whether another version of the loader wrote the text.
pub(crate) fn is_foreign(text: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Versioned {
        layout: u32,
    }
    serde_json::from_slice(text).is_ok_and(|Versioned { layout }| layout != LAYOUT)
}

/// What the file's text says, and which parts it lists.
pub(crate) fn parse(text: &[u8]) -> Result<(Index, Vec<PartInfo>), String> {
    let complete: Complete = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    check_places(&complete)?;
    let parts = complete.parts.clone();
    Ok((index(complete)?, parts))
}

/// Reads the file back, and checks that the parts that it lists are there.
pub(crate) fn read(folder: &Path) -> Result<Index, Unusable> {
    let text = fs::read(folder.join(COMPLETE)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Unusable::Gone,
        _ => Unusable::Unreadable(error),
    })?;
    let complete: Complete = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    check_parts(folder, &complete)?;
    index(complete).map_err(Unusable::Damaged)
}

/// Whether every part is there as it was written, and every chunk lies within one.
fn check_parts(folder: &Path, complete: &Complete) -> Result<(), Unusable> {
    check_places(complete)?;
    for part in &complete.parts {
        let bytes = match fs::metadata(folder.join(&part.name)) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
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
    Ok(())
}

/// Whether the layout is ours, and every chunk and attachment lies within a part.
fn check_places(complete: &Complete) -> Result<(), String> {
    if complete.layout != LAYOUT {
        return Err(format!("layout {} is not {LAYOUT}", complete.layout));
    }
    for chunk in &complete.chunks {
        check_position(complete, &chunk.position)?;
        if chunk.position.range.len() != chunk.descriptor.stored_bytes() {
            return Err("a chunk has another length than its descriptor".to_owned());
        }
    }
    for attachment in &complete.attachments {
        check_position(complete, &attachment.position)?;
    }
    Ok(())
}

fn check_position(complete: &Complete, position: &Position) -> Result<(), String> {
    let fits = (position.part as usize)
        .checked_sub(1)
        .and_then(|at| complete.parts.get(at))
        .is_some_and(|part| position.range.end <= part.bytes);
    if !fits || position.range.start > position.range.end {
        return Err(format!("something lies outside part {}", position.part));
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
