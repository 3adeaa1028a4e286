//! A digest over messages, with marks on the way.

use rdl_mcap_io::MessageView;
use twox_hash::xxhash3_128::Hasher;

/// How many marks are kept at most.
const MOST_MARKS: usize = 1024;
/// How many are kept of a body that was compared with itself, for others to be held against it.
const FEW_MARKS: usize = 64;

/// The digest after every so many messages. Two bodies with the same messages have the same marks,
/// whatever their chunks.
pub(crate) struct Marks {
    hasher: Hasher,
    messages: u64,
    /// A mark every so many messages.
    step: u64,
    marks: Vec<(u64, u128)>,
    last: (u64, u128),
    /// Something could not be read as messages; what comes after it is not compared.
    stopped: bool,
}

impl Default for Marks {
    fn default() -> Marks {
        let hasher = Hasher::new();
        let last = (0, hasher.finish_128());
        Marks { hasher, messages: 0, step: 1, marks: Vec::new(), last, stopped: false }
    }
}

/// How two bodies compare as far as both were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    /// The same messages, as many as this, and no others.
    Same(u64),
    /// The first messages are the same, as many as this; the others were not compared.
    Begin(u64),
    /// They differ after this many messages at the earliest, and after that many at the latest.
    Differ(u64, u64),
}

impl Marks {
    pub(super) fn message(&mut self, channel: u128, message: &MessageView<'_>) {
        if self.stopped {
            return;
        }
        self.hasher.write(&channel.to_le_bytes());
        self.hasher.write(&message.log_time.0.to_le_bytes());
        self.hasher.write(&message.publish_time.0.to_le_bytes());
        self.hasher.write(&message.sequence.to_le_bytes());
        self.hasher.write(&(message.data.len() as u64).to_le_bytes());
        self.hasher.write(message.data);
        self.messages += 1;
        if self.messages.is_multiple_of(self.step) {
            self.marks.push((self.messages, self.hasher.finish_128()));
            if self.marks.len() == MOST_MARKS {
                self.thin();
            }
        }
    }

    fn thin(&mut self) {
        self.step *= 2;
        let step = self.step;
        self.marks.retain(|(messages, _)| messages.is_multiple_of(step));
    }

    /// From here on nothing is compared: its bytes may differ where its messages do not.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Keeps few marks; how two bodies compare is then told less exactly.
    pub(crate) fn reduce(&mut self) {
        while self.marks.len() > FEW_MARKS {
            self.thin();
        }
        self.marks.shrink_to_fit();
    }

    pub(super) fn end(&mut self) {
        self.last = (self.messages, self.hasher.finish_128());
    }

    /// Compares two readings; `whole`: both came to their end, which then counts too.
    pub(crate) fn compare(&self, other: &Marks, whole: bool) -> Compared {
        let mut same = 0;
        for mine in &self.marks {
            let Ok(at) = other.marks.binary_search_by_key(&mine.0, |theirs| theirs.0) else {
                continue;
            };
            if other.marks[at].1 != mine.1 {
                return Compared::Differ(same, mine.0);
            }
            same = mine.0;
        }
        if !whole || self.stopped || other.stopped {
            return Compared::Begin(same);
        }
        if self.last != other.last {
            return Compared::Differ(same, self.last.0.min(other.last.0).max(same));
        }
        Compared::Same(self.last.0)
    }
}

impl std::fmt::Debug for Marks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Marks").field("messages", &self.messages).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rdl_model::Nanos;

    use super::*;

    fn marks(messages: u64, wrong: Option<u64>) -> Marks {
        let mut marks = Marks::default();
        for number in 0..messages {
            let sequence = if wrong == Some(number) { 1 } else { 0 };
            let time = Nanos(number);
            let data = b"data";
            marks.message(
                7,
                &MessageView { channel: 1, sequence, log_time: time, publish_time: time, data },
            );
        }
        marks.end();
        marks
    }

    #[test]
    fn readings_are_compared_as_far_as_both_came() {
        assert_eq!(marks(10, None).compare(&marks(10, None), true), Compared::Same(10));
        assert_eq!(marks(10, None).compare(&marks(7, None), false), Compared::Begin(7));
        assert_eq!(marks(10, None).compare(&marks(7, None), true), Compared::Differ(7, 7));
        assert_eq!(marks(10, None).compare(&marks(10, Some(4)), true), Compared::Differ(4, 5));
    }

    #[test]
    fn nothing_is_compared_after_what_could_not_be_read() {
        let stopped = |after: u64| {
            let mut marks = marks(after, None);
            marks.stop();
            marks.end();
            marks
        };
        assert_eq!(stopped(10).compare(&stopped(10), true), Compared::Begin(10));
        assert_eq!(stopped(10).compare(&marks(12, None), true), Compared::Begin(10));
    }

    #[test]
    fn few_marks_still_compare() {
        let mut few = marks(1000, None);
        few.reduce();
        assert!(few.marks.len() <= FEW_MARKS);
        assert_eq!(few.compare(&marks(1000, None), true), Compared::Same(1000));
        assert!(matches!(
            few.compare(&marks(1000, Some(500)), true),
            Compared::Differ(..=500, 501..)
        ));
    }

    #[test]
    fn long_bodies_keep_few_marks_and_still_tell_where() {
        let (long, wrong) = (marks(100_000, None), marks(100_000, Some(50_000)));
        assert!(long.marks.len() <= MOST_MARKS);
        let Compared::Differ(from, to) = long.compare(&wrong, true) else { panic!("they differ") };
        assert!(from <= 50_000 && to > 50_000 && to - from <= 256, "{from} {to}");
        assert_eq!(long.compare(&marks(100_000, None), true), Compared::Same(100_000));
    }
}
