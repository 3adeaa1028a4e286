//! The body of a streamed source.
//!
//! Whoever compresses does so without the interpreter: other threads run meanwhile. A message
//! that only joins the open chunk keeps it, as giving it away would take longer than the message.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator};
use remote_data_loader_backend as core;
use remote_data_loader_backend::{Compression, Nanos};

use crate::channels::ChannelSet;
use crate::errors::{BackendError, refused};
use crate::message::{PyMessage, bytes};

/// To copy so much takes longer than to give the interpreter away.
const LARGE_BYTES: usize = 64 << 10;

/// Writes the body of a streamed source; the Python half adds the types of the options.
#[pyclass(module = "remote_data_loader_backend._native", subclass, frozen)]
pub(crate) struct BodyWriter {
    /// Never waited for: a second thread would write in an order that nobody chose.
    core: Mutex<core::BodyWriter>,
    /// Whoever fills it is to stop: nobody wants the rest.
    closed: AtomicBool,
    /// Something that belongs to it is missing: it is not to be finished.
    incomplete: AtomicBool,
}

#[pymethods]
impl BodyWriter {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "the options, which the Python half names")]
    fn new(
        channels: &ChannelSet,
        compression: &str,
        chunk_bytes: usize,
        chunk_duration: Option<u64>,
        start: Option<u64>,
        end: Option<u64>,
        max_message_bytes: usize,
        profile: String,
    ) -> PyResult<BodyWriter> {
        let compression = match compression {
            "none" => Compression::None,
            "lz4" => Compression::Lz4,
            "zstd" => Compression::Zstd,
            other => {
                let text = format!("compression is none, lz4 or zstd, not {other:?}");
                return Err(PyValueError::new_err(text));
            }
        };
        let options = core::BodyOptions {
            compression,
            chunk_bytes,
            chunk_duration: chunk_duration.map(Duration::from_nanos),
            times: core::TimeRange {
                start: start.map_or(Nanos::MIN, Nanos),
                end: end.map_or(Nanos::MAX, Nanos),
            },
            max_message_bytes,
            profile,
        };
        let core = Mutex::new(core::BodyWriter::new(&channels.0, options));
        Ok(BodyWriter { core, closed: AtomicBool::new(false), incomplete: AtomicBool::new(false) })
    }

    /// Adds a message.
    ///
    /// ``log_time`` and ``publish_time`` are nanoseconds since the Unix epoch; without a
    /// ``publish_time`` it is the log time. ``data`` is anything like ``bytes``, in the encoding of
    /// the channel; ``bytes`` themselves are not copied on the way in.
    ///
    /// :raises WriteError: if the message is refused.
    /// :raises TypeError: if an argument is of the wrong type.
    /// :raises ValueError: if a number does not fit.
    ///
    /// After any of them the body has failed: it can no longer be finished.
    #[pyo3(
        signature = (channel, log_time, data, publish_time=None, sequence=None),
        text_signature = "($self, channel, log_time, data, publish_time=None, sequence=0)"
    )]
    fn write<'py>(
        &self,
        py: Python<'py>,
        channel: &Bound<'py, PyAny>,
        log_time: &Bound<'py, PyAny>,
        data: &Bound<'py, PyAny>,
        publish_time: Option<&Bound<'py, PyAny>>,
        sequence: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let mut core = self.writing()?;
        let message = PyMessage::new(channel, log_time, data, publish_time, sequence);
        write(py, &mut core, message)
    }

    /// Closes the open chunk, so that :meth:`take` gives all that was written: before a query that
    /// takes long, say. Small chunks cost the loader work.
    ///
    /// :raises WriteError: if the body failed before, or was finished.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        let mut core = self.writing()?;
        let core = &mut *core;
        py.detach(|| core.flush()).map_err(|error| refused(&error))
    }

    fn _metadata(
        &self,
        py: Python<'_>,
        name: String,
        metadata: BTreeMap<String, String>,
    ) -> PyResult<()> {
        let mut core = self.writing()?;
        let core = &mut *core;
        let record = core::MetadataRecord { name, metadata };
        py.detach(|| core.metadata(&record)).map_err(|error| refused(&error))
    }

    fn _attachment(
        &self,
        py: Python<'_>,
        name: String,
        media_type: String,
        data: &Bound<'_, PyAny>,
        log_time: u64,
        create_time: u64,
    ) -> PyResult<()> {
        let mut core = self.writing()?;
        let core = &mut *core;
        let record = core::AttachmentRecord {
            name,
            media_type,
            log_time: Nanos(log_time),
            create_time: Nanos(create_time),
            data: bytes(data)?.as_bytes().to_vec().into(),
        };
        py.detach(|| core.attachment(&record)).map_err(|error| refused(&error))
    }

    /// Makes sure that the body cannot be finished: something that belongs to it is missing.
    fn fail(&self) -> PyResult<()> {
        // Whoever writes at this moment finds it.
        self.incomplete.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Writes the end: the body is complete once everything is taken and sent. A second call does
    /// nothing.
    ///
    /// :raises WriteError: if something failed before. The body lacks it, and is to be aborted.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        let mut core = self.writing()?;
        let core = &mut *core;
        py.detach(|| core.finish()).map_err(|error| refused(&error))
    }

    /// What is ready to be sent and was not taken yet, in order.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let pieces = self.core()?.take();
        Ok(pieces.iter().map(|piece| PyBytes::new(py, piece)).collect())
    }

    /// Whether :meth:`take` has something.
    #[getter]
    fn is_ready(&self) -> PyResult<bool> {
        Ok(self.core()?.is_ready())
    }

    /// Whether :meth:`finish` has succeeded.
    #[getter]
    fn is_finished(&self) -> PyResult<bool> {
        Ok(self.core()?.is_finished())
    }

    /// The log time of the newest message; 0 without any.
    #[getter]
    fn last_time(&self) -> PyResult<u64> {
        Ok(self.core()?.last_time().0)
    }

    /// Writes what `messages` gives until something is ready, which it returns; finishes when
    /// they end. `None` when all was returned.
    fn _fill<'py>(
        &self,
        py: Python<'py>,
        messages: &Bound<'py, PyIterator>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut core = self.core()?;
        if core.is_finished() {
            return Ok(None);
        }
        let mut messages = messages.clone();
        // The header goes with the first chunk: a source that fails at once has sent nothing.
        let header = core.take();
        while !core.is_ready() {
            if self.closed.load(Ordering::Relaxed) {
                core.fail();
                let why = "the body has failed, or was closed before its end";
                return Err(BackendError::new_err(why));
            }
            let Some(item) = messages.next() else {
                return self.end(py, &mut core, header).map(Some);
            };
            let message = item.and_then(|item| PyMessage::from_item(&item));
            write(py, &mut core, message)?;
        }
        // An iterator that is not Python code would keep Ctrl-C waiting.
        py.check_signals().inspect_err(|_| core.fail())?;
        joined(py, header, &mut core).map(Some)
    }

    /// Writes a message, unless that closes a chunk, which takes long: then returns false, and
    /// wrote nothing.
    fn _offer<'py>(&self, py: Python<'py>, item: &Bound<'py, PyAny>) -> PyResult<bool> {
        let mut core = self.writing()?;
        let message = PyMessage::from_item(item);
        if let Ok(message) = &message {
            let message = message.view();
            if core.closes_chunk(message.log_time, message.data.len()) {
                return Ok(false);
            }
        }
        write(py, &mut core, message).map(|()| true)
    }

    /// Writes a message, or with `None` the end, and returns what is ready.
    fn _push<'py>(
        &self,
        py: Python<'py>,
        item: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let mut core = self.writing()?;
        let Some(item) = item else { return self.end(py, &mut core, Vec::new()) };
        write(py, &mut core, PyMessage::from_item(item))?;
        joined(py, Vec::new(), &mut core)
    }

    /// Has whoever fills it stop at the next message. Never waits.
    fn _close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

