//! The body of a streamed source.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes as Owned;
use remote_data_loader_backend::{
    AttachmentRecord, BodyOptions as Options, BodyWriter, Channel, Compression, Message,
    MetadataRecord, Nanos, TimeRange,
};

use crate::channels::Channels;
use crate::memory::{
    Buffer, Bytes, Pair, Str, exclusive, free, map, put, put_boxed, shared, slice,
};
use crate::status::{Failure, INTERNAL, Status, answer, guard};

/// `rdl_body`: a body that is being written.
pub struct Body {
    writer: BodyWriter,
    /// What the writer gave and nobody took yet.
    ready: VecDeque<Owned>,
    /// A mistake was caught in the middle of a change: nothing of it can be trusted.
    broken: bool,
}

/// `rdl_body_options`: how a body is written.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BodyOptions {
    /// The size of this struct, which tells versions of it apart.
    size: usize,
    compression: i32,
    chunk_bytes: u64,
    /// `u64::MAX`: whatever their duration.
    chunk_duration_nanos: u64,
    start: u64,
    end: u64,
    max_message_bytes: u64,
    profile: Str,
}

/// `rdl_attachment`: an attachment. Borrowed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Attachment {
    name: Str,
    media_type: Str,
    log_time: u64,
    create_time: u64,
    data: Bytes,
}

const NO_DURATION: u64 = u64::MAX;

impl BodyOptions {
    fn new(options: &Options) -> BodyOptions {
        let duration = options.chunk_duration.map(|duration| duration.as_nanos());
        BodyOptions {
            size: size_of::<BodyOptions>(),
            compression: match options.compression {
                Compression::None => 0,
                Compression::Lz4 => 1,
                Compression::Zstd => 2,
            },
            chunk_bytes: options.chunk_bytes as u64,
            chunk_duration_nanos: duration
                .map_or(NO_DURATION, |nanos| u64::try_from(nanos).unwrap_or(NO_DURATION)),
            start: options.times.start.0,
            end: options.times.end.0,
            max_message_bytes: options.max_message_bytes as u64,
            profile: Str::of(""),
        }
    }

    /// # Safety
    ///
    /// What it borrows can be read.
    unsafe fn get(&self) -> Result<Options, Failure> {
        let expected = size_of::<BodyOptions>();
        if self.size != expected {
            return Err(Failure::argument(format!(
                "the options are {} bytes long, and {expected} in this version of the library: \
                 fill them with rdl_body_options_init, and compile with the header of the library",
                self.size
            )));
        }
        let compression = match self.compression {
            0 => Compression::None,
            1 => Compression::Lz4,
            2 => Compression::Zstd,
            other => return Err(Failure::argument(format!("there is no compression {other}"))),
        };
        let duration = Some(self.chunk_duration_nanos).filter(|nanos| *nanos != NO_DURATION);
        // SAFETY: the caller vouches for the profile.
        let profile = unsafe { self.profile.text("the profile")? };
        Ok(Options {
            compression,
            chunk_bytes: usize::try_from(self.chunk_bytes).unwrap_or(usize::MAX),
            chunk_duration: duration.map(Duration::from_nanos),
            times: TimeRange { start: Nanos(self.start), end: Nanos(self.end) },
            max_message_bytes: usize::try_from(self.max_message_bytes).unwrap_or(usize::MAX),
            profile: profile.to_owned(),
        })
    }
}

/// Does something with a body. One that was left in the middle of a change is not used again.
///
/// # Safety
///
/// `body` is null, or a body that nobody else uses meanwhile.
#[inline]
unsafe fn change(body: *mut Body, work: impl FnOnce(&mut Body) -> Result<(), Failure>) -> Status {
    let status = guard(|| {
        // SAFETY: the caller vouches for the body.
        let body = unsafe { exclusive("the body", body)? };
        if body.broken {
            return Err(Failure::internal("the body met a mistake in the library before"));
        }
        let worked = work(body);
        if worked.is_err() {
            // Whatever was refused, the body lacks it.
            body.writer.fail();
        }
        worked
    });
    if status == INTERNAL {
        // SAFETY: as above; nothing of `work` is left.
        if let Ok(body) = unsafe { exclusive("the body", body) } {
            body.broken = true;
        }
    }
    status
}

