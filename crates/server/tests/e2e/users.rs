//! Users who may see a recording and users who may not, on the same kept data, in every endpoint.

use std::time::{Duration, Instant};

use rdl_testkit::{FakeBackend, HttpAnswer, get, send};
use serde_json::{Value, json};

use crate::drive::{drive, path};
use crate::fleet::slow_recording;
use crate::running::Running;

const QUERY: &str = "ds.recording=drive";
/// A right that is withdrawn is lost within this time, and what the machine takes for it.
const LOST_WITHIN: Duration = Duration::from_secs(30 + 3);

/// A loader that believes a manifest for as long as it may.
async fn loader(backend: &FakeBackend) -> Running {
    let environment = [("DISABLE_AUTH", "false"), ("MANIFEST_CACHE_TTL_MS", "30000")];
    Running::start(&backend.manifest_endpoint(), &environment).await
}

async fn ask(loader: &Running, path: &str, token: Option<&str>) -> HttpAnswer {
    let authorization = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = authorization.iter().map(|it| ("authorization", it.as_str())).collect();
    whole_or_nothing(get(&format!("{}{path}", loader.process.url()), &headers).await)
}

/// A right that is withdrawn at just that moment aborts an answer before its head has left: status 0.
fn whole_or_nothing(answer: anyhow::Result<HttpAnswer>) -> HttpAnswer {
    let nothing = HttpAnswer { status: 0, headers: Vec::new(), body: Vec::new(), complete: false };
    answer.unwrap_or(nothing)
}

async fn post(loader: &Running, path: &str, token: Option<&str>, body: &Value) -> HttpAnswer {
    let authorization = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(authorization.iter().map(|it| ("authorization", it.as_str())));
    let url = format!("{}{path}", loader.process.url());
    whole_or_nothing(send("POST", &url, &headers, body.to_string().as_bytes()).await)
}

/// The links of a user to the whole file and to a cut of it.
async fn links(loader: &Running, token: &str) -> [String; 2] {
    let whole = json!({ "manifestParams": { "recording": "drive" } });
    let mut cut = whole.clone();
    cut["topics"] = json!(["/group0/topic1"]);
    let mut links = Vec::new();
    for body in [whole, cut] {
        let answer = post(loader, "/v1/links", Some(token), &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        links.push(answer.json().unwrap()["file"].as_str().unwrap().to_owned());
    }
    links.try_into().unwrap()
}

/// Every way to the data, and what became of it. Files by these links.
async fn statuses(loader: &Running, token: Option<&str>, links: &[String]) -> Vec<(String, u16)> {
    let body = json!({ "manifestParams": { "recording": "drive" } });
    let mut statuses = Vec::new();
    for route in ["/v1/recording", "/v1/stream", "/v1/events"] {
        let answer = ask(loader, &format!("{route}?{QUERY}"), token).await;
        statuses.push((route.to_owned(), answer.status));
    }
    for route in ["/v1/stream", "/v1/links"] {
        statuses.push((format!("POST {route}"), post(loader, route, token, &body).await.status));
    }
    for (link, what) in links.iter().zip(["file", "cut"]) {
        statuses.push((what.to_owned(), ask(loader, link, token).await.status));
    }
    statuses
}

fn assert_all(statuses: &[(String, u16)], expected: u16) {
    assert!(statuses.iter().all(|(_, status)| *status == expected), "{expected}: {statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_for_those_alone_to_whom_the_backend_gives_it() {
    let (backend, _, _) = drive().await;
    backend.allow("ada");
    backend.refuse("eve", 403);
    let loader = loader(&backend).await;
    let ada = links(&loader, "ada").await;
    let loaded = statuses(&loader, Some("ada"), &ada).await;
    assert_all(&loaded, 200);
    let downloads = backend.count(&path(0));

    assert_all(&statuses(&loader, Some("eve"), &ada).await, 403);
    assert_all(&statuses(&loader, Some("mallory"), &ada).await, 401);
    assert_all(&statuses(&loader, None, &[]).await, 401);
    assert_all(&statuses(&loader, Some("ada"), &ada).await, 200);
    // Her links carry her authority, and nobody else's answer.
    for link in &ada {
        assert_eq!(ask(&loader, link, None).await.status, 200);
    }
    let refused = ask(&loader, &ada[0], Some("eve")).await;
    assert_eq!(refused.header("x-foxglove-error-message"), Some("not for you"));
    assert_eq!(backend.count(&path(0)), downloads, "it was all kept");

    backend.refuse("ada", 403);
    let withdrawn = Instant::now();
    loop {
        let mut statuses = statuses(&loader, Some("ada"), &ada).await;
        for link in &ada {
            statuses.push(("link".to_owned(), ask(&loader, link, None).await.status));
        }
        if statuses.iter().all(|(_, status)| *status == 403) {
            break;
        }
        assert!(withdrawn.elapsed() < LOST_WITHIN, "{statuses:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_lasts_ends_when_its_users_right_does() {
    // Some minutes long.
    let (backend, truth) = slow_recording(2, 200).await;
    backend.allow("ada");
    let loader = loader(&backend).await;
    let (stream, events) =
        (format!("/v1/stream?{QUERY}"), format!("/v1/events?{QUERY}&prefetch=1"));
    let (stream, events) = (ask(&loader, &stream, Some("ada")), ask(&loader, &events, Some("ada")));
    let withdrawn = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        backend.refuse("ada", 403);
        Instant::now()
    };
    let ended = async |answer| {
        let answer: HttpAnswer = answer.await;
        (answer, Instant::now())
    };
    let (withdrawn, (stream, stream_ended), (events, events_ended)) =
        tokio::join!(withdrawn, ended(stream), ended(events));
    for ended in [stream_ended, events_ended] {
        assert!(ended - withdrawn < LOST_WITHIN, "{:?}", ended - withdrawn);
    }
    assert_eq!(stream.status, 200, "{}", stream.text());
    assert!(!stream.complete && stream.body.len() < truth.len() * 2_000);
    let events = events.text();
    let last = events.split("\n\n").filter(|event| !event.trim().is_empty()).last().unwrap();
    assert!(last.contains("event: failed") && last.contains("not for you"), "{last}");
}
