//! `GET /view`: the viewer, a page and its files, as `web/` was built before this binary was.
//!
//! The page's policy lets it run its own code alone, and reach this loader and the one that its link
//! names. Its worker has a policy of its own, which comes with its file and so cannot know that one.

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use rdl_model::ErrorKind;
use url::{Url, form_urlencoded};

use super::App;
use crate::problem::Problem;

/// Names and contents; beside most lies the same as `.gz`.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/viewer.rs"));

const PAGE: &str = "index.html";
const NOT_BUILT: &str = include_str!("view/not_built.html");

/// The viewer.
///
/// Its link says what it shows: `ds.<name>=<value>` as everywhere; `ds.dataLoaderUrl` another loader
/// to ask; `at` the moment; `start`, `end` and `topics` a selection; `panel` what is open. All but the
/// first is the page's own business, and not looked at here.
#[utoipa::path(get, path = "/view", operation_id = "getView", tag = "recordings",
    params(
        ("ds.{name}" = Option<String>, Query,
         description = "A manifest parameter; any number of them"),
        ("at" = Option<String>, Query, description = "The moment, RFC 3339 or nanoseconds"),
    ),
    responses(
        (status = 200, description = "The page", content_type = "text/html"),
        (status = 404, description = "This binary was built without it; the page says how to get it",
         content_type = "text/html"),
    ))]
pub(super) async fn page(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let mut response = match found(PAGE, &headers) {
        Some(page) => page,
        None => (StatusCode::NOT_FOUND, NOT_BUILT).into_response(),
    };
    let loader = query.as_deref().and_then(other_loader).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; \
         img-src 'self' data: blob:; connect-src 'self' {loader}; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'self' {}",
        app.auth.frame_ancestors()
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    // A link may hold secrets, and the page links elsewhere.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// One of the page's files: its name changes with its content.
pub(super) async fn asset(
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let content_type = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "",
    };
    let file = if content_type.is_empty() { None } else { found(&name, &headers) };
    let mut response = file.ok_or_else(|| {
        let detail = "the viewer has no such file; it was replaced by another version: load the page \
                      again";
        Problem::new(ErrorKind::NotFound, detail)
    })?;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let policy = "default-src 'none'; script-src 'self'; connect-src 'self' http: https:";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    let for_ever = "public, max-age=31536000, immutable";
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(for_ever));
    Ok(response)
}

/// A file as this client can read it.
fn found(name: &str, headers: &HeaderMap) -> Option<Response> {
    let content = |name: &str| FILES.iter().find(|file| file.0 == name).map(|file| file.1);
    let plain = content(name)?;
    let takes_gzip = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| one.trim() == "gzip");
    let packed = takes_gzip.then(|| content(&format!("{name}.gz"))).flatten();
    let mut response = packed.unwrap_or(plain).into_response();
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if packed.is_some() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Some(response)
}

/// The origin of the loader that the link names: text that can stand in a policy.
fn other_loader(query: &str) -> Option<String> {
    let (_, url) =
        form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "ds.dataLoaderUrl")?;
    let url = Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let origin = url.origin().ascii_serialization();
    // Of what a host may have, this alone would mean something else there.
    (!origin.contains([';', ',', ' ', '*', '\''])).then_some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_the_policy_for_one_origin_alone() {
        let origin = |url: &str| other_loader(&format!("ds.a=1&ds.dataLoaderUrl={url}"));
        assert_eq!(origin("https://a.example/x?y").as_deref(), Some("https://a.example"));
        assert_eq!(origin("http://127.0.0.1:8080").as_deref(), Some("http://127.0.0.1:8080"));
        for bad in ["javascript:alert(1)", "data:,", "//a", "https://*", "https://a%3B%20b", ""] {
            assert_eq!(origin(bad), None, "{bad}");
        }
        assert_eq!(other_loader("ds.recording=a"), None);
    }
}
