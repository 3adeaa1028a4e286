//! From files to the manifest's JSON.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rdl_mcap_io::SchemaDef;
use rdl_wire::json::{Schema, Source, StaticSource, StreamedSource, Topic};

use crate::path::FilePath;
use crate::prefix::Segment;

/// A file as it is, at this URL.
pub(crate) fn static_source(url: String) -> Source {
    Source::Static(StaticSource { url, supports_range_requests: true })
}

/// A part of a file that has no summary.
pub(crate) fn streamed_source(file: &FilePath, segment: &Segment) -> Source {
    let mut defs: Vec<&Arc<SchemaDef>> = Vec::new();
    let topics = segment.topics.iter().map(|topic| {
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
    let version = segment.version.text();
    Source::Streamed(StreamedSource {
        url: format!("intact/{version}/{}", file.escaped()),
        id: Some(format!("{file}@{version}")),
        topics,
        schemas: schemas.collect(),
        start_time: segment.times.start.to_string(),
        end_time: segment.times.end.to_string(),
    })
}
