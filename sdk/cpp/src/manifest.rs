//! The manifest: sources as they are handed out, and JSON of what is handed in.

use remote_data_loader_backend as core;

use crate::memory::{Buffer, Str, free, put, shared, slice};
use crate::status::{Failure, Status, guard};

/// `rdl_topic`: a topic as a manifest declares it. Borrowed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Topic {
    name: Str,
    message_encoding: Str,
    /// 0: it has no schema.
    schema_id: u16,
}

/// `rdl_schema`: a schema as a manifest declares it. Borrowed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Schema {
    id: u16,
    name: Str,
    encoding: Str,
    /// In base64.
    data: Str,
}

/// `rdl_streamed_source`: a streamed source. Borrowed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct StreamedSource {
    url: Str,
    /// May be absent.
    id: Str,
    topics: *const Topic,
    topic_count: usize,
    schemas: *const Schema,
    schema_count: usize,
    start_time: Str,
    end_time: Str,
}

/// `rdl_manifest_source`: one entry of a manifest. Borrowed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ManifestSource {
    /// Null: the source is static.
    streamed: *const StreamedSource,
    static_url: Str,
}

/// `rdl_source`: a streamed source that was made, and what `rdl_source_view` shows of it.
pub struct Source {
    source: core::StreamedSource,
    topics: Vec<Topic>,
    schemas: Vec<Schema>,
}

impl Source {
    pub(crate) fn new(source: &core::StreamedSource) -> Source {
        // The texts lie on the heap: they stay where they are when the source moves.
        let source = source.clone();
        let topics = source.topics.iter().map(|topic| Topic {
            name: Str::of(&topic.name),
            message_encoding: Str::of(&topic.message_encoding),
            schema_id: topic.schema_id.unwrap_or(0),
        });
        let schemas = source.schemas.iter().map(|schema| Schema {
            id: schema.id,
            name: Str::of(&schema.name),
            encoding: Str::of(&schema.encoding),
            data: Str::of(&schema.data),
        });
        let (topics, schemas) = (topics.collect(), schemas.collect());
        Source { source, topics, schemas }
    }
}

impl Topic {
    /// # Safety
    ///
    /// What it borrows can be read.
    unsafe fn get(&self) -> Result<core::Topic, Failure> {
        // SAFETY: the caller vouches for what is borrowed.
        let name = unsafe { self.name.text("the topic's name")? };
        // SAFETY: as above.
        let encoding = unsafe { self.message_encoding.text("the message encoding")? };
        Ok(core::Topic {
            name: name.to_owned(),
            message_encoding: encoding.to_owned(),
            schema_id: Some(self.schema_id).filter(|id| *id != 0),
        })
    }
}

impl Schema {
    /// # Safety
    ///
    /// What it borrows can be read.
    unsafe fn get(&self) -> Result<core::Schema, Failure> {
        // SAFETY: the caller vouches for what is borrowed.
        let name = unsafe { self.name.text("the schema's name")? };
        // SAFETY: as above.
        let encoding = unsafe { self.encoding.text("the schema's encoding")? };
        // SAFETY: as above.
        let data = unsafe { self.data.text("the schema's data")? };
        Ok(core::Schema {
            id: self.id,
            name: name.to_owned(),
            encoding: encoding.to_owned(),
            data: data.to_owned(),
        })
    }
}

impl StreamedSource {
    /// # Safety
    ///
    /// What it borrows can be read.
    unsafe fn get(&self) -> Result<core::StreamedSource, Failure> {
        // SAFETY: the caller vouches for what is borrowed.
        let topics = unsafe { slice("the topics", self.topics, self.topic_count)? };
        // SAFETY: as above.
        let topics = topics.iter().map(|topic| unsafe { topic.get() });
        // SAFETY: as above.
        let schemas = unsafe { slice("the schemas", self.schemas, self.schema_count)? };
        // SAFETY: as above.
        let schemas = schemas.iter().map(|schema| unsafe { schema.get() });
        // SAFETY: as above.
        let id = unsafe { self.id.optional("the id")? };
        // SAFETY: as above.
        let url = unsafe { self.url.text("the URL")? };
        // SAFETY: as above.
        let start = unsafe { self.start_time.text("the start time")? };
        // SAFETY: as above.
        let end = unsafe { self.end_time.text("the end time")? };
        Ok(core::StreamedSource {
            url: url.to_owned(),
            id: id.map(str::to_owned),
            topics: topics.collect::<Result<_, _>>()?,
            schemas: schemas.collect::<Result<_, _>>()?,
            start_time: start.to_owned(),
            end_time: end.to_owned(),
        })
    }
}

