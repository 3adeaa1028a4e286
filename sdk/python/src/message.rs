//! A message as Python hands it over.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PyTuple};
use remote_data_loader_backend::{self as core, Nanos};

use crate::channels::Channel;
use crate::errors::argument;

const A_TIME: &str = "a whole number of nanoseconds since the Unix epoch, 0 to 2**64 - 1,";

/// A message whose fields were checked; `data` keeps its bytes alive.
pub(crate) struct PyMessage<'py> {
    pub(crate) channel: core::Channel,
    log_time: Nanos,
    publish_time: Nanos,
    sequence: u32,
    data: Bound<'py, PyBytes>,
}

impl<'py> PyMessage<'py> {
    /// `publish_time` is the log time and `sequence` is 0 where they are absent or `None`.
    pub(crate) fn new(
        channel: &Bound<'py, PyAny>,
        log_time: &Bound<'py, PyAny>,
        data: &Bound<'py, PyAny>,
        publish_time: Option<&Bound<'py, PyAny>>,
        sequence: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<PyMessage<'py>> {
        let py = channel.py();
        let Ok(known) = channel.cast::<Channel>() else {
            let text = format!("a Channel of the set is wanted, not {}", channel.get_type());
            return Err(PyTypeError::new_err(text));
        };
        let time = |name, value: &Bound<'py, PyAny>| {
            value.extract().map(Nanos).map_err(|error| argument(py, name, A_TIME, &error))
        };
        let log_time = time("log_time", log_time)?;
        let publish_time = publish_time.filter(|given| !given.is_none());
        let publish_time =
            publish_time.map_or(Ok(log_time), |given| time("publish_time", given))?;
        let sequence = sequence.map_or(Ok(0), |given| {
            let wanted = "a whole number, 0 to 2**32 - 1,";
            given.extract().map_err(|error| argument(py, "sequence", wanted, &error))
        })?;
        let data = bytes(data)?;
        Ok(PyMessage { channel: known.get().0, log_time, publish_time, sequence, data })
    }

    /// `(channel, log_time, data)`, or with `publish_time`, or with `sequence` too.
    pub(crate) fn from_item(item: &Bound<'py, PyAny>) -> PyResult<PyMessage<'py>> {
        let wanted = |what: &str| {
            PyTypeError::new_err(format!(
                "a Message, or a tuple (channel, log_time, data[, publish_time[, sequence]]), \
                 is wanted, not {what}"
            ))
        };
        let tuple = item.cast::<PyTuple>().map_err(|_| wanted(&item.get_type().to_string()))?;
        if !(3..=5).contains(&tuple.len()) {
            return Err(wanted(&format!("a tuple of {}", tuple.len())));
        }
        PyMessage::new(
            &tuple.get_item(0)?,
            &tuple.get_item(1)?,
            &tuple.get_item(2)?,
            tuple.get_item(3).ok().as_ref(),
            tuple.get_item(4).ok().as_ref(),
        )
    }

    /// The message as the core takes it.
    pub(crate) fn view(&self) -> core::Message<'_> {
        core::Message {
            log_time: self.log_time,
            publish_time: self.publish_time,
            sequence: self.sequence,
            data: self.data.as_bytes(),
        }
    }
}

/// The bytes of any bytes-like object. Those of `bytes` are borrowed; those of anything else are
/// copied, as others may write to them while the interpreter is free.
pub(crate) fn bytes<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(bytes.clone());
    }
    let view = PyMemoryView::from(data)
        .map_err(|error| argument(data.py(), "data", "bytes, or what is like them,", &error))?;
    Ok(view.call_method0("tobytes")?.cast_into::<PyBytes>()?)
}
