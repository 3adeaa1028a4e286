//! How functions answer: a status code, and the message behind it.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use remote_data_loader_backend::{ChannelError, MessageTypeError, WriteError};

/// `rdl_status`: 0 is success.
pub type Status = i32;

/// The codes and their names. A code never gets another meaning.
const STATUSES: &[(Status, &CStr)] = &[
    (OK, c"ok"),
    (OUT_OF_ORDER, c"out-of-order"),
    (OUTSIDE_TIMES, c"outside-times"),
    (UNKNOWN_CHANNEL, c"unknown-channel"),
    (TOO_LARGE, c"too-large"),
    (ENCODING, c"encoding"),
    (COMPRESSION, c"compression"),
    (ENDED, c"ended"),
    (TOO_LONG, c"too-long"),
    (TOO_MANY, c"too-many"),
    (NOT_A_DESCRIPTOR_SET, c"not-a-descriptor-set"),
    (NO_SUCH_MESSAGE, c"no-such-message"),
    (MISSING_IMPORT, c"missing-import"),
    (NO_BEARER, c"no-bearer"),
    (INVALID_ARGUMENT, c"invalid-argument"),
    (INTERNAL, c"internal"),
];

/// It was done.
pub const OK: Status = 0;
/// A message is earlier than the one before it.
pub const OUT_OF_ORDER: Status = 1;
/// A message lies outside the declared times.
pub const OUTSIDE_TIMES: Status = 2;
/// A message of a channel that the body's set lacks.
pub const UNKNOWN_CHANNEL: Status = 3;
/// A message, attachment or metadata record is longer than allowed.
pub const TOO_LARGE: Status = 4;
/// A message could not be encoded.
pub const ENCODING: Status = 5;
/// A chunk could not be compressed.
pub const COMPRESSION: Status = 6;
/// The body was finished, or failed before.
pub const ENDED: Status = 7;
/// A name, an encoding or a schema is longer than the loader takes.
pub const TOO_LONG: Status = 16;
/// No channel or schema id is left.
pub const TOO_MANY: Status = 17;
/// The bytes are no `FileDescriptorSet`.
pub const NOT_A_DESCRIPTOR_SET: Status = 18;
/// The descriptor set does not declare the message.
pub const NO_SUCH_MESSAGE: Status = 19;
/// The descriptor set lacks a file that another one imports.
pub const MISSING_IMPORT: Status = 20;
/// The request has no bearer token.
pub const NO_BEARER: Status = 32;
/// A pointer, a size, a text or a number cannot be.
pub const INVALID_ARGUMENT: Status = 64;
/// A mistake in this library, which was caught.
pub const INTERNAL: Status = 65;

thread_local! {
    /// The message of the last failure on this thread.
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// Why a function failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    pub(crate) message: String,
}

impl Failure {
    /// Something about an argument is wrong.
    pub(crate) fn argument(message: impl Into<String>) -> Failure {
        Failure { status: INVALID_ARGUMENT, message: message.into() }
    }

    pub(crate) fn internal(message: impl Into<String>) -> Failure {
        Failure { status: INTERNAL, message: message.into() }
    }

    /// Keeps the message for `rdl_last_error`.
    #[cold]
    fn keep(self) -> Status {
        // A C text ends at a NUL byte.
        let message = CString::new(self.message.replace('\0', "\u{fffd}")).unwrap_or_default();
        // A thread that is ending has no place for it any more.
        let _kept = LAST_ERROR.try_with(|last| *last.borrow_mut() = message);
        self.status
    }
}

impl From<WriteError> for Failure {
    #[cold]
    fn from(error: WriteError) -> Failure {
        let status = match error {
            WriteError::OutOfOrder { .. } => OUT_OF_ORDER,
            WriteError::OutsideTimes { .. } => OUTSIDE_TIMES,
            WriteError::UnknownChannel(_) => UNKNOWN_CHANNEL,
            WriteError::TooLarge { .. } => TOO_LARGE,
            WriteError::Encoding { .. } => ENCODING,
            WriteError::Compression(_) => COMPRESSION,
            WriteError::Ended(_) => ENDED,
        };
        Failure { status, message: error.to_string() }
    }
}

impl From<ChannelError> for Failure {
    fn from(error: ChannelError) -> Failure {
        let status = match error {
            ChannelError::TooLong { .. } => TOO_LONG,
            ChannelError::TooMany => TOO_MANY,
        };
        Failure { status, message: error.to_string() }
    }
}

impl From<MessageTypeError> for Failure {
    fn from(error: MessageTypeError) -> Failure {
        let status = match error {
            MessageTypeError::NotADescriptorSet(_) => NOT_A_DESCRIPTOR_SET,
            MessageTypeError::NoSuchMessage(_) => NO_SUCH_MESSAGE,
            MessageTypeError::MissingImport { .. } => MISSING_IMPORT,
        };
        Failure { status, message: error.to_string() }
    }
}

/// Runs what a function does. A panic becomes `INTERNAL`: what was being changed must not be used
/// any more, which is up to the caller of this.
pub(crate) fn guard(work: impl FnOnce() -> Result<(), Failure>) -> Status {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => OK,
        Ok(Err(failure)) => failure.keep(),
        Err(panic) => {
            let what = said(&*panic);
            Failure::internal(format!("a mistake in the library, please report it: {what}")).keep()
        }
    }
}

/// Runs what a function without a status does; `otherwise` is what a panic answers.
pub(crate) fn answer<T>(otherwise: T, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(otherwise)
}

/// What a panic says.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no details")
}

/// The message of the last failure on this thread.
#[unsafe(no_mangle)]
pub extern "C" fn rdl_last_error() -> *const c_char {
    let last = || LAST_ERROR.try_with(|last| last.borrow().as_ptr());
    answer(c"".as_ptr(), || last().unwrap_or(c"".as_ptr()))
}

/// The name of a status, the same in every language of the kit.
#[unsafe(no_mangle)]
pub extern "C" fn rdl_status_name(status: Status) -> *const c_char {
    let known = STATUSES.iter().find(|(code, _)| *code == status);
    known.map_or(c"unknown", |(_, name)| name).as_ptr()
}

/// The version of the library, such as `0.1.0`.
#[unsafe(no_mangle)]
pub extern "C" fn rdl_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}