#[cfg(test)]
impl Body {
    /// A mistake of the library in the middle of a change.
    pub(crate) fn stumble(&mut self) -> Status {
        // SAFETY: it is this one, and nobody else uses it.
        unsafe { change(self, |_| panic!("stumbled")) }
    }
}

/// Fills options with what they are if nothing is said.
///
/// # Safety
///
/// `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_body_options_init(out: *mut BodyOptions) -> Status {
    // SAFETY: the caller vouches for `out`.
    guard(|| unsafe { put(out, || Ok(BodyOptions::new(&Options::default()))) })
}

/// Begins a body.
///
/// # Safety
///
/// `channels` is null or a channel set, `options` null or options, what they borrow can be read,
/// and `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_body_new(
    channels: *const Channels,
    options: *const BodyOptions,
    out: *mut *mut Body,
) -> Status {
    let make = || {
        // SAFETY: the caller vouches for the set.
        let channels = unsafe { shared("the channel set", channels)? };
        let options = if options.is_null() {
            Options::default()
        } else {
            // SAFETY: the caller vouches for the options.
            unsafe { shared("the options", options)?.get()? }
        };
        let writer = BodyWriter::new(&channels.0, options);
        Ok(Body { writer, ready: VecDeque::new(), broken: false })
    };
    // SAFETY: the caller vouches for `out`.
    guard(|| unsafe { put_boxed(out, make) })
}

/// Adds a message.
///
/// # Safety
///
/// `body` is null, or a body that nobody else uses meanwhile; `len` bytes can be read at `data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_body_write(
    body: *mut Body,
    channel: u16,
    log_time: u64,
    publish_time: u64,
    sequence: u32,
    data: *const u8,
    len: usize,
) -> Status {
    let write = |body: &mut Body| {
        // SAFETY: the caller vouches for the data.
        let data = unsafe { slice("the data", data, len)? };
        let message = Message {
            log_time: Nanos(log_time),
            publish_time: Nanos(publish_time),
            sequence,
            data,
        };
        Ok(body.writer.write(Channel::from_id(channel), message)?)
    };
    // SAFETY: the caller vouches for the body.
    unsafe { change(body, write) }
}

/// Fails a body because a message of it cannot be encoded.
///
/// # Safety
///
/// `body` is null, or a body that nobody else uses meanwhile; `why` can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_body_encoding_failed(
    body: *mut Body,
    channel: u16,
    why: Str,
) -> Status {
    let fail = |body: &mut Body| {
        // SAFETY: the caller vouches for the text.
        let why = unsafe { why.bytes("the reason")? };
        let why = String::from_utf8_lossy(why);
        Ok(body.writer.write_with(Channel::from_id(channel), Nanos::MIN, |_| Err(why))?)
    };
    // SAFETY: the caller vouches for the body.
    unsafe { change(body, fail) }
}

/// Writes a metadata record.
///
/// # Safety
///
/// `body` is null, or a body that nobody else uses meanwhile; what is borrowed can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_body_metadata(
    body: *mut Body,
    name: Str,
    pairs: *const Pair,
    pair_count: usize,
) -> Status {
    let write = |body: &mut Body| {
        // SAFETY: the caller vouches for what is borrowed.
        let name = unsafe { name.text("the metadata record's name")? };
        // SAFETY: as above.
        let metadata = unsafe { map("the metadata record", pairs, pair_count)? };
        Ok(body.writer.metadata(&MetadataRecord { name: name.to_owned(), metadata })?)
    };
    // SAFETY: the caller vouches for the body.
    unsafe { change(body, write) }
}

