//! Sessions: how long they last, how they go on, and how they end.

use std::collections::HashMap;

use serde_json::json;

use super::browser::{Browser, KEY, OTHER_KEY, OWN, VIEWER, config};
use super::provider::{Mood, Provider};
use super::*;

#[tokio::test]
async fn a_page_in_a_frame_of_another_site_may_say_so() {
    let provider = Provider::start().await;
    let service = Service::with(config(&provider, KEY)).await;
    let mut browser = Browser::at(&service, OWN);
    let code = browser.code(&provider, "return_to=/login").await;
    let answer = browser.post("/v1/session", &json!({ "code": code, "embedded": true })).await;
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-rdl-embedded.0=") && cookie.contains("Partitioned"));
    let again = browser.post("/v1/session/refresh", &json!({})).await;
    let cookie = again.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-rdl-embedded.0=") && cookie.contains("Partitioned"));
}

#[tokio::test]
async fn everyone_who_refreshes_a_session_gets_the_same_answer() {
    let provider = Provider::start().await;
    let service = Service::with(config(&provider, KEY)).await;
    let mut browser = Browser::at(&service, VIEWER);
    browser.sign_in(&provider).await;
    let before = browser.cookies.clone();
    provider.said.lock().mood = Mood::Slow;
    let refresh = async || {
        let mut tab = Browser { service: &service, cookies: before.clone(), origin: VIEWER };
        let answer = tab.post("/v1/session/refresh", &json!({})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        tab
    };
    // One tab that is closed while it waits, two at once, and one that asks again.
    let closed = tokio::time::timeout(Duration::from_millis(50), refresh()).await;
    assert!(closed.is_err());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (mut one, two) = tokio::join!(refresh(), refresh());
    let late = refresh().await;
    assert_eq!(provider.said.lock().refreshes, 1);
    assert!(one.session() != before);
    // And one that has the new cookie already.
    one.post("/v1/session/refresh", &json!({})).await;
    assert_eq!(provider.said.lock().refreshes, 1);
    provider.said.lock().mood = Mood::Well;
    for mut tab in [one, two, late] {
        assert!(tab.is_signed_in().await);
    }
}

#[tokio::test]
async fn an_expired_session_is_told_apart_and_goes_on_when_it_is_refreshed() {
    let provider = Provider::start().await;
    provider.said.lock().expires_in = Some(0);
    let service = Service::with(config(&provider, KEY)).await;
    let mut browser = Browser::at(&service, VIEWER);
    browser.sign_in(&provider).await;
    for route in ROUTES {
        let answer = browser.get(route).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{route}");
        let problem = answer.problem();
        assert_eq!(problem.code, "token-expired");
        assert_eq!(problem.login_url.as_deref(), Some("https://loader.example.com/login"));
    }
    let session = browser.get("/v1/session").await.json();
    assert_eq!((&session["signedIn"], &session["refreshable"]), (&json!(false), &json!(true)));
    provider.said.lock().expires_in = Some(60);
    assert_eq!(browser.post("/v1/session/refresh", &json!({})).await.status, StatusCode::OK);
    assert!(browser.is_signed_in().await);
    assert_eq!(browser.get("/v1/recording").await.status, StatusCode::BAD_GATEWAY);
    // A token of one's own counts before the cookie.
    let own = [("authorization", "Bearer own")];
    assert_eq!(service.get("/v1/recording", &own).await.status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_session_that_has_ended_is_a_401_and_its_cookie_goes() {
    let provider = Provider::start().await;
    let service = Service::with(config(&provider, KEY)).await;
    let mut browser = Browser::at(&service, OWN);
    let answer = browser.post("/v1/session/refresh", &json!({})).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    browser.sign_in(&provider).await;
    provider.said.lock().mood = Mood::Status(503);
    let answer = browser.post("/v1/session/refresh", &json!({})).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(browser.is_signed_in().await, "the provider's trouble ends nothing");
    provider.said.lock().mood = Mood::Well;
    provider.said.lock().refresh.clear();
    let answer = browser.post("/v1/session/refresh", &json!({})).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.problem().login_url.is_some());
    assert!(browser.session().is_empty());
}

#[tokio::test]
async fn signing_out_ends_the_session_everywhere() {
    let provider = Provider::start().await;
    let service = Service::with(config(&provider, KEY)).await;
    let mut browser = Browser::at(&service, VIEWER);
    browser.sign_in(&provider).await;
    let before = browser.cookies.clone();
    browser.post("/v1/session/refresh", &json!({})).await;
    // A tab that has not noticed signs out.
    let mut tab = Browser { service: &service, cookies: before.clone(), origin: VIEWER };
    let answer = tab.post("/logout", &json!({})).await;
    assert_eq!(answer.status, StatusCode::OK);
    let logout_url = format!("{}/end?client_id=loader", provider.url);
    assert_eq!(answer.json()["logoutUrl"], logout_url);
    assert!(tab.session().is_empty());
    let revoked = provider.said.lock().revoked.clone();
    for token in ["access-1-secret", "refresh-1-secret", "access-2-secret", "refresh-2-secret"] {
        assert!(revoked.iter().any(|it| it == token), "{token}: {revoked:?}");
    }
    // What a repeat would have got is forgotten.
    provider.said.lock().refresh.clear();
    let mut thief = Browser { service: &service, cookies: before, origin: VIEWER };
    let answer = thief.post("/v1/session/refresh", &json!({})).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let answer = browser.post("/logout", &json!({})).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn who_signs_out_while_another_tab_refreshes_is_signed_out() {
    let provider = Provider::start().await;
    provider.said.lock().expires_in = Some(0);
    let service = Service::with(config(&provider, KEY)).await;
    let mut browser = Browser::at(&service, VIEWER);
    browser.sign_in(&provider).await;
    let older = browser.cookies.clone();
    browser.post("/v1/session/refresh", &json!({})).await;
    provider.said.lock().mood = Mood::Slow;
    let mut late = Browser { service: &service, cookies: older, origin: VIEWER };
    let signed_out = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        late.post("/logout", &json!({})).await
    };
    let body = json!({});
    let (refreshed, _) = tokio::join!(browser.post("/v1/session/refresh", &body), signed_out);
    assert_eq!(refreshed.status, StatusCode::OK, "{}", refreshed.text());
    // What the tab got is worth nothing.
    let revoked = provider.said.lock().revoked.clone();
    for number in 1..=3 {
        let token = format!("refresh-{number}-secret");
        assert!(revoked.contains(&token), "{token}: {revoked:?}");
    }
}

#[tokio::test]
async fn nobody_comes_back_with_a_cookie_from_before() {
    let provider = Provider::start().await;
    // So that each refresh is one.
    provider.said.lock().expires_in = Some(0);
    let service = Service::with(config(&provider, KEY)).await;
    let mut browser = Browser::at(&service, VIEWER);
    browser.sign_in(&provider).await;
    let mut older = Vec::new();
    for _ in 0..3 {
        older.push(browser.cookies.clone());
        let answer = browser.post("/v1/session/refresh", &json!({})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
    assert_eq!(provider.said.lock().refreshes, 3);
    browser.post("/logout", &json!({})).await;
    provider.said.lock().refresh.clear();
    for cookies in older {
        let mut thief = Browser { service: &service, cookies, origin: VIEWER };
        let answer = thief.post("/v1/session/refresh", &json!({})).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_cookie_that_was_touched_is_worth_nothing() {
    let provider = Provider::start().await;
    let service = Service::with(config(&provider, KEY)).await;
    let mut browser = Browser::at(&service, OWN);
    browser.sign_in(&provider).await;
    let (name, value) = browser.session().into_iter().next().unwrap();
    let flipped = value.replacen(value.chars().nth(40).unwrap(), "-", 1);
    for touched in [&flipped, &value[..value.len() - 1], &value[..10], "", "1."] {
        let cookies = HashMap::from([(name.clone(), touched.to_owned())]);
        let mut browser = Browser { service: &service, cookies, origin: OWN };
        assert!(!browser.is_signed_in().await, "{touched}");
        let answer = browser.get("/v1/recording").await;
        assert_eq!(answer.problem().code, "unauthorized");
        assert_eq!(browser.post("/logout", &json!({})).await.status, StatusCode::OK);
        assert!(browser.session().is_empty());
    }
}

#[tokio::test]
async fn keys_rotate_without_anybody_noticing() {
    let provider = Provider::start().await;
    let old = Service::with(config(&provider, KEY)).await;
    let mut browser = Browser::at(&old, OWN);
    browser.sign_in(&provider).await;
    let cookies = browser.cookies.clone();
    let at = |service| Browser { service, cookies: cookies.clone(), origin: OWN };
    let rotated = Service::with(config(&provider, &format!("{OTHER_KEY},{KEY}"))).await;
    let mut browser = at(&rotated);
    assert!(browser.is_signed_in().await);
    browser.post("/v1/session/refresh", &json!({})).await;
    let new = Service::with(config(&provider, OTHER_KEY)).await;
    let mut refreshed = Browser { service: &new, cookies: browser.cookies, origin: OWN };
    assert!(refreshed.is_signed_in().await);
    assert!(!at(&new).is_signed_in().await);
}

#[tokio::test]
async fn tokens_that_no_cookie_can_hold_are_told() {
    let provider = Provider::start().await;
    let service = Service::with(config(&provider, KEY)).await;
    provider.said.lock().token_bytes = 6000;
    let mut browser = Browser::at(&service, OWN);
    browser.sign_in(&provider).await;
    assert_eq!(browser.session().len(), 3);
    assert!(browser.is_signed_in().await);
    provider.said.lock().token_bytes = 20_000;
    let body = json!({ "code": browser.code(&provider, "return_to=/").await });
    let answer = browser.post("/v1/session", &body).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(answer.problem().detail.contains("too long for cookies"));
}

#[tokio::test]
async fn what_is_posted_in_somebodys_name_comes_from_a_known_page() {
    let provider = Provider::start().await;
    let service = Service::with(config(&provider, KEY)).await;
    let mut browser = Browser::at(&service, OWN);
    browser.sign_in(&provider).await;
    let (name, value) = browser.session().into_iter().next().unwrap();
    let cookie = format!("{name}={value}");
    let json = ("content-type", "application/json");
    for path in ["/v1/links", "/v1/stream", "/logout", "/v1/session/refresh", "/v1/session"] {
        for origin in [Some("https://evil.example.com"), Some("null"), None] {
            let mut headers = vec![json, ("cookie", cookie.as_str())];
            headers.extend(origin.map(|origin| ("origin", origin)));
            let answer = service.ask(Method::POST, path, &headers, "{}").await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {origin:?}");
            assert_eq!(answer.problem().code, "origin-not-allowed");
        }
    }
    assert!(browser.is_signed_in().await);
    // A program with a token of its own says no origin.
    let own = [json, ("authorization", "Bearer own")];
    let answer = service.ask(Method::POST, "/v1/links", &own, "{}").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
}
