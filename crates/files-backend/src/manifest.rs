//! From files to the manifest's JSON.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rdl_mcap_io::SchemaDef;
use rdl_model::TimeRange;
use rdl_wire::json::{Schema, Source, StaticSource, StreamedSource, Topic};

use crate::contents::Contents;
use crate::path::FilePath;
use crate::prefix::Prefix;

/// A file as it is, at this URL.
pub(crate) fn static_source(url: String) -> Source {
    Source::Static(StaticSource { url, supports_range_requests: true })
}

/// The intact beginning of a file.
pub(crate) fn streamed_source(
    file: &FilePath,
    prefix: &Prefix,
    contents: &Contents,
    times: TimeRange,
) -> Source {
    let mut defs: Vec<&Arc<SchemaDef>> = Vec::new();
    let topics = contents.topics.iter().map(|topic| {
        let schema_id = topic.schema.as_ref().and_then(|schema| {
            let known = defs.iter().position(|known| *known == schema);
            let at = known.unwrap_or_else(|| {
                defs.push(schema);
                defs.len() - 1
            });
            u16::try_from(at + 1).ok()
        });
        Topic {
            name: topic.name.clone(),
            message_encoding: topic.message_encoding.clone(),
            schema_id,
        }
    });
    let topics = topics.collect();
    let schemas = defs.iter().zip(1..=u16::MAX).map(|(schema, id)| Schema {
        id,
        name: schema.name.clone(),
        encoding: schema.encoding.clone(),
        data: BASE64_STANDARD.encode(&schema.data),
    });
    Source::Streamed(StreamedSource {
        url: format!("intact/{}-{}/{}", prefix.bytes, prefix.hash, file.escaped()),
        id: Some(format!("{file}@{}-{}", prefix.bytes, prefix.hash)),
        topics,
        schemas: schemas.collect(),
        start_time: times.start.to_string(),
        end_time: times.end.to_string(),
    })
}
