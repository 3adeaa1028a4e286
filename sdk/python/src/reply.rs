//! Who asks, and what users are told when something is wrong.

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use remote_data_loader_backend as core;

use crate::errors::NoBearer;

/// The bearer token of a request; the Python half adds how it is found among the headers.
#[pyclass(module = "remote_data_loader_backend._native", subclass, frozen, eq)]
#[derive(PartialEq)]
pub(crate) struct Bearer(core::Bearer);

#[pymethods]
impl Bearer {
    /// `values`: those of all `Authorization` headers.
    #[new]
    fn new(values: Vec<Bound<'_, PyBytes>>) -> PyResult<Bearer> {
        let none = |error: core::NoBearer| NoBearer::new_err(error.to_string());
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes());
            headers.append(AUTHORIZATION, value.map_err(|_| none(core::NoBearer))?);
        }
        core::Bearer::from_headers(&headers).map(Bearer).map_err(none)
    }

    /// The token itself: to look it up, or to check its signature.
    #[getter]
    fn token(&self) -> &str {
        self.0.token()
    }

    /// Whether it is this token. Takes as long whether or not, so that nobody can guess it piece
    /// by piece.
    fn is_(&self, token: &str) -> bool {
        self.0.is(token)
    }

    fn __repr__(&self) -> &'static str {
        "Bearer(…)"
    }
}

/// Names and values of headers.
type Headers<'py> = Vec<(String, Bound<'py, PyBytes>)>;

/// An error reply: its message in one line, and its headers.
#[pyfunction]
pub(crate) fn error_reply<'py>(
    py: Python<'py>,
    status: u16,
    message: &str,
) -> PyResult<(String, Headers<'py>)> {
    let status = StatusCode::from_u16(status)
        .map_err(|_| PyValueError::new_err(format!("{status} is no HTTP status")))?;
    let response: Response<String> = core::ErrorReply::new(status, message).into();
    let headers = response.headers().iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), PyBytes::new(py, value.as_bytes())));
    let headers = headers.collect();
    Ok((response.into_body(), headers))
}
