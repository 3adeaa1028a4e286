//! Channel sets.

use std::ops::Bound;

use remote_data_loader_backend::{Channel, ChannelSet, Nanos};

use crate::manifest::Source;
use crate::memory::{Pair, Str, exclusive, free, map, put, put_boxed, shared};
use crate::status::{Status, answer, guard};
use crate::types::Type;

/// `rdl_channels`: the channels of a source.
pub struct Channels(pub(crate) ChannelSet);

/// No channels.
///
/// # Safety
///
/// `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_channels_new(out: *mut *mut Channels) -> Status {
    // SAFETY: the caller vouches for `out`.
    guard(|| unsafe { put_boxed(out, || Ok(Channels(ChannelSet::new()))) })
}

/// Declares a topic.
///
/// # Safety
///
/// `channels` and `kind` are null or what they are called, nobody else uses `channels` meanwhile,
/// what is borrowed can be read, and `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_channels_add(
    channels: *mut Channels,
    topic: Str,
    kind: *const Type,
    metadata: *const Pair,
    metadata_count: usize,
    out: *mut u16,
) -> Status {
    let add = || {
        // SAFETY: the caller vouches for the set.
        let channels = unsafe { exclusive("the channel set", channels)? };
        // SAFETY: the caller vouches for the type.
        let kind = unsafe { shared("the type", kind)? }.0.clone();
        // SAFETY: the caller vouches for what is borrowed.
        let topic = unsafe { topic.text("the topic")? };
        // SAFETY: as above.
        let metadata = unsafe { map("the channel's metadata", metadata, metadata_count)? };
        Ok(channels.0.add_with_metadata(topic, kind, metadata)?.id())
    };
    // SAFETY: the caller vouches for `out`.
    guard(|| unsafe { put(out, add) })
}

/// The first channel that was declared for a topic; 0 where there is none.
///
/// # Safety
///
/// `channels` is null or a channel set, `topic` can be read, and `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_channels_find(
    channels: *const Channels,
    topic: Str,
    out: *mut u16,
) -> Status {
    let find = || {
        // SAFETY: the caller vouches for the set.
        let channels = unsafe { shared("the channel set", channels)? };
        // SAFETY: the caller vouches for the topic.
        let topic = unsafe { topic.text("the topic")? };
        // The loader's canonical ids are never 0.
        Ok(channels.0.channel(topic).map_or(0, Channel::id))
    };
    // SAFETY: the caller vouches for `out`.
    guard(|| unsafe { put(out, find) })
}

/// How many channels there are; none in NULL.
///
/// # Safety
///
/// `channels` is null or a channel set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_channels_count(channels: *const Channels) -> usize {
    // SAFETY: the caller vouches for the set.
    answer(0, || unsafe { shared("the channel set", channels) }.map_or(0, |set| set.0.len()))
}

/// A streamed source with these channels.
///
/// # Safety
///
/// `channels` is null or a channel set, the times are null or can be read as what is borrowed can,
/// and `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_channels_source(
    channels: *const Channels,
    url: Str,
    start: *const u64,
    end: *const u64,
    id: Str,
    out: *mut *mut Source,
) -> Status {
    let bound = |what, time: *const u64| {
        if time.is_null() {
            return Ok(Bound::Unbounded);
        }
        // SAFETY: the caller vouches for the times.
        unsafe { shared(what, time) }.map(|time| Bound::Included(Nanos(*time)))
    };
    let make = || {
        // SAFETY: the caller vouches for the set.
        let channels = unsafe { shared("the channel set", channels)? };
        // SAFETY: the caller vouches for what is borrowed.
        let url = unsafe { url.text("the URL")? };
        // SAFETY: as above.
        let id = unsafe { id.optional("the id")? };
        let times = (bound("the start", start)?, bound("the end", end)?);
        let mut source = channels.0.source(url, times);
        source.id = id.map(str::to_owned);
        Ok(Source::new(&source))
    };
    // SAFETY: the caller vouches for `out`.
    guard(|| unsafe { put_boxed(out, make) })
}

/// Frees a channel set; bodies that were begun with it keep what they need.
///
/// # Safety
///
/// `channels` is null, or a channel set that is used nowhere and never again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_channels_free(channels: *mut Channels) {
    // SAFETY: the caller vouches for it.
    unsafe { free(channels) };
}
