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
    reserved("REQUEST_CACHE_PART_LIST_WRITE_MIN_INTERVAL_MS", "cache shared by several processes"),
    reserved("REQUEST_CACHE_MAX_INCOMPLETE_PART_LIST_AGE_MS", "cache shared by several processes"),
    reserved("REQUEST_CACHE_PART_LIST_TOUCH_INTERVAL_MS", "cache shared by several processes"),
    reserved("REQUEST_CACHE_SLOW_PART_LIST_UPDATE_THRESHOLD_MS", "metrics"),
    reserved("REQUEST_CACHE_SLOW_PART_UPLOAD_THRESHOLD_MS", "metrics"),
    reserved("REQUEST_CACHE_SLOW_BYTES_THRESHOLD_MS", "metrics"),
    reserved("STORAGE_AZURE_STORAGE_ACCOUNT_NAME", "cache in Azure"),
    reserved("STORAGE_AZURE_SERVICE_URL", "cache in Azure"),
    reserved("AZURE_TENANT_ID", "cache in Azure"),
    reserved("AZURE_CLIENT_ID", "cache in Azure"),
    reserved("AZURE_CLIENT_SECRET", "cache in Azure"),
    reserved("AWS_REGION", "cache in AWS"),
    reserved("S3_COMPATIBLE_ACCESS_KEY_ID", "cache in an S3-compatible store"),
    reserved("S3_COMPATIBLE_SECRET_ACCESS_KEY", "cache in an S3-compatible store"),
    reserved("S3_COMPATIBLE_SERVICE_REGION", "cache in an S3-compatible store"),
    reserved("S3_COMPATIBLE_SERVICE_URL", "cache in an S3-compatible store"),
    reserved("GOOGLE_APPLICATION_CREDENTIALS", "cache in Google Cloud"),
    reserved("OAUTH_CLIENT_ID", "login"),
    reserved("OAUTH_CLIENT_SECRET", "login"),
    reserved("OAUTH_AUTHORIZE_URL", "login"),
    reserved("OAUTH_TOKEN_URL", "login"),
    reserved("OAUTH_CALLBACK_URL", "login"),
    reserved("COOKIE_ENCRYPTION_KEY", "login"),
];
