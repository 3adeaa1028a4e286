//! Everything that is answered without a data backend, through the whole router.

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode};
use rdl_engine::{EngineConfig, FetchConfig, StoreConfig};
use tower::ServiceExt as _;

use super::*;
use crate::problem::ProblemBody;
use crate::settings::AuthConfig;

mod browser;
mod provider;
mod sessions;
mod signing_in;

struct Service {
    router: Router,
    app: App,
    _folder: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Service {
    async fn start(disable_auth: bool) -> Service {
        let auth = AuthConfig { is_disabled: disable_auth, ..AuthConfig::disabled() };
        Service::with(auth).await
    }

    async fn with(auth: AuthConfig) -> Service {
        let folder = tempfile::tempdir().unwrap();
        // Nobody listens there: whoever asks the backend gets a 502.
        let mut fetch = FetchConfig::new("http://127.0.0.1:1/manifest".parse().unwrap());
        fetch.allow_http_sources = true;
        fetch.use_system_proxy = false;
        fetch.manifest_retry_for = Duration::ZERO;
        let mut config = EngineConfig::new(fetch);
        config.store =
            StoreConfig { folder: Some(folder.path().to_owned()), bucket: None, max_bytes: None };
        let settings = ServerSettings {
            address: "127.0.0.1:0".parse().unwrap(),
            disable_auth: auth.is_disabled,
            file_wait_ms: 1000,
            cors_allowed_origins: vec!["https://app.example.com".parse().unwrap()],
        };
        let auth = AuthConfig { allowed_origins: settings.cors_allowed_origins.clone(), ..auth };
        let engine = Engine::start(config).await.unwrap();
        let app = App::new(engine, Auth::new(auth).unwrap(), &settings);
        Service { router: router(app.clone(), &settings), app, _folder: folder }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: to_bytes(response.into_body(), 1 << 24).await.unwrap().to_vec(),
        }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask(Method::GET, path, headers, "").await
    }
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn problem(&self) -> ProblemBody {
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem: ProblemBody = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, self.status.as_u16());
        problem
    }
}

const ROUTES: [&str; 3] = ["/v1/recording", "/v1/stream", "/v1/events"];
/// The file of a recording without parameters.
const FILE: &str = "/v1/files/eyJwIjpbXX0/any.mcap";

#[tokio::test]
async fn without_a_token_nothing_is_told() {
    let service = Service::start(false).await;
    for route in ROUTES.into_iter().chain([FILE]) {
        for headers in [&[][..], &[("authorization", "Basic dXNlcjpwYXNz")]] {
            let answer = service.get(route, headers).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{route}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            let problem = answer.problem();
            assert_eq!(problem.code, "unauthorized");
            assert_eq!(problem.login_url.as_deref(), Some("/login"));
        }
    }
    for route in ["/v1/stream", "/v1/links"] {
        let answer = service.ask(Method::POST, route, &[], "{}").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{route}");
    }
}

#[tokio::test]
async fn a_backend_that_is_away_is_a_502() {
    let service = Service::start(false).await;
    let json = ("content-type", "application/json");
    let token = ("authorization", "Bearer secret-token");
    for route in ROUTES {
        let answer = service.get(&format!("{route}?ds.recording=secret-name"), &[token]).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{route}");
        let detail = answer.problem().detail;
        assert!(detail.contains("127.0.0.1:1/manifest"), "{detail}");
        assert!(!detail.contains("secret"), "{detail}");
    }
    for route in ["/v1/stream", "/v1/links"] {
        let answer = service.ask(Method::POST, route, &[json, token], "{}").await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{route}");
    }
    for method in [Method::GET, Method::HEAD] {
        let answer = service.ask(method, FILE, &[token, ("range", "bytes=0-7")], "").await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    }
}