impl BodyWriter {
    fn core(&self) -> PyResult<MutexGuard<'_, core::BodyWriter>> {
        let busy = "something else writes to this body at the moment: one writes at a time";
        self.core.try_lock().map_err(|_| BackendError::new_err(busy))
    }

    /// The same to add something. What finds it busy is not written: the body lacks it.
    fn writing(&self) -> PyResult<MutexGuard<'_, core::BodyWriter>> {
        let core = self.core().inspect_err(|_| self.incomplete.store(true, Ordering::Relaxed));
        let mut core = core?;
        if self.incomplete.load(Ordering::Relaxed) {
            core.fail();
        }
        Ok(core)
    }

    /// Writes the end, and gives all that is left, behind what was taken before.
    fn end<'py>(
        &self,
        py: Python<'py>,
        core: &mut core::BodyWriter,
        taken: Vec<Bytes>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        if self.incomplete.load(Ordering::Relaxed) {
            core.fail();
        }
        let finished = py.detach(|| core.finish());
        finished.map_err(|error| refused(&error))?;
        joined(py, taken, core)
    }
}

/// Writes `message`. One that is none fails the body, which would lack it.
fn write(
    py: Python<'_>,
    core: &mut core::BodyWriter,
    message: PyResult<PyMessage<'_>>,
) -> PyResult<()> {
    let message = message.inspect_err(|_| core.fail())?;
    let (channel, view) = (message.channel, message.view());
    let is_long =
        view.data.len() >= LARGE_BYTES || core.closes_chunk(view.log_time, view.data.len());
    let written = match is_long {
        true => py.detach(|| core.write(channel, view)),
        false => core.write(channel, view),
    };
    written.map_err(|error| refused(&error))
}

/// What was taken and what is ready, in one piece.
fn joined<'py>(
    py: Python<'py>,
    mut pieces: Vec<Bytes>,
    core: &mut core::BodyWriter,
) -> PyResult<Bound<'py, PyBytes>> {
    pieces.append(&mut core.take());
    let bytes = pieces.iter().map(Bytes::len).sum();
    PyBytes::new_with(py, bytes, |mut room| {
        for piece in &pieces {
            let (here, rest) = std::mem::take(&mut room).split_at_mut(piece.len());
            here.copy_from_slice(piece);
            room = rest;
        }
        Ok(())
    })
}
