//! `GET /openapi.json`: the API for programs.

use axum::Json;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "remote-data-loader",
        description = "Merges a recording from wherever its data lies into one MCAP stream.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        super::recording::get,
        super::stream::get,
        super::stream::post,
        super::explain::get,
        super::events::get,
        super::files::get,
        super::links::post,
        super::view::page,
        super::login::login,
        super::login::start,
        super::login::callback,
        super::session::get,
        super::session::post,
        super::session::refresh,
        super::session::logout,
        super::health::liveness,
        super::health::readiness,
        get,
    ),
    components(schemas(super::answers::EventAnswer)),
    modifiers(&Security, &HeadOfFiles),
    tags(
        (name = "recordings", description = "What viewers ask"),
        (name = "signing in", description = "Who asks"),
        (name = "operations", description = "What operators ask"),
    ),
)]
struct Api;

struct Security;

impl Modify for Security {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_default();
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("bearer", bearer);
        let cookie = ApiKeyValue::with_description(
            "__Host-rdl-session.0",
            "Set by `POST /v1/session`; `__Host-rdl-embedded.0` on pages of other sites. A long one \
             is split over further cookies",
        );
        let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(cookie));
        components.add_security_scheme("cookie", cookie);
    }
}

/// `GET` and `HEAD` of one path are written down together, and yet need an id each.
struct HeadOfFiles;

impl Modify for HeadOfFiles {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        for path in api.paths.paths.values_mut() {
            if let Some(head) = &mut path.head {
                head.operation_id = Some("headFile".to_owned());
            }
        }
    }
}

/// The whole API.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", operation_id = "getOpenapi", tag = "operations",
    responses((status = 200, description = "The API, as OpenAPI", content_type = "application/json")))]
pub(super) async fn get() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn docs_openapi_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
        let current = super::document().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &current).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == current, "docs/openapi.json is out of date: run `make docs`");
    }
}
