//! Refusals as the exceptions of the Python half.

use pyo3::PyErr;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use remote_data_loader_backend as core;

pyo3::import_exception!(remote_data_loader_backend._errors, BackendError);
pyo3::import_exception!(remote_data_loader_backend._errors, ChannelError);
pyo3::import_exception!(remote_data_loader_backend._errors, MessageTypeError);
pyo3::import_exception!(remote_data_loader_backend._errors, NoBearer);
pyo3::import_exception!(remote_data_loader_backend._errors, WriteError);

/// A refusal of the core, with its name.
pub(crate) fn refused(error: &core::WriteError) -> PyErr {
    WriteError::new_err((error.name(), error.to_string()))
}

/// The error of an argument that Python could not convert, with the argument's name: a
/// `TypeError` stays one, anything else is a `ValueError`.
pub(crate) fn argument(py: Python<'_>, name: &str, wanted: &str, error: &PyErr) -> PyErr {
    let text = format!("{name}: {}; {wanted} is wanted", error.value(py));
    match error.is_instance_of::<PyTypeError>(py) {
        true => PyTypeError::new_err(text),
        false => PyValueError::new_err(text),
    }
}
