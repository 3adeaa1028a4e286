//! How much of a channel's past a lookback keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdl_mcap_io::ChannelDef;

use super::{latched, video};
use crate::key::Key;

/// How many messages of a latched channel are kept at most.
pub(super) const LATCHED_MESSAGES: usize = 1000;
/// How many bytes of a latched channel are kept at most.
pub(super) const LATCHED_BYTES: usize = 16 << 20;
/// How far a video's key frame may lie back, in messages; the newest alone is kept of one without.
pub(super) const VIDEO_MESSAGES: usize = 4096;
/// How far a video's key frame may lie back, in bytes.
pub(super) const VIDEO_BYTES: usize = 64 << 20;

/// What is kept of one channel. Whatever the order in which messages are added, the outcome is
/// the same as if they came newest first, until there is [enough](Kept::lacks).
#[derive(Debug)]
pub(super) struct Kept {
    def: Arc<ChannelDef>,
    policy: Policy,
    /// The size of each message kept.
    messages: BTreeMap<Key, usize>,
    bytes: usize,
    /// The key frame that a video starts at.
    key_frame: Option<Key>,
    /// Nothing at or before this key is needed.
    enough: Option<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    /// The newest message.
    Newest,
    /// All, the newest up to a bound: several publishers share the channel.
    Latched,
    /// The newest and all before it, back to a key frame.
    Video,
}

impl Kept {
    pub(super) fn new(def: Arc<ChannelDef>) -> Kept {
        let policy = if latched::is_latched(&def) {
            Policy::Latched
        } else if video::is_video(&def) {
            Policy::Video
        } else {
            Policy::Newest
        };
        Kept { def, policy, messages: BTreeMap::new(), bytes: 0, key_frame: None, enough: None }
    }

    pub(super) fn is_of(&self, def: &Arc<ChannelDef>) -> bool {
        Arc::ptr_eq(&self.def, def) || self.def == *def
    }

    /// Whether a message with this key would be kept.
    pub(super) fn lacks(&self, key: Key) -> bool {
        self.enough.is_none_or(|enough| enough < key)
    }

    /// Whether it keeps every message, up to a bound.
    pub(super) fn keeps_all(&self) -> bool {
        self.policy == Policy::Latched
    }

    pub(super) fn newest(&self) -> Option<Key> {
        self.messages.last_key_value().map(|(key, _)| *key)
    }

    pub(super) fn add(&mut self, key: Key, data: &[u8]) {
        if !self.lacks(key) || self.messages.insert(key, data.len()).is_some() {
            return;
        }
        self.bytes = self.bytes.saturating_add(data.len());
        match self.policy {
            Policy::Newest => self.forget_before(key),
            Policy::Latched => {
                while self.is_over(LATCHED_MESSAGES, LATCHED_BYTES) && self.messages.len() > 1 {
                    self.forget_oldest();
                }
                if self.messages.len() >= LATCHED_MESSAGES || self.bytes >= LATCHED_BYTES {
                    self.enough = self.oldest();
                }
            }
            Policy::Video => {
                if video::is_key_frame(&self.def, data) {
                    self.forget_before(key);
                    self.key_frame = Some(key);
                }
                if self.is_over(VIDEO_MESSAGES, VIDEO_BYTES)
                    && let Some(newest) = self.newest()
                {
                    self.forget_before(newest);
                    self.key_frame = self.key_frame.filter(|key_frame| *key_frame == newest);
                }
            }
        }
    }

    pub(super) fn into_keys(mut self) -> impl Iterator<Item = Key> {
        if self.policy == Policy::Video
            && self.key_frame.is_none()
            && let Some(newest) = self.newest()
        {
            self.forget_before(newest);
        }
        self.messages.into_keys()
    }

    fn oldest(&self) -> Option<Key> {
        self.messages.first_key_value().map(|(key, _)| *key)
    }

