//! Every source that the process knows of.
//!
//! A source that nobody waits for and no response reads is *idle*. What is known of it is kept as
//! long as the indexes of all idle sources fit their bound, by last use; after that it is read from
//! the store again, or indexed again. Only a source that is forgotten can leave the disk.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rdl_model::SourceKey;
use tokio::time::Instant;

use crate::SourceKind;
use crate::source::Source;

/// The sources of one engine.
#[derive(Default)]
pub(crate) struct Registry {
    sources: Mutex<HashMap<SourceKey, Entry>>,
}

struct Entry {
    source: Arc<Source>,
    used: Instant,
}

impl Registry {
    /// The source with this key.
    pub(crate) fn get(&self, key: SourceKey, name: &str, kind: SourceKind) -> Arc<Source> {
        let mut sources = self.sources.lock();
        let entry = sources.entry(key).or_insert_with(|| Entry {
            source: Arc::new(Source::new(key, name, kind)),
            used: Instant::now(),
        });
        entry.used = Instant::now();
        entry.source.clone()
    }

    /// The source with this key, if it is known.
    pub(crate) fn find(&self, key: &SourceKey) -> Option<Arc<Source>> {
        self.sources.lock().get(key).map(|entry| entry.source.clone())
    }

    /// Forgets idle sources, those that were used longest ago first, until the indexes of the
    /// others take at most `bound_bytes`.
    pub(crate) fn tidy(&self, bound_bytes: usize) {
        let mut sources = self.sources.lock();
        let mut idle: Vec<(Instant, SourceKey)> = sources
            .iter()
            .filter(|(_, entry)| entry.source.is_idle())
            .map(|(key, entry)| (entry.used, *key))
            .collect();
        idle.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
        let mut kept_bytes = 0;
        for (_, key) in idle {
            let Some(entry) = sources.get(&key) else { continue };
            kept_bytes += entry.source.memory_bytes();
            // Recordings that are being answered may know it still: what it holds goes all the
            // same.
            if kept_bytes > bound_bytes
                && entry.source.forget()
                && Arc::strong_count(&entry.source) == 1
            {
                sources.remove(&key);
            }
        }
    }

    /// Forgets every source that no response reads, even if somebody waits for it: it has to be
    /// loaded again when it is reached.
    pub(crate) fn forget_unread(&self) {
        for entry in self.sources.lock().values() {
            entry.source.forget();
        }
    }

    /// Forgets every source.
    pub(crate) fn clear(&self) {
        self.sources.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> SourceKey {
        rdl_model::SourceKeyHasher::new().field([number]).finish()
    }

    #[tokio::test(start_paused = true)]
    async fn idle_sources_are_forgotten_by_last_use() {
        let registry = Registry::default();
        let first = registry.get(key(1), "first", SourceKind::Streamed);
        let read = first.current();
        for number in 2..=4 {
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
            registry.get(key(number), "idle", SourceKind::Streamed);
        }
        let two = 2 * registry.get(key(2), "idle", SourceKind::Streamed).memory_bytes();
        registry.tidy(two);
        let known: Vec<bool> =
            (1..=4).map(|number| registry.sources.lock().contains_key(&key(number))).collect();
        assert_eq!(known, [true, true, false, true], "the first is in use, the second was just");
        assert!(Arc::ptr_eq(&read, &first.current()));
        drop(read);
        registry.tidy(0);
        assert_eq!(registry.sources.lock().len(), 1, "somebody knows it still");
    }
}
