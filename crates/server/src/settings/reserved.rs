//! Variables that existing deployments set and that have no effect in this version.

/// A variable that is accepted, whatever its value.
pub(crate) struct Reserved {
    /// Its name.
    pub(crate) variable: &'static str,
    /// What it is for.
    pub(crate) purpose: &'static str,
}

const fn reserved(variable: &'static str, purpose: &'static str) -> Reserved {
    Reserved { variable, purpose }
}

/// All of them, in the order of the documentation.
pub(super) const RESERVED: &[Reserved] = &[
    reserved("PROMETHEUS_ADDRESS", "metrics"),
    reserved("PROMETHEUS_METRICS_NAMESPACE", "metrics"),
    reserved("PROMETHEUS_METRICS_SUBSYSTEM", "metrics"),
    reserved("REMOTE_DATA_LOADER_VERSION", "metrics"),
];