    fn is_over(&self, messages: usize, bytes: usize) -> bool {
        self.messages.len() > messages || self.bytes > bytes
    }

    fn forget_before(&mut self, key: Key) {
        while self.oldest().is_some_and(|oldest| oldest < key) {
            self.forget_oldest();
        }
        self.enough = Some(key);
    }

    fn forget_oldest(&mut self) {
        if let Some((key, bytes)) = self.messages.pop_first() {
            self.bytes = self.bytes.saturating_sub(bytes);
            self.enough = self.enough.max(Some(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rdl_model::Nanos;

    use super::*;
    use crate::generator::{channel_def, config};

    fn key(time: usize) -> Key {
        Key { time: Nanos(time as u64), source: 0, chunk: 0, entry: 0 }
    }

    /// The times kept of messages of these sizes, one a nanosecond.
    fn kept(mut kept: Kept, messages: &[(usize, &[u8])]) -> Vec<u64> {
        for (time, data) in messages {
            kept.add(key(*time), data);
        }
        kept.into_keys().map(|key| key.time.0).collect()
    }

    #[test]
    fn latched_messages_are_bounded_in_bytes() {
        let data = vec![0; LATCHED_BYTES + 1];
        let latched = || Kept::new(channel_def(4));
        let half = &data[..LATCHED_BYTES / 2];
        assert_eq!(kept(latched(), &[(1, half), (2, half), (3, half)]), [2, 3]);
        assert_eq!(kept(latched(), &[(3, half), (1, half), (2, half)]), [2, 3]);
        assert_eq!(kept(latched(), &[(1, half), (2, &data)]), [2], "the newest, however large");
        assert_eq!(kept(latched(), &[(2, &data), (1, half)]), [2]);
    }

    #[test]
    fn a_video_is_kept_from_its_newest_key_frame_on() {
        let (frame, idr) = (video::tests::h264(1), video::tests::h264(5));
        let video = || Kept::new(video::tests::channel("protobuf", "foxglove.CompressedVideo"));
        let frames = [(1, &frame[..]), (2, &idr), (3, &frame), (4, &idr), (5, &frame), (6, &frame)];
        assert_eq!(kept(video(), &frames), [4, 5, 6]);
        assert_eq!(kept(video(), &frames[..3]), [2, 3]);
        assert_eq!(kept(video(), &frames[4..]), [6], "without a key frame the newest alone");
        let many: Vec<_> = (1..VIDEO_MESSAGES + 3).map(|time| (time, &frame[..])).collect();
        let too_far_back: Vec<_> = [(0, &idr[..])].into_iter().chain(many.clone()).collect();
        assert_eq!(kept(video(), &too_far_back), [VIDEO_MESSAGES as u64 + 2]);
        let newest_first: Vec<_> = too_far_back.into_iter().rev().collect();
        assert_eq!(kept(video(), &newest_first), [VIDEO_MESSAGES as u64 + 2]);
    }

    proptest! {
        #![proptest_config(config(200))]

        #[test]
        fn the_order_of_adding_does_not_matter(
            (forth, shuffled, channel) in
                (prop::collection::vec(0..3usize, 1..30), 0..2usize).prop_flat_map(|(kinds, video)| {
                    let frames: Vec<_> = kinds.into_iter().enumerate().collect();
                    (Just(frames.clone()), Just(frames).prop_shuffle(), Just(video))
                })
        ) {
            let frames = [video::tests::h264(1), video::tests::h264(5), video::tests::h264(7)];
            let def = [channel_def(4), video::tests::channel("protobuf", "foxglove.CompressedVideo")];
            let data = |messages: &[(usize, usize)]| {
                let of = |(time, kind): &(usize, usize)| (*time, frames[*kind].as_slice());
                kept(Kept::new(def[channel].clone()), &messages.iter().map(of).collect::<Vec<_>>())
            };
            prop_assert_eq!(data(&forth), data(&shuffled));
        }
    }
}
