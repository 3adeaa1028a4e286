//! Links to files where users have tokens that end.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdl_testkit::{FakeBackend, HttpAnswer, get, send};
use serde_json::{Value, json};

use crate::drive::{drive, path};
use crate::running::Running;

const LASTS: Duration = Duration::from_secs(4);

/// A token that says of itself when it ends, as most do.
fn token() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let claims = json!({ "sub": "ada", "exp": (now + LASTS).as_secs() }).to_string();
    format!("e30.{}.c2lnbmVk", URL_SAFE_NO_PAD.encode(claims))
}

async fn loader(backend: &FakeBackend, link_grant_ms: &str) -> Running {
    let environment = [("DISABLE_AUTH", "false"), ("LINK_GRANT_MS", link_grant_ms)];
    Running::start(&backend.manifest_endpoint(), &environment).await
}

async fn links(loader: &Running, token: &str, mut body: Value) -> Value {
    body["manifestParams"] = json!({ "recording": "drive" });
    let authorization = format!("Bearer {token}");
    let headers = [("content-type", "application/json"), ("authorization", authorization.as_str())];
    let url = format!("{}/v1/links", loader.process.url());
    let answer = send("POST", &url, &headers, body.to_string().as_bytes()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().unwrap()
}

async fn open(loader: &Running, links: &Value) -> HttpAnswer {
    let path = links["file"].as_str().unwrap();
    get(&format!("{}{path}", loader.process.url()), &[]).await.unwrap()
}

/// What is left of the token is over, for the loader and for the backend.
async fn run_out(backend: &FakeBackend, token: &str) {
    tokio::time::sleep(LASTS).await;
    backend.refuse(token, 401);
}

#[tokio::test]
async fn a_link_ends_with_the_token_of_its_user() {
    let (backend, _, _) = drive().await;
    let loader = loader(&backend, "0").await;
    let token = token();
    backend.allow(&token);
    let links = links(&loader, &token, json!({})).await;
    assert!(links["expires"].as_str().unwrap().starts_with("20"));
    let sealed = links["file"].as_str().unwrap().split('/').nth(3).unwrap();
    assert!(sealed.len() <= 4096);
    let bytes = URL_SAFE_NO_PAD.decode(sealed).unwrap();
    let holds = |what: &str| String::from_utf8_lossy(&bytes).contains(what);
    assert!(!holds("drive") && !holds(&token));
    let whole = open(&loader, &links).await;
    assert_eq!(whole.status, 200, "{}", whole.text());

    run_out(&backend, &token).await;
    let answer = open(&loader, &links).await;
    let problem = answer.json().unwrap();
    assert_eq!((answer.status, &problem["code"]), (401, &json!("token-expired")));
    assert!(problem["loginUrl"].is_string() && answer.complete, "{problem}");
    // Whoever has a token of their own opens it with that.
    backend.allow("own");
    let url = format!("{}{}", loader.process.url(), links["file"].as_str().unwrap());
    let answer = get(&url, &[("authorization", "Bearer own")]).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.body == whole.body);
}

#[tokio::test]
async fn a_link_goes_on_for_what_is_kept_where_the_operator_says_so() {
    let (backend, _, _) = drive().await;
    let loader = loader(&backend, "600000").await;
    let token = token();
    backend.allow(&token);
    let unpinned = links(&loader, &token, json!({})).await;
    let whole = open(&loader, &unpinned).await;
    assert_eq!(whole.status, 200, "{}", whole.text());
    let pinned = links(&loader, &token, json!({})).await;

    run_out(&backend, &token).await;
    let asked = backend.count("/manifest");
    let answer = open(&loader, &pinned).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.complete && answer.body == whole.body);
    assert_eq!(open(&loader, &unpinned).await.status, 401, "it was granted no version");
    assert_eq!(backend.count("/manifest"), asked, "nobody is asked");
    assert_eq!(backend.count(&path(0)), 1);
}
