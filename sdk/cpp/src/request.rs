//! Who asks, and what went wrong: bearer tokens and error replies.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use remote_data_loader_backend::{self as core, ErrorReply, NoBearer};

use crate::memory::{Str, free, put, put_boxed, shared, slice};
use crate::status::{Failure, NO_BEARER, Status, answer, guard};

/// `rdl_bearer`: the token of a request.
pub struct Bearer(core::Bearer);

/// `rdl_reply`: an error as a data backend answers it.
pub struct Reply(Response<String>);

fn no_bearer() -> Failure {
    Failure { status: NO_BEARER, message: NoBearer.to_string() }
}

/// The token of a request with these values of `Authorization`.
///
/// # Safety
///
/// What is borrowed can be read, and `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_bearer_new(
    values: *const Str,
    value_count: usize,
    out: *mut *mut Bearer,
) -> Status {
    let make = || {
        // SAFETY: the caller vouches for the values.
        let values = unsafe { slice("the header values", values, value_count)? };
        let mut headers = HeaderMap::new();
        // More than two are refused as two are.
        for value in values.iter().take(2) {
            // SAFETY: as above.
            let value = HeaderValue::from_bytes(unsafe { value.bytes("a header value")? });
            headers.append(header::AUTHORIZATION, value.map_err(|_| no_bearer())?);
        }
        core::Bearer::from_headers(&headers).map(Bearer).map_err(|_| no_bearer())
    };
    // SAFETY: the caller vouches for `out`.
    guard(|| unsafe { put_boxed(out, make) })
}

/// The token itself.
///
/// # Safety
///
/// `bearer` is null or a bearer, and `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_bearer_token(bearer: *const Bearer, out: *mut Str) -> Status {
    // SAFETY: the caller vouches for both.
    guard(|| unsafe { put(out, || Ok(Str::of(shared("the bearer", bearer)?.0.token()))) })
}

/// Whether it is this token, in a time that does not tell how much of it is right.
///
/// # Safety
///
/// `bearer` is null or a bearer, and `token` can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_bearer_is(bearer: *const Bearer, token: Str) -> bool {
    answer(false, || {
        // SAFETY: the caller vouches for the bearer.
        let bearer = unsafe { shared("the bearer", bearer) };
        // SAFETY: the caller vouches for the token.
        let token = unsafe { token.text("the token") };
        matches!((bearer, token), (Ok(bearer), Ok(token)) if bearer.0.is(token))
    })
}

/// Frees a bearer.
///
/// # Safety
///
/// `bearer` is null, or a bearer that is used nowhere and never again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_bearer_free(bearer: *mut Bearer) {
    // SAFETY: the caller vouches for it.
    unsafe { free(bearer) };
}

/// An error with this status and message.
///
/// # Safety
///
/// `message` can be read, and `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_reply_new(status: u16, message: Str, out: *mut *mut Reply) -> Status {
    let make = || {
        let status = StatusCode::from_u16(status)
            .map_err(|_| Failure::argument(format!("{status} is no HTTP status")))?;
        // SAFETY: the caller vouches for the message.
        let message = unsafe { message.bytes("the message")? };
        // A message in another encoding is still better than none.
        let message = String::from_utf8_lossy(message);
        Ok(Reply(ErrorReply::new(status, message).into()))
    };
    // SAFETY: the caller vouches for `out`.
    guard(|| unsafe { put_boxed(out, make) })
}

/// The HTTP status; 0 of NULL.
///
/// # Safety
///
/// `reply` is null or a reply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_reply_status(reply: *const Reply) -> u16 {
    // SAFETY: the caller vouches for the reply.
    answer(0, || unsafe { shared("the reply", reply) }.map_or(0, |reply| reply.0.status().as_u16()))
}

/// The header at this place; false behind the last one.
///
/// # Safety
///
/// `reply` is null or a reply, and `name` and `value` are null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_reply_header(
    reply: *const Reply,
    place: usize,
    name: *mut Str,
    value: *mut Str,
) -> bool {
    answer(false, || {
        // SAFETY: the caller vouches for the reply.
        let Ok(reply) = (unsafe { shared("the reply", reply) }) else { return false };
        let Some((key, text)) = reply.0.headers().iter().nth(place) else { return false };
        // SAFETY: the caller vouches for the places.
        let named = unsafe { put(name, || Ok(Str::of(key.as_str()))) };
        // SAFETY: as above.
        let put = named.and_then(|()| unsafe { put(value, || Ok(Str::of_bytes(text.as_bytes()))) });
        put.is_ok()
    })
}

/// The body.
///
/// # Safety
///
/// `reply` is null or a reply, and `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_reply_body(reply: *const Reply, out: *mut Str) -> Status {
    // SAFETY: the caller vouches for both.
    guard(|| unsafe { put(out, || Ok(Str::of(shared("the reply", reply)?.0.body()))) })
}

/// Frees a reply.
///
/// # Safety
///
/// `reply` is null, or a reply that is used nowhere and never again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_reply_free(reply: *mut Reply) {
    // SAFETY: the caller vouches for it.
    unsafe { free(reply) };
}
