//! The way in and out: pointers become references, and bytes find an owner.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_void};
use std::ptr;

use bytes::Bytes as Owned;

use crate::status::{Failure, answer};

/// `rdl_str`: a text, in UTF-8, without a NUL at its end. Borrowed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Str {
    pub(crate) data: *const c_char,
    pub(crate) len: usize,
}

/// `rdl_bytes`: bytes. Borrowed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bytes {
    pub(crate) data: *const u8,
    pub(crate) len: usize,
}

/// `rdl_pair`: an entry of a map of texts. Borrowed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Pair {
    pub(crate) key: Str,
    pub(crate) value: Str,
}

/// `rdl_buffer`: bytes that whoever got them frees.
#[repr(C)]
pub struct Buffer {
    pub(crate) data: *const u8,
    pub(crate) len: usize,
    /// What keeps the bytes alive; null where there are none.
    pub(crate) owner: *mut c_void,
}

impl Str {
    /// No text at all, where one may be absent.
    pub(crate) const ABSENT: Str = Str { data: ptr::null(), len: 0 };

    pub(crate) fn of(text: &str) -> Str {
        Str::of_bytes(text.as_bytes())
    }

    pub(crate) fn of_bytes(text: &[u8]) -> Str {
        Str { data: text.as_ptr().cast(), len: text.len() }
    }

    pub(crate) fn of_option(text: Option<&str>) -> Str {
        text.map_or(Str::ABSENT, Str::of)
    }

    /// # Safety
    ///
    /// `len` bytes can be read at `data`, and nothing changes them during `'a`.
    pub(crate) unsafe fn bytes<'a>(self, what: &str) -> Result<&'a [u8], Failure> {
        // SAFETY: the caller vouches for data and len.
        unsafe { slice(what, self.data.cast::<u8>(), self.len) }
    }

    /// # Safety
    ///
    /// As [`Str::bytes`].
    pub(crate) unsafe fn text<'a>(self, what: &str) -> Result<&'a str, Failure> {
        // SAFETY: the caller vouches for data and len.
        let bytes = unsafe { self.bytes(what)? };
        std::str::from_utf8(bytes)
            .map_err(|error| Failure::argument(format!("{what} is not UTF-8: {error}")))
    }

    /// The text; none where `data` is null.
    ///
    /// # Safety
    ///
    /// As [`Str::bytes`].
    pub(crate) unsafe fn optional<'a>(self, what: &str) -> Result<Option<&'a str>, Failure> {
        if self.data.is_null() && self.len == 0 {
            return Ok(None);
        }
        // SAFETY: the caller vouches for data and len.
        unsafe { self.text(what) }.map(Some)
    }
}

impl Bytes {
    pub(crate) fn of(bytes: &[u8]) -> Bytes {
        Bytes { data: bytes.as_ptr(), len: bytes.len() }
    }

    /// # Safety
    ///
    /// As [`Str::bytes`].
    pub(crate) unsafe fn get<'a>(self, what: &str) -> Result<&'a [u8], Failure> {
        // SAFETY: the caller vouches for data and len.
        unsafe { slice(what, self.data, self.len) }
    }
}

impl Buffer {
    pub(crate) const NONE: Buffer = Buffer { data: ptr::null(), len: 0, owner: ptr::null_mut() };

    pub(crate) fn new(bytes: impl Into<Owned>) -> Buffer {
        let owner = Box::new(bytes.into());
        // What the bytes are does not move when their owner does.
        let (data, len) = (owner.as_ptr(), owner.len());
        Buffer { data, len, owner: Box::into_raw(owner).cast() }
    }
}