impl ManifestSource {
    /// # Safety
    ///
    /// What it borrows can be read.
    unsafe fn get(&self) -> Result<core::Source, Failure> {
        if self.streamed.is_null() {
            // SAFETY: the caller vouches for what is borrowed.
            let url = unsafe { self.static_url.optional("the URL")? };
            let url = url.ok_or_else(|| Failure::argument("a source is neither of both kinds"))?;
            return Ok(core::StaticSource::new(url).into());
        }
        // SAFETY: as above.
        let streamed = unsafe { shared("the streamed source", self.streamed)?.get()? };
        Ok(streamed.into())
    }
}

/// Writes as compact JSON what `make` gives.
///
/// # Safety
///
/// `out` can be written.
unsafe fn put_json<T: serde::Serialize>(
    out: *mut Buffer,
    make: impl FnOnce() -> Result<T, Failure>,
) -> Status {
    let json = || {
        let json = serde_json::to_vec(&make()?);
        json.map(Buffer::new).map_err(|error| Failure::internal(error.to_string()))
    };
    // SAFETY: the caller vouches for `out`.
    guard(|| unsafe { put(out, json) })
}

/// What a source says.
///
/// # Safety
///
/// `source` is null or a source, and `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_source_view(
    source: *const Source,
    out: *mut StreamedSource,
) -> Status {
    let view = || {
        // SAFETY: the caller vouches for the source.
        let Source { source, topics, schemas } = unsafe { shared("the source", source)? };
        Ok(StreamedSource {
            url: Str::of(&source.url),
            id: Str::of_option(source.id.as_deref()),
            topics: topics.as_ptr(),
            topic_count: topics.len(),
            schemas: schemas.as_ptr(),
            schema_count: schemas.len(),
            start_time: Str::of(&source.start_time),
            end_time: Str::of(&source.end_time),
        })
    };
    // SAFETY: the caller vouches for `out`.
    guard(|| unsafe { put(out, view) })
}

/// Frees a source.
///
/// # Safety
///
/// `source` is null, or a source that is used nowhere and never again, nor its view.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_source_free(source: *mut Source) {
    // SAFETY: the caller vouches for it.
    unsafe { free(source) };
}

/// A manifest as JSON.
///
/// # Safety
///
/// What is borrowed can be read, and `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_manifest_json(
    name: Str,
    sources: *const ManifestSource,
    source_count: usize,
    out: *mut Buffer,
) -> Status {
    let make = || {
        // SAFETY: the caller vouches for what is borrowed.
        let name = unsafe { name.optional("the manifest's name")? };
        // SAFETY: as above.
        let sources = unsafe { slice("the sources", sources, source_count)? };
        // SAFETY: as above.
        let sources = sources.iter().map(|source| unsafe { source.get() });
        let sources = sources.collect::<Result<_, Failure>>()?;
        Ok(core::Manifest { name: name.map(str::to_owned), sources })
    };
    // SAFETY: the caller vouches for `out`.
    unsafe { put_json(out, make) }
}

/// A streamed source as JSON.
///
/// # Safety
///
/// As `rdl_manifest_json`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_streamed_source_json(
    source: *const StreamedSource,
    out: *mut Buffer,
) -> Status {
    // SAFETY: the caller vouches for both.
    unsafe { put_json(out, || shared("the source", source)?.get()) }
}

/// A static source as JSON.
///
/// # Safety
///
/// As `rdl_manifest_json`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_static_source_json(url: Str, out: *mut Buffer) -> Status {
    // SAFETY: the caller vouches for both.
    unsafe { put_json(out, || Ok(core::StaticSource::new(url.text("the URL")?))) }
}

/// A topic as JSON.
///
/// # Safety
///
/// As `rdl_manifest_json`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_topic_json(topic: *const Topic, out: *mut Buffer) -> Status {
    // SAFETY: the caller vouches for both.
    unsafe { put_json(out, || shared("the topic", topic)?.get()) }
}

/// A schema as JSON.
///
/// # Safety
///
/// As `rdl_manifest_json`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_schema_json(schema: *const Schema, out: *mut Buffer) -> Status {
    // SAFETY: the caller vouches for both.
    unsafe { put_json(out, || shared("the schema", schema)?.get()) }
}
