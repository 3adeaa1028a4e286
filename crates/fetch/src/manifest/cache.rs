use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::{AskedManifest, Request};
use crate::FetchConfig;

/// Nothing is served to a user whose own token did not get it within this time.
const LONGEST_TTL: Duration = Duration::from_secs(30);

/// Manifests by request, the least recently used leaving first. Bounded in entries and bytes.
pub(super) struct Cache {
    ttl: Duration,
    max_entries: usize,
    max_bytes: u64,
    entries: HashMap<Request, Cached>,
    /// The requests by their last use.
    by_use: BTreeMap<u64, Request>,
    uses: u64,
    bytes: u64,
}

struct Cached {
    manifest: AskedManifest,
    bytes: u64,
    used: u64,
}

impl Cache {
    pub(super) fn new(config: &FetchConfig) -> Cache {
        Cache {
            ttl: config.manifest_cache_ttl.min(LONGEST_TTL),
            max_entries: config.manifest_cache_capacity,
            max_bytes: config.manifest_cache_max_bytes,
            entries: HashMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
            bytes: 0,
        }
    }

    pub(super) fn get(&mut self, request: &Request) -> Option<AskedManifest> {
        let cached = self.entries.get_mut(request)?;
        if cached.manifest.asked.elapsed() >= self.ttl {
            self.remove(request);
            return None;
        }
        self.uses += 1;
        self.by_use.remove(&cached.used);
        self.by_use.insert(self.uses, request.clone());
        cached.used = self.uses;
        Some(cached.manifest.clone())
    }

    pub(super) fn put(&mut self, request: Request, manifest: AskedManifest, bytes: u64) {
        self.remove(&request);
        if self.max_entries == 0 || bytes > self.max_bytes || manifest.asked.elapsed() >= self.ttl {
            return;
        }
        while self.entries.len() >= self.max_entries || self.bytes + bytes > self.max_bytes {
            let Some(oldest) = self.by_use.values().next().cloned() else { return };
            self.remove(&oldest);
        }
        self.uses += 1;
        self.bytes += bytes;
        self.by_use.insert(self.uses, request.clone());
        self.entries.insert(request, Cached { manifest, bytes, used: self.uses });
    }

    pub(super) fn remove(&mut self, request: &Request) {
        if let Some(cached) = self.entries.remove(request) {
            self.by_use.remove(&cached.used);
            self.bytes -= cached.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rdl_wire::Manifest;
    use tokio::time::Instant;

    use super::*;
    use crate::ManifestParams;

    fn cache(ttl: u64, max_entries: usize, max_bytes: u64) -> Cache {
        let mut config = FetchConfig::new("https://h.example/manifest".parse().unwrap());
        config.manifest_cache_ttl = Duration::from_secs(ttl);
        config.manifest_cache_capacity = max_entries;
        config.manifest_cache_max_bytes = max_bytes;
        Cache::new(&config)
    }

    fn request(name: &str) -> Request {
        Request { params: ManifestParams(vec![("r".into(), name.into())]), token: None }
    }

    fn put(cache: &mut Cache, name: &str, bytes: u64) {
        let manifest = Manifest { name: Some(name.into()), sources: vec![], problems: vec![] };
        let manifest = AskedManifest { manifest: Arc::new(manifest), asked: Instant::now() };
        cache.put(request(name), manifest, bytes);
    }

    fn held(cache: &mut Cache, names: &[&str]) -> Vec<bool> {
        names.iter().map(|name| cache.get(&request(name)).is_some()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn entries_leave_by_age_use_and_size() {
        let mut cache = cache(10, 2, 100);
        put(&mut cache, "a", 10);
        put(&mut cache, "b", 10);
        assert_eq!(held(&mut cache, &["a"]), [true]);
        put(&mut cache, "c", 10);
        assert_eq!(held(&mut cache, &["a", "b", "c"]), [true, false, true]);
        put(&mut cache, "d", 95);
        assert_eq!(held(&mut cache, &["a", "c", "d"]), [false, false, true]);
        put(&mut cache, "e", 101);
        assert_eq!(held(&mut cache, &["d", "e"]), [true, false]);
        put(&mut cache, "d", 5);
        assert_eq!(cache.bytes, 5);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(held(&mut cache, &["d"]), [false]);
        assert_eq!((cache.bytes, cache.by_use.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn zero_is_off_and_half_a_minute_is_the_longest() {
        let mut off = cache(0, 10, 100);
        put(&mut off, "a", 1);
        assert_eq!(held(&mut off, &["a"]), [false]);
        let mut long = cache(3600, 10, 100);
        put(&mut long, "a", 1);
        tokio::time::advance(Duration::from_secs(29)).await;
        assert_eq!(held(&mut long, &["a"]), [true]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(held(&mut long, &["a"]), [false]);
    }
}
