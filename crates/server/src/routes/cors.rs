//! Which pages may ask (the fetch standard's CORS protocol). Health routes lie outside.

use std::time::Duration;

use http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE,
    RETRY_AFTER,
};
use http::{HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::problem::USER_MESSAGE;
use crate::settings::ServerSettings;
use crate::telemetry::REQUEST_ID;

/// How long a browser may remember a preflight.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(3600);

/// Without auth any origin; with auth the configured ones, and those with credentials.
pub(super) fn layer(settings: &ServerSettings) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        .allow_headers([RANGE, AUTHORIZATION, CONTENT_TYPE])
        .expose_headers([
            ACCEPT_RANGES,
            CONTENT_LENGTH,
            CONTENT_RANGE,
            ETAG,
            RETRY_AFTER,
            USER_MESSAGE,
            REQUEST_ID,
        ])
        .max_age(PREFLIGHT_MAX_AGE);
    if settings.disable_auth {
        return layer.allow_origin(AllowOrigin::any());
    }
    let origins: Vec<HeaderValue> = settings
        .cors_allowed_origins
        .iter()
        .filter_map(|url| url.origin().ascii_serialization().parse().ok())
        .collect();
    let with_credentials = origins.clone();
    layer.allow_origin(origins).allow_credentials(tower_http::cors::AllowCredentials::predicate(
        move |origin: &HeaderValue, _: &_| with_credentials.contains(origin),
    ))
}