#[tokio::test]
async fn a_wrong_request_is_a_400_that_says_why() {
    let service = Service::start(true).await;
    for (path, expected) in [
        ("/v1/recording?recording=a", "unknown query parameter `recording`"),
        ("/v1/recording?topics=/a", "unknown query parameter `topics`"),
        ("/v1/stream?topic=/a", "ds.<name>, topics, start, end"),
        ("/v1/stream?start=2&end=1", "lies after"),
        ("/v1/events?prefetch=please", "`prefetch`"),
    ] {
        let answer = service.get(path, &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        let detail = answer.problem().detail;
        assert!(detail.contains(expected), "{path}: {detail}");
    }
}

#[tokio::test]
async fn a_wrong_post_is_told_why() {
    let service = Service::start(true).await;
    let json = ("content-type", "application/json; charset=utf-8");
    let long = format!("{{\"topics\": [\"{}\"]}}", "x".repeat(3 << 20));
    for (path, headers, body, status, expected) in [
        ("/v1/stream", &[json][..], "{", 400, "the body is wrong"),
        ("/v1/stream", &[], "{}", 400, "application/json"),
        ("/v1/stream?ds.a=1", &[json], "{}", 400, "in the body"),
        ("/v1/stream", &[json], &long, 413, "2 MB"),
        ("/v1/stream", &[json], r#"{"start": 2, "end": 1}"#, 400, "lies after"),
        ("/v1/links", &[json], r#"{"start": 2, "end": 1}"#, 400, "lies after"),
        ("/v1/links", &[json], r#"{"partial": true}"#, 400, "`partial`"),
        ("/v1/links", &[], "{}", 400, "application/json"),
    ] {
        let answer = service.ask(Method::POST, path, headers, body).await;
        assert_eq!(answer.status.as_u16(), status);
        let detail = answer.problem().detail;
        assert!(detail.contains(expected), "{detail}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let service = Service::start(true).await;
    let answer = service.get("/v2/stream", &[]).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.problem().code, "not-found");
    let answer = service.ask(Method::DELETE, "/v1/recording", &[], "").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.problem().code, "method-not-allowed");
    assert!(answer.header("allow").unwrap().contains("GET"));
}

#[tokio::test]
async fn health_routes_have_no_cors() {
    let service = Service::start(true).await;
    let origin = ("origin", "https://anywhere.example.com");
    for route in ["/liveness", "/readiness"] {
        let answer = service.get(route, &[origin]).await;
        assert_eq!(answer.status, StatusCode::OK, "{route}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{route}");
    }
    service.app.lifecycle.draining.cancel();
    assert_eq!(service.get("/liveness", &[]).await.status, StatusCode::OK);
    let answer = service.get("/readiness", &[]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.header("retry-after").is_some());
    assert!(answer.problem().detail.contains("shutting down"));
}

fn list(answer: &Answer, name: &str) -> Vec<String> {
    let mut list: Vec<String> =
        answer.header(name).unwrap().split(',').map(|item| item.trim().to_lowercase()).collect();
    list.sort();
    list
}

const EXPOSED: [&str; 7] = [
    "accept-ranges",
    "content-length",
    "content-range",
    "etag",
    "retry-after",
    "x-foxglove-error-message",
    "x-request-id",
];

#[tokio::test]
async fn without_auth_any_page_may_ask() {
    let service = Service::start(true).await;
    let answer = service.get("/v1/recording?bad=1", &[("origin", "https://any.example")]).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    assert_eq!(list(&answer, "access-control-expose-headers"), EXPOSED);
}

#[tokio::test]
async fn with_auth_only_the_allowed_pages_may_ask() {
    let service = Service::start(false).await;
    let allowed = ("origin", "https://app.example.com");
    let answer = service.get("/v1/recording", &[allowed]).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some(allowed.1));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(list(&answer, "access-control-expose-headers"), EXPOSED);
    assert!(answer.header("vary").unwrap().to_lowercase().contains("origin"));
    for other in ["https://evil.example.com", "http://app.example.com", "null"] {
        let answer = service.get("/v1/recording", &[("origin", other)]).await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{other}");
        assert_eq!(answer.header("access-control-allow-credentials"), None, "{other}");
    }
}

#[tokio::test]
async fn a_preflight_needs_no_token() {
    let service = Service::start(false).await;
    let headers = [
        ("origin", "https://app.example.com"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,range"),
    ];
    for route in ROUTES.into_iter().chain([FILE, "/v1/links"]) {
        let answer = service.ask(Method::OPTIONS, route, &headers, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{route}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(headers[0].1));
        let allowed = list(&answer, "access-control-allow-headers");
        assert_eq!(allowed, ["authorization", "content-type", "range"]);
        let methods = list(&answer, "access-control-allow-methods");
        assert!(methods.contains(&"post".to_owned()) && methods.contains(&"get".to_owned()));
    }
}

#[tokio::test]
async fn the_api_describes_itself() {
    let service = Service::start(false).await;
    let answer = service.get("/openapi.json", &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    let api: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let others = ["/v1/files/{token}/{name}", "/v1/links", "/liveness", "/readiness"];
    let auth = ["/login", "/oauth/start", "/oauth/callback", "/v1/session", "/v1/session/refresh"];
    let all = ROUTES.iter().chain(&others).chain(&auth).chain(&["/logout", "/openapi.json"]);
    for route in all {
        assert!(api["paths"][route].is_object(), "{route}");
    }
}

#[tokio::test]
async fn the_viewer_may_run_its_own_code_alone() {
    let service = Service::start(true).await;
    let answer = service.get("/view?ds.dataLoaderUrl=https://other.example/x", &[]).await;
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; worker-src 'self'"));
    assert!(policy.contains("connect-src 'self' https://other.example;"), "{policy}");
    assert_eq!(answer.headers["cache-control"], "no-store");
    let html = String::from_utf8(answer.body).unwrap();
    // What there is to be had depends on whether `web/` was built.
    match answer.status {
        StatusCode::OK => {
            let (_, rest) = html.split_once("./view/assets/").unwrap();
            let name = rest.split('"').next().unwrap();
            for encoding in ["gzip", "identity"] {
                let path = format!("/view/assets/{name}");
                let file = service.get(&path, &[("accept-encoding", encoding)]).await;
                assert_eq!(file.status, StatusCode::OK);
                assert_eq!(file.headers.contains_key("content-encoding"), encoding == "gzip");
                assert!(file.headers["cache-control"].to_str().unwrap().contains("immutable"));
                assert!(file.headers.contains_key("content-security-policy"));
            }
        }
        status => {
            assert_eq!(status, StatusCode::NOT_FOUND);
            assert!(html.contains("make viewer-files"), "{html}");
        }
    }
    for name in ["no.js", "index.html", ".keep", "x.js.gz"] {
        let answer = service.get(&format!("/view/assets/{name}"), &[]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{name}");
    }
}
