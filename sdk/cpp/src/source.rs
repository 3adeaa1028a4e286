//! Splitting a recording into sources, and naming them.

use std::time::Duration;

use remote_data_loader_backend::{Nanos, source_id, time_slices};

use crate::memory::{Buffer, Str, put, slice};
use crate::status::{Status, answer, guard};

/// `rdl_time_range`: from one time to another, both inside, in nanoseconds since the Unix epoch.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// The first time inside.
    pub start: u64,
    /// The last time inside.
    pub end: u64,
}

/// The first slice of `start..=end`. The next one is the first of what is behind it.
///
/// # Safety
///
/// `out` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_time_slice(
    start: u64,
    end: u64,
    width_nanos: u64,
    out: *mut TimeRange,
) -> bool {
    answer(false, || {
        let mut slices = time_slices(Nanos(start), Nanos(end), Duration::from_nanos(width_nanos));
        let Some(first) = slices.next() else { return false };
        let slice = TimeRange { start: first.start.0, end: first.end.0 };
        // SAFETY: the caller vouches for `out`.
        unsafe { put(out, || Ok(slice)) }.is_ok()
    })
}

/// Joins parts into the id of a source.
///
/// # Safety
///
/// What is borrowed can be read, and `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_source_id(
    parts: *const Str,
    part_count: usize,
    out: *mut Buffer,
) -> Status {
    let make = || {
        // SAFETY: the caller vouches for the parts.
        let parts = unsafe { slice("the parts", parts, part_count)? };
        // SAFETY: as above.
        let parts = parts.iter().map(|part| unsafe { part.text("a part of the id") });
        Ok(Buffer::new(source_id(parts.collect::<Result<Vec<&str>, _>>()?)))
    };
    // SAFETY: the caller vouches for `out`.
    guard(|| unsafe { put(out, make) })
}
