use std::time::Duration;

use clap::Args;

use super::SettingsError;
use super::values::{HOUR_MS, parse_number};
use crate::lifecycle::ShutdownPlan;

/// What happens at the end, on SIGTERM.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Shutdown")]
pub(crate) struct ShutdownSettings {
    /// For how many milliseconds after SIGTERM new requests are still answered, while /readiness is
    /// false: so long balancers may take to notice. SIGINT (Ctrl-C) waits for nobody
    #[arg(long, env = "SHUTDOWN_DELAY_MS", default_value = "5000",
          value_parser = parse_number::<0, HOUR_MS>)]
    pub(crate) shutdown_delay_ms: u64,

    /// How many milliseconds after the signal the process has ended at the latest: what Kubernetes
    /// calls terminationGracePeriodSeconds. Answers may go on until 5 seconds before; what has not
    /// ended then is cut off, and named in the log
    #[arg(long, env = "SHUTDOWN_GRACE_MS", default_value = "30000",
          value_parser = parse_number::<0, HOUR_MS>)]
    pub(crate) shutdown_grace_ms: u64,
}

impl ShutdownSettings {
    /// Checks what clap cannot check alone.
    pub(crate) fn plan(&self) -> Result<ShutdownPlan, SettingsError> {
        let reserve = ShutdownPlan::RESERVE;
        let delay = Duration::from_millis(self.shutdown_delay_ms);
        let grace = Duration::from_millis(self.shutdown_grace_ms);
        if delay + reserve > grace {
            let message = format!(
                "is {}: accepts SHUTDOWN_DELAY_MS, which is {}, and {} more, or above",
                self.shutdown_grace_ms,
                self.shutdown_delay_ms,
                reserve.as_millis(),
            );
            return Err(SettingsError::new("SHUTDOWN_GRACE_MS", message));
        }
        Ok(ShutdownPlan { delay, grace })
    }
}
