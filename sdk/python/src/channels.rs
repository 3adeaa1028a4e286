//! Channels, and what describes their messages.

use std::collections::BTreeMap;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use remote_data_loader_backend as core;

use crate::errors::{ChannelError, MessageTypeError};

/// A channel of a :class:`ChannelSet`, to write messages with.
///
/// Its id follows from what the channel is (topic, encoding, schema, metadata), so that the channel
/// means the same in every set that declares it, in every process. Channels compare equal by id.
#[pyclass(module = "remote_data_loader_backend", frozen, eq, hash)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Channel(pub(crate) core::Channel);

#[pymethods]
impl Channel {
    /// The channel of this id. A :class:`BodyWriter` refuses one that its set lacks.
    #[staticmethod]
    fn from_id(id: u16) -> Channel {
        Channel(core::Channel::from_id(id))
    }

    /// The channel's id in MCAP.
    #[getter]
    fn id(&self) -> u16 {
        self.0.id()
    }

    fn __repr__(&self) -> String {
        format!("Channel.from_id({})", self.0.id())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (u16,))> {
        Ok((slf.getattr("from_id")?, (slf.get().0.id(),)))
    }
}

/// Name, encoding and data of a schema.
type SchemaParts<'py> = (String, String, Bound<'py, PyBytes>);

/// The channels of one source; the Python half adds the types.
#[pyclass(module = "remote_data_loader_backend._native", subclass)]
#[derive(Default)]
pub(crate) struct ChannelSet(pub(crate) core::ChannelSet);

#[pymethods]
impl ChannelSet {
    #[new]
    fn new() -> ChannelSet {
        ChannelSet::default()
    }

    fn _add(
        &mut self,
        topic: String,
        encoding: String,
        schema: Option<(String, String, Bound<'_, PyBytes>)>,
        metadata: BTreeMap<String, String>,
    ) -> PyResult<Channel> {
        let schema = schema.map(|(name, encoding, data)| core::MessageSchema {
            name,
            encoding,
            data: data.as_bytes().to_vec().into(),
        });
        let kind = core::MessageType::new(encoding, schema);
        let added = self.0.add_with_metadata(topic, kind, metadata);
        added.map(Channel).map_err(|error| ChannelError::new_err((error.name(), error.to_string())))
    }

    fn _channel(&self, topic: &str) -> Option<Channel> {
        self.0.channel(topic).map(Channel)
    }

    /// Name, message encoding and schema id of each.
    fn _topics(&self) -> Vec<(String, String, Option<u16>)> {
        let topics = self.0.topics().into_iter();
        topics.map(|topic| (topic.name, topic.message_encoding, topic.schema_id)).collect()
    }

    /// Id, name, encoding and base64 of each.
    fn _schemas(&self) -> Vec<(u16, String, String, String)> {
        let schemas = self.0.schemas().into_iter();
        schemas.map(|schema| (schema.id, schema.name, schema.encoding, schema.data)).collect()
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }
}

/// The encodings of messages described by `schema`: `kind` is a constructor of the core.
#[pyfunction]
pub(crate) fn message_type<'py>(
    py: Python<'py>,
    kind: &str,
    name: &str,
    schema: &Bound<'py, PyBytes>,
) -> PyResult<(String, Option<SchemaParts<'py>>)> {
    let text = || {
        let text = str::from_utf8(schema.as_bytes());
        text.map_err(|_| PyValueError::new_err("the schema is not UTF-8"))
    };
    let kind = match kind {
        "json_schema" => core::MessageType::json_schema(name, text()?),
        "schemaless_json" => core::MessageType::schemaless_json(),
        "ros2msg" => core::MessageType::ros2msg(name, text()?),
        "ros2idl" => core::MessageType::ros2idl(name, text()?),
        "ros1msg" => core::MessageType::ros1msg(name, text()?),
        "flatbuffer" => core::MessageType::flatbuffer(name, schema.as_bytes().to_vec()),
        other => return Err(PyValueError::new_err(format!("no such kind: {other:?}"))),
    };
    let schema = kind.schema.map(|schema| {
        let data = PyBytes::new(py, &schema.data);
        (schema.name, schema.encoding, data)
    });
    Ok((kind.encoding, schema))
}

/// The schema of a Protobuf message: those files of the descriptor set that it needs.
#[pyfunction]
pub(crate) fn protobuf_schema<'py>(
    py: Python<'py>,
    message: &str,
    descriptors: &Bound<'py, PyBytes>,
) -> PyResult<(String, Option<SchemaParts<'py>>)> {
    let kind = core::MessageType::protobuf(message, descriptors.as_bytes())
        .map_err(|error| MessageTypeError::new_err((error.name(), error.to_string())))?;
    let schema = kind.schema.map(|schema| {
        let data = PyBytes::new(py, &schema.data);
        (schema.name, schema.encoding, data)
    });
    Ok((kind.encoding, schema))
}
