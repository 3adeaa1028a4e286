//! The native half of the Python package `remote_data_loader_backend`.
//!
//! Everything that decides what a backend answers is the Rust crate's: ids, chunks, refusals,
//! texts. This module carries values over and gives the interpreter to other threads while chunks
//! are compressed; the Python half beside it has the types, the names and the documentation that
//! users see. Nothing here is public: the Python half alone imports it.

mod body;
mod channels;
mod errors;
mod message;
mod reply;
mod source;

#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::body::BodyWriter;
    #[pymodule_export]
    use crate::channels::{Channel, ChannelSet, message_type, protobuf_schema};
    #[pymodule_export]
    use crate::reply::{Bearer, error_reply};
    #[pymodule_export]
    use crate::source::{TimeSlices, declared_times, source_id};
}
