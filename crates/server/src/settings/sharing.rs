use std::time::Duration;

use clap::Args;
use rdl_engine::SharingConfig;

use super::SettingsError;
use super::values::parse_number;

const STALE_AGE: &str = "REQUEST_CACHE_MAX_INCOMPLETE_PART_LIST_AGE_MS";
const TOUCH: &str = "REQUEST_CACHE_PART_LIST_TOUCH_INTERVAL_MS";
const WRITE: &str = "REQUEST_CACHE_PART_LIST_WRITE_MIN_INTERVAL_MS";

/// A day, in milliseconds.
const DAY_MS: u64 = 24 * 3_600_000;

/// How replicas tell each other of their loads through an object store.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Sharing the cache")]
pub(crate) struct SharingSettings {
    #[command(flatten)]
    pub(crate) stale: StaleSettings,

    /// A load says how far it is once in so many milliseconds at most
    #[arg(long, env = WRITE, default_value = "1000", value_parser = parse_number::<0, DAY_MS>)]
    pub(crate) request_cache_part_list_write_min_interval_ms: u64,

    /// A load that has nothing new says once in so many milliseconds that it goes on; below
    /// REQUEST_CACHE_MAX_INCOMPLETE_PART_LIST_AGE_MS
    #[arg(long, env = TOUCH, default_value = "5000", value_parser = parse_number::<1, DAY_MS>)]
    pub(crate) request_cache_part_list_touch_interval_ms: u64,

    /// A warning is logged when saying how far a load is takes longer than so many milliseconds
    #[arg(long, env = "REQUEST_CACHE_SLOW_PART_LIST_UPDATE_THRESHOLD_MS", default_value = "2000",
          value_parser = parse_number::<0, DAY_MS>)]
    pub(crate) request_cache_slow_part_list_update_threshold_ms: u64,

    /// A warning is logged when writing a part to the bucket takes longer than so many milliseconds
    #[arg(long, env = "REQUEST_CACHE_SLOW_PART_UPLOAD_THRESHOLD_MS", default_value = "10000",
          value_parser = parse_number::<0, DAY_MS>)]
    pub(crate) request_cache_slow_part_upload_threshold_ms: u64,

    /// A warning is logged when the load of another replica gives nothing new for longer than so
    /// many milliseconds
    #[arg(long, env = "REQUEST_CACHE_SLOW_BYTES_THRESHOLD_MS", default_value = "1000",
          value_parser = parse_number::<0, DAY_MS>)]
    pub(crate) request_cache_slow_bytes_threshold_ms: u64,
}

/// When the load of another process counts as dead.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Sharing the cache")]
pub(crate) struct StaleSettings {
    /// A load that has said nothing new for so many milliseconds is dead; another replica goes on
    #[arg(long, env = STALE_AGE, default_value = "20000", value_parser = parse_number::<1, DAY_MS>)]
    pub(crate) request_cache_max_incomplete_part_list_age_ms: u64,
}

impl StaleSettings {
    pub(crate) fn age(&self) -> Duration {
        Duration::from_millis(self.request_cache_max_incomplete_part_list_age_ms)
    }
}

impl SharingSettings {
    pub(super) fn sharing_config(&self) -> Result<SharingConfig, SettingsError> {
        let stale_ms = self.stale.request_cache_max_incomplete_part_list_age_ms;
        for (variable, interval_ms) in [
            (TOUCH, self.request_cache_part_list_touch_interval_ms),
            (WRITE, self.request_cache_part_list_write_min_interval_ms),
        ] {
            if interval_ms >= stale_ms {
                let message = format!(
                    "is {interval_ms}; it has to be below {STALE_AGE} ({stale_ms}), or loads that \
                     go on count as dead"
                );
                return Err(SettingsError::new(variable, message));
            }
        }
        let ms = Duration::from_millis;
        Ok(SharingConfig {
            write_min_interval: ms(self.request_cache_part_list_write_min_interval_ms),
            touch_interval: ms(self.request_cache_part_list_touch_interval_ms),
            stale_age: self.stale.age(),
            slow_update: ms(self.request_cache_slow_part_list_update_threshold_ms),
            slow_upload: ms(self.request_cache_slow_part_upload_threshold_ms),
            slow_bytes: ms(self.request_cache_slow_bytes_threshold_ms),
        })
    }
}