/// `len` values at `data`; none where `len` is 0, whatever `data` is.
///
/// # Safety
///
/// `len` values can be read at `data`, and nothing changes them during `'a`.
pub(crate) unsafe fn slice<'a, T>(
    what: &str,
    data: *const T,
    len: usize,
) -> Result<&'a [T], Failure> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Failure::argument(format!("{what} is NULL, but {len} long")));
    }
    if !data.is_aligned() {
        return Err(Failure::argument(format!("the address of {what} is not aligned")));
    }
    if len > isize::MAX.unsigned_abs() / size_of::<T>() {
        return Err(Failure::argument(format!("{what} cannot be {len} long")));
    }
    // SAFETY: neither null nor unaligned nor too long; the caller vouches for the rest.
    Ok(unsafe { std::slice::from_raw_parts(data, len) })
}

/// # Safety
///
/// `pointer` is null, or a `T` that lies there and that nothing changes during `'a`.
pub(crate) unsafe fn shared<'a, T>(what: &str, pointer: *const T) -> Result<&'a T, Failure> {
    if !pointer.is_aligned() {
        return Err(Failure::argument(format!("the address of {what} is not aligned")));
    }
    // SAFETY: aligned; the caller vouches for the rest.
    unsafe { pointer.as_ref() }.ok_or_else(|| Failure::argument(format!("{what} is NULL")))
}

/// # Safety
///
/// `pointer` is null, or a `T` that lies there and that nobody else uses during `'a`.
pub(crate) unsafe fn exclusive<'a, T>(what: &str, pointer: *mut T) -> Result<&'a mut T, Failure> {
    if !pointer.is_aligned() {
        return Err(Failure::argument(format!("the address of {what} is not aligned")));
    }
    // SAFETY: aligned; the caller vouches for the rest.
    unsafe { pointer.as_mut() }.ok_or_else(|| Failure::argument(format!("{what} is NULL")))
}

/// The place for a result, which need not hold anything yet.
///
/// # Safety
///
/// `place` is null, or a `T` may be written there.
pub(crate) unsafe fn put<T>(
    place: *mut T,
    make: impl FnOnce() -> Result<T, Failure>,
) -> Result<(), Failure> {
    if place.is_null() || !place.is_aligned() {
        return Err(Failure::argument("the place for the result is NULL or not aligned"));
    }
    let value = make()?;
    // SAFETY: neither null nor unaligned; the caller vouches for the rest.
    unsafe { place.write(value) };
    Ok(())
}

/// [`put`] for a handle.
///
/// # Safety
///
/// As [`put`].
pub(crate) unsafe fn put_boxed<T>(
    place: *mut *mut T,
    make: impl FnOnce() -> Result<T, Failure>,
) -> Result<(), Failure> {
    // SAFETY: the caller vouches for the place.
    unsafe { put(place, || make().map(|value| Box::into_raw(Box::new(value)))) }
}

/// Frees a handle.
///
/// # Safety
///
/// `handle` is null, or came from [`put_boxed`] and is used nowhere and never again.
pub(crate) unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: the caller vouches for it.
        answer((), || drop(unsafe { Box::from_raw(handle) }));
    }
}

/// # Safety
///
/// `count` pairs can be read at `pairs`, and what each of them borrows.
pub(crate) unsafe fn map(
    what: &str,
    pairs: *const Pair,
    count: usize,
) -> Result<BTreeMap<String, String>, Failure> {
    // SAFETY: the caller vouches for the pairs.
    let pairs = unsafe { slice(what, pairs, count)? };
    let mut map = BTreeMap::new();
    for pair in pairs {
        // SAFETY: the caller vouches for what they borrow.
        let (key, value) = unsafe { (pair.key.text(what)?, pair.value.text(what)?) };
        if map.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Failure::argument(format!("{what} has the key {key:?} twice")));
        }
    }
    Ok(map)
}

/// Frees what a buffer holds and empties it.
///
/// # Safety
///
/// `buffer` is null, or a buffer that this library filled, or an empty one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_buffer_free(buffer: *mut Buffer) {
    // SAFETY: the caller vouches for the buffer.
    let Ok(buffer) = (unsafe { exclusive("the buffer", buffer) }) else { return };
    let owner = std::mem::replace(buffer, Buffer::NONE).owner;
    // SAFETY: it came from `Buffer::new`, and the buffer forgot it.
    unsafe { free(owner.cast::<Owned>()) };
}