/// Writes an attachment.
///
/// # Safety
///
/// `body` is null, or a body that nobody else uses meanwhile; `attachment` is null, or can be read
/// with what it borrows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_body_attachment(
    body: *mut Body,
    attachment: *const Attachment,
) -> Status {
    let write = |body: &mut Body| {
        // SAFETY: the caller vouches for the attachment.
        let attachment = unsafe { shared("the attachment", attachment)? };
        // SAFETY: the caller vouches for what it borrows.
        let name = unsafe { attachment.name.text("the attachment's name")? };
        // SAFETY: as above.
        let media_type = unsafe { attachment.media_type.text("the media type")? };
        // SAFETY: as above.
        let data = unsafe { attachment.data.get("the attachment's data")? };
        let attachment = AttachmentRecord {
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            log_time: Nanos(attachment.log_time),
            create_time: Nanos(attachment.create_time),
            data: data.to_vec().into(),
        };
        Ok(body.writer.attachment(&attachment)?)
    };
    // SAFETY: the caller vouches for the body.
    unsafe { change(body, write) }
}

/// Closes the open chunk.
///
/// # Safety
///
/// `body` is null, or a body that nobody else uses meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_body_flush(body: *mut Body) -> Status {
    // SAFETY: the caller vouches for the body.
    unsafe { change(body, |body| Ok(body.writer.flush()?)) }
}

/// Writes the end.
///
/// # Safety
///
/// `body` is null, or a body that nobody else uses meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_body_finish(body: *mut Body) -> Status {
    // SAFETY: the caller vouches for the body.
    unsafe { change(body, |body| Ok(body.writer.finish()?)) }
}

/// Takes the next piece that is ready; an empty buffer where there is none.
///
/// # Safety
///
/// `body` is null, or a body that nobody else uses meanwhile; `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_body_take(body: *mut Body, out: *mut Buffer) -> Status {
    let take = |body: &mut Body| {
        let next = || {
            if body.ready.is_empty() {
                body.ready.extend(body.writer.take());
            }
            Ok(body.ready.pop_front().map_or(Buffer::NONE, Buffer::new))
        };
        // SAFETY: the caller vouches for `out`.
        unsafe { put(out, next) }
    };
    // SAFETY: the caller vouches for the body.
    unsafe { change(body, take) }
}

/// Asks something of a body, which is not there or broken otherwise.
///
/// # Safety
///
/// `body` is null, or a body that nobody changes meanwhile.
unsafe fn ask<T: Copy>(body: *const Body, otherwise: T, question: impl FnOnce(&Body) -> T) -> T {
    answer(otherwise, || {
        // SAFETY: the caller vouches for the body.
        match unsafe { shared("the body", body) } {
            Ok(body) if !body.broken => question(body),
            _ => otherwise,
        }
    })
}

/// Whether there is something to take, the header included.
///
/// # Safety
///
/// `body` is null, or a body that nobody changes meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_body_is_ready(body: *const Body) -> bool {
    // SAFETY: the caller vouches for the body.
    unsafe { ask(body, false, |body| !body.ready.is_empty() || body.writer.is_ready()) }
}

/// Whether the end was written.
///
/// # Safety
///
/// `body` is null, or a body that nobody changes meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_body_is_finished(body: *const Body) -> bool {
    // SAFETY: the caller vouches for the body.
    unsafe { ask(body, false, |body| body.writer.is_finished()) }
}

/// The log time of the newest message; 0 without any.
///
/// # Safety
///
/// `body` is null, or a body that nobody changes meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_body_last_time(body: *const Body) -> u64 {
    // SAFETY: the caller vouches for the body.
    unsafe { ask(body, 0, |body| body.writer.last_time().0) }
}

/// Frees a body; what was taken stays.
///
/// # Safety
///
/// `body` is null, or a body that is used nowhere and never again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_body_free(body: *mut Body) {
    // SAFETY: the caller vouches for it.
    unsafe { free(body) };
}
