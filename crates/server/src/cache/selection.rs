//! Which of the stored sources a purge removes.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use rdl_model::SourceKey;

use super::place::Stored;
use super::recording::RecordingPlan;
use super::report::id;

/// What a purge was told to remove.
pub(super) enum Selection {
    All,
    Those {
        /// Ids and keys.
        sources: Vec<String>,
        /// Its streamed sources. Without it and without `sources` any.
        recording: Option<Box<RecordingPlan>>,
        older_than: Option<Duration>,
    },
}

/// The same, once the data backend was asked.
pub(super) enum Resolved {
    All,
    Those {
        /// `None`: any.
        named: Option<Named>,
        older_than: Option<Duration>,
    },
}

/// Sources that were named.
pub(super) struct Named {
    ids: Vec<String>,
    keys: HashSet<SourceKey>,
}

/// Whether a source is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selected {
    /// Nobody wants it removed.
    No,
    /// It was selected, and is in use.
    Kept,
    Yes,
}

impl Selection {
    /// Asks the data backend, if a recording was named.
    pub(super) async fn resolve(self) -> anyhow::Result<Resolved> {
        let (sources, recording, older_than) = match self {
            Self::All => return Ok(Resolved::All),
            Self::Those { sources, recording, older_than } => (sources, recording, older_than),
        };
        let is_any = sources.is_empty() && recording.is_none();
        let keys = match recording {
            Some(recording) => recording.keys().await?,
            None => HashSet::new(),
        };
        let named = (!is_any).then_some(Named { ids: sources, keys });
        Ok(Resolved::Those { named, older_than })
    }
}

impl Resolved {
    /// Whether this source is removed.
    pub(super) fn of(&self, source: &Stored) -> Selected {
        let is_kept = match self {
            Self::All => source.is_loading,
            Self::Those { named, older_than } => {
                let since = source.completed_at.unwrap_or(source.used_at);
                let is_older = older_than.is_none_or(|least| is_older(since, least));
                if !is_older || named.as_ref().is_some_and(|named| !named.has(source)) {
                    return Selected::No;
                }
                source.is_in_use
            }
        };
        if is_kept { Selected::Kept } else { Selected::Yes }
    }
}

impl Named {
    fn has(&self, source: &Stored) -> bool {
        let (id, key) = (id(source), source.key.to_string());
        self.keys.contains(&source.key) || self.ids.iter().any(|name| *name == id || *name == key)
    }
}

fn is_older(since: SystemTime, least: Duration) -> bool {
    since.elapsed().is_ok_and(|age| age >= least)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn stored(name: &str, key: u8, age: Duration) -> Stored {
        let mut stored = Stored::example(SourceKey([key; 32]), SystemTime::now() - age);
        stored.name = Some(name.to_owned());
        stored
    }

    fn those(ids: &[&str], keys: &[u8], older_than: Option<Duration>) -> Resolved {
        let named = Named {
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            keys: keys.iter().map(|key| SourceKey([*key; 32])).collect(),
        };
        Resolved::Those { named: Some(named), older_than }
    }

    #[test]
    fn sources_are_named_by_id_by_key_and_by_recording() {
        let (a, b, c) = (stored("a", 1, DAY), stored("b", 2, DAY), stored("c", 3, DAY));
        let key = a.key.to_string();
        let by = those(&["b", &key], &[], None);
        assert_eq!(
            [&a, &b, &c].map(|source| by.of(source)),
            [Selected::Yes, Selected::Yes, Selected::No]
        );
        let by = those(&["b"], &[3, 9], None);
        assert_eq!(
            [&a, &b, &c].map(|source| by.of(source)),
            [Selected::No, Selected::Yes, Selected::Yes]
        );
        // A recording of which nothing is stored, or that has no sources, selects nothing.
        assert_eq!(those(&[], &[], None).of(&a), Selected::No);
    }

    #[test]
    fn an_age_narrows_what_was_named() {
        let (young, old) = (stored("a", 1, DAY), stored("b", 1, DAY * 9));
        for selection in [
            Resolved::Those { named: None, older_than: Some(DAY * 7) },
            those(&["a", "b"], &[], Some(DAY * 7)),
            those(&[], &[1], Some(DAY * 7)),
        ] {
            assert_eq!(selection.of(&young), Selected::No);
            assert_eq!(selection.of(&old), Selected::Yes);
        }
        // By the store's clock it was completed a day from now.
        let mut future = stored("c", 3, Duration::ZERO);
        future.completed_at = Some(SystemTime::now() + DAY);
        assert_eq!(those(&["c"], &[], Some(DAY)).of(&future), Selected::No);
    }

    #[test]
    fn what_is_loading_stays_and_what_is_read_goes_with_everything_alone() {
        let (mut loading, mut read) = (stored("a", 1, DAY), stored("b", 2, DAY));
        (loading.is_loading, loading.is_in_use, read.is_in_use) = (true, true, true);
        assert_eq!(Resolved::All.of(&loading), Selected::Kept);
        assert_eq!(Resolved::All.of(&read), Selected::Yes);
        let named = those(&["a", "b"], &[], None);
        assert_eq!([&loading, &read].map(|source| named.of(source)), [Selected::Kept; 2]);
    }
}
