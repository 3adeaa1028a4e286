//! Splitting a recording into sources, and naming them and their times.

use std::ops::Bound as End;
use std::time::Duration;

use pyo3::prelude::*;
use remote_data_loader_backend as core;
use remote_data_loader_backend::Nanos;

/// The slices of `core::time_slices`, each as its first and last nanosecond.
#[pyclass(module = "remote_data_loader_backend._native")]
pub(crate) struct TimeSlices(Box<dyn Iterator<Item = core::TimeRange> + Send + Sync>);

#[pymethods]
impl TimeSlices {
    #[new]
    fn new(start: u64, end: u64, width: u64) -> TimeSlices {
        let slices = core::time_slices(Nanos(start), Nanos(end), Duration::from_nanos(width));
        TimeSlices(Box::new(slices))
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&mut self) -> Option<(u64, u64)> {
        self.0.next().map(|slice| (slice.start.0, slice.end.0))
    }
}

#[pyfunction]
pub(crate) fn source_id(parts: Vec<String>) -> String {
    core::source_id(parts)
}

/// Start and end as a manifest declares them; `None` where a time is not known.
#[pyfunction]
pub(crate) fn declared_times(start: Option<u64>, end: Option<u64>) -> (String, String) {
    let bound = |time: Option<u64>| time.map_or(End::Unbounded, |time| End::Included(Nanos(time)));
    let source = core::ChannelSet::new().source("", (bound(start), bound(end)));
    (source.start_time, source.end_time)
}
