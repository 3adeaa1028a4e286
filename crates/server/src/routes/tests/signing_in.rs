//! Signing in: what each step gives, and what it refuses.

use http::header::SET_COOKIE;
use serde_json::{Value, json};

use super::browser::{Browser, KEY, OWN, VIEWER, attribute, config};
use super::provider::{Mood, Provider};
use super::*;

#[tokio::test]
async fn a_user_signs_in_and_the_backend_gets_their_token() {
    let provider = Provider::start().await;
    let service = Service::with(config(&provider, KEY)).await;
    for (origin, expected) in [(OWN, "SameSite=Lax"), (VIEWER, "SameSite=None; Partitioned")] {
        let mut browser = Browser::at(&service, origin);
        let asked = browser.start(&format!("return_to={origin}/view&state=s")).await;
        let expected_of_us = [
            ("response_type", "code"),
            ("client_id", "loader"),
            ("redirect_uri", "https://loader.example.com/oauth/callback"),
            ("scope", "openid offline_access"),
            ("audience", "urn:backend"),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in expected_of_us {
            assert_eq!(asked[name], value);
        }
        let code = browser.code(&provider, &format!("return_to={origin}/view&state=s")).await;
        assert!(!browser.is_signed_in().await);
        let answer = browser.post("/v1/session", &json!({ "code": code, "state": "s" })).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!(answer.json()["signedIn"], true);
        assert_eq!(answer.json()["refreshable"], true);
        assert!(answer.json()["expires"].as_str().unwrap().starts_with("20"));
        let cookie = answer.header("set-cookie").unwrap();
        for attribute in [expected, "; Secure", "; HttpOnly", "; Path=/"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(browser.is_signed_in().await);
        // Nobody listens at the data backend's address: whoever is let through gets a 502.
        assert_eq!(browser.get("/v1/recording").await.status, StatusCode::BAD_GATEWAY);
        assert_eq!(browser.post("/v1/links", &json!({})).await.status, StatusCode::BAD_GATEWAY);
        let told = browser.get("/v1/session").await.text() + &answer.text();
        assert!(!told.contains("secret"), "{told}");
    }
}

#[tokio::test]
async fn users_go_back_to_known_pages_alone() {
    let provider = Provider::start().await;
    let service = Service::with(config(&provider, KEY)).await;
    let mut browser = Browser::at(&service, OWN);
    for route in ["/login", "/oauth/start"] {
        for wrong in ["https://evil.example.com/", "//evil.example.com", "javascript:alert(1)"] {
            let answer = browser.get(&format!("{route}?return_to={wrong}")).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{route} {wrong}");
            assert!(answer.problem().detail.contains("CORS_ALLOWED_ORIGINS"));
        }
        let long = format!("{route}?return_to=/{}", "x".repeat(3000));
        assert_eq!(browser.get(&long).await.status, StatusCode::BAD_REQUEST);
        // Whose state could nobody compare?
        let stateless = browser.get(&format!("{route}?return_to={VIEWER}/")).await;
        assert_eq!(stateless.status, StatusCode::BAD_REQUEST);
        assert!(stateless.problem().detail.contains("`state` is needed"));
        let long = format!("{route}?state={}", "x".repeat(129));
        assert_eq!(browser.get(&long).await.status, StatusCode::BAD_REQUEST);
    }
    let path = "/login?return_to=https://app.example.com/v%22%3E%3Cscript%3E&state=%22%3E%3Cb%3E";
    let answer = browser.get(path).await;
    assert_eq!(answer.status, StatusCode::OK);
    let page = answer.text();
    assert!(!page.contains("<b>") && page.matches("<script").count() == 1, "{page}");
    assert!(page.contains("https://loader.example.com/oauth/start?return_to=https%3A%2F%2Fapp"));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(policy.ends_with("frame-ancestors 'self'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    for asset in ["login.js", "callback.js", "style.css"] {
        assert_eq!(browser.get(&format!("/login/{asset}")).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn who_may_show_the_pages_in_a_frame_is_configured() {
    let provider = Provider::start().await;
    let frame_ancestors = vec!["https://portal.example.com".parse().unwrap()];
    let service = Service::with(AuthConfig { frame_ancestors, ..config(&provider, KEY) }).await;
    let answer = service.get("/login", &[]).await;
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.ends_with("frame-ancestors 'self' https://portal.example.com"), "{policy}");
}

#[tokio::test]
async fn an_answer_that_belongs_to_no_login_of_this_browser_is_refused() {
    let provider = Provider::start().await;
    let service = Service::with(config(&provider, KEY)).await;
    let mut browser = Browser::at(&service, OWN);
    let asked = browser.start("return_to=/view").await;
    let state = &asked["state"];
    let (id, secret) = state.split_once('.').unwrap();
    let callback = |state: &str| format!("/oauth/callback?code=c&state={state}");
    for wrong in ["", ".", id, &format!("{id}."), &format!("{id}.x{secret}"), &state[1..]] {
        let answer = browser.get(&callback(wrong)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert_eq!(attribute(&answer.text(), "code"), None);
    }
    // Somebody else's browser.
    let answer = Browser::at(&service, OWN).get(&callback(state)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    // Its own, with a cookie that was touched.
    let mut touched = Browser::at(&service, OWN);
    for (name, value) in &browser.cookies {
        let other = if value.ends_with('A') { "B" } else { "A" };
        let value = format!("{}{other}", &value[..value.len() - 1]);
        touched.cookies.insert(name.clone(), value);
    }
    assert_eq!(touched.get(&callback(state)).await.status, StatusCode::BAD_REQUEST);
    // The right one, once.
    assert_eq!(browser.get(&callback(state)).await.status, StatusCode::OK);
    assert_eq!(browser.get(&callback(state)).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn several_logins_may_be_under_way_and_not_too_many() {
    let provider = Provider::start().await;
    let service = Service::with(config(&provider, KEY)).await;
    let mut browser = Browser::at(&service, OWN);
    let first = browser.start("return_to=/a").await;
    let second = browser.start("return_to=/b").await;
    for (asked, expected) in [(first, "/a"), (second, "/b")] {
        let path = format!("/oauth/callback?code=c&state={}", asked["state"]);
        let page = browser.get(&path).await.text();
        assert_eq!(attribute(&page, "return-to"), Some(format!("{OWN}{expected}")));
    }
    for _ in 0..10 {
        browser.start("return_to=/a").await;
    }
    assert_eq!(browser.cookies.len(), 4);
}

#[tokio::test]
async fn a_refusal_is_told() {
    let provider = Provider::start().await;
    let service = Service::with(config(&provider, KEY)).await;
    for (said, code, expected) in [
        ("error=access_denied&error_description=secret", "access_denied", "did not agree"),
        ("error=%3Cb%3Eodd", "bodd", "The identity provider says: bodd."),
        ("code=x&error=server_error", "server_error", "server_error"),
        ("", "no_code", "no_code"),
    ] {
        let mut browser = Browser::at(&service, VIEWER);
        let asked = browser.start("return_to=https://app.example.com/v&state=s").await;
        let path = format!("/oauth/callback?{said}&state={}", asked["state"]);
        let page = browser.get(&path).await.text();
        assert_eq!(attribute(&page, "error").as_deref(), Some(code));
        assert_eq!(attribute(&page, "code"), None);
        assert!(page.contains(expected) && !page.contains("secret"), "{page}");
        assert!(page.contains("Try again"), "{page}");
    }
}

#[tokio::test]
async fn a_code_is_good_once_and_for_one_page_alone() {
    let provider = Provider::start().await;
    let service = Service::with(config(&provider, KEY)).await;
    let mut browser = Browser::at(&service, VIEWER);
    let code = browser.code(&provider, "return_to=https://app.example.com/v&state=s").await;
    let bad = async |origin: &str, body: Value| {
        let answer = Browser::at(&service, origin).post("/v1/session", &body).await;
        assert!(answer.headers.get(SET_COOKIE).is_none());
        (answer.status.as_u16(), answer.problem().code)
    };
    let invalid = (400, "invalid-login-code".to_owned());
    let right = json!({ "code": code, "state": "s" });
    assert_eq!(bad(OWN, right.clone()).await, invalid);
    for body in [
        json!({ "code": code }),
        json!({ "code": code, "state": "t" }),
        json!({ "code": format!("{code}A"), "state": "s" }),
        json!({ "code": &code[..code.len() - 2], "state": "s" }),
        json!({ "code": "the-code", "state": "s" }),
        json!({ "code": "", "state": "s" }),
    ] {
        assert_eq!(bad(VIEWER, body).await, invalid);
    }
    let stranger = bad("https://evil.example.com", right.clone()).await;
    assert_eq!(stranger, (403, "origin-not-allowed".to_owned()));
    for wrong in [json!([]), json!({}), json!({ "code": 5 }), json!({ "code": code, "x": "y" })] {
        let (status, code) = bad(VIEWER, wrong).await;
        assert_eq!((status, code.as_str()), (400, "bad-request"));
    }
    assert_eq!(provider.said.lock().exchanges, 0, "nothing of it reached the provider");
    let answer = browser.post("/v1/session", &right).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(bad(VIEWER, right).await, invalid);
    assert_eq!(provider.said.lock().exchanges, 1);
    // A session is no code, and neither is a login.
    let session = browser.cookies.values().next().unwrap().trim_start_matches("1.").to_owned();
    assert_eq!(bad(VIEWER, json!({ "code": session, "state": "s" })).await, invalid);
}

/// The provider keeps the verifier's promise.
#[tokio::test]
async fn another_replica_redeems_a_code_and_no_replica_twice() {
    let provider = Provider::start().await;
    let (one, other) = (config(&provider, KEY), config(&provider, KEY));
    let (one, other) = (Service::with(one).await, Service::with(other).await);
    let mut browser = Browser::at(&one, OWN);
    let body = json!({ "code": browser.code(&provider, "return_to=/").await });
    let answer = Browser::at(&other, OWN).post("/v1/session", &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let answer = browser.post("/v1/session", &body).await;
    assert_eq!(answer.problem().code, "invalid-login-code");
}

#[tokio::test]
async fn trouble_with_the_provider_is_a_502_and_the_code_stays_good() {
    let provider = Provider::start().await;
    let service = Service::with(config(&provider, KEY)).await;
    let mut browser = Browser::at(&service, OWN);
    let body = json!({ "code": browser.code(&provider, "return_to=/").await });
    for (mood, expected) in
        [(Mood::Status(503), "does not answer"), (Mood::Status(500), "in trouble itself")]
    {
        provider.said.lock().mood = mood;
        let answer = browser.post("/v1/session", &body).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{mood:?}");
        assert!(answer.problem().detail.contains(expected), "{}", answer.text());
    }
    provider.said.lock().mood = Mood::Well;
    assert_eq!(browser.post("/v1/session", &body).await.status, StatusCode::OK);
    for (mood, expected) in [
        (Mood::Refuses("invalid_client"), "OAUTH_CLIENT_SECRET"),
        (Mood::Talks, "makes no sense"),
        (Mood::Status(404), "makes no sense"),
    ] {
        provider.said.lock().mood = Mood::Well;
        let body = json!({ "code": browser.code(&provider, "return_to=/").await });
        provider.said.lock().mood = mood;
        let answer = browser.post("/v1/session", &body).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{mood:?}: {}", answer.text());
        let detail = answer.problem().detail;
        assert!(detail.contains(expected) && !detail.contains("secret-of"), "{detail}");
    }
}

#[tokio::test]
async fn an_issuer_tells_the_rest() {
    let provider = Provider::start().await;
    let discovered = || {
        let mut config = config(&provider, KEY);
        let login = config.login.as_mut().unwrap();
        login.issuer = Some(provider.url.parse().unwrap());
        (login.authorize, login.token, login.revoke, login.logout) = Default::default();
        config
    };
    for wants_body in [true, false] {
        provider.said.lock().wants_body = wants_body;
        let service = Service::with(discovered()).await;
        let mut browser = Browser::at(&service, OWN);
        browser.sign_in(&provider).await;
        browser.post("/logout", &json!({})).await;
        assert_eq!(std::mem::take(&mut provider.said.lock().revoked).len(), 2, "{wants_body}");
    }
    let service = Service::with(discovered()).await;
    let mut browser = Browser::at(&service, OWN);
    // It may be away, or be another, when it is asked first.
    for (mood, expected) in [(Mood::Status(503), "cannot be had"), (Mood::Talks, "another issuer")]
    {
        provider.said.lock().mood = mood;
        let answer = browser.get("/oauth/start").await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        assert!(answer.text().contains(expected), "{}", answer.text());
        provider.said.lock().mood = Mood::Well;
        // Nobody asks it again at once.
        assert_eq!(browser.get("/oauth/start").await.status, StatusCode::BAD_GATEWAY);
        tokio::time::sleep(Duration::from_millis(2100)).await;
    }
    let asked = browser.start("return_to=/").await;
    assert_eq!(asked["prompt"], "x", "its endpoint has a query of its own");
    let path = format!("/oauth/callback?code=c&state={}&iss=https://evil.com", asked["state"]);
    assert_eq!(browser.get(&path).await.status, StatusCode::BAD_REQUEST);
    browser.sign_in(&provider).await;
    let answer = browser.post("/logout", &json!({})).await;
    assert!(answer.json()["logoutUrl"].as_str().unwrap().contains("/end?client_id=loader"));
    assert_eq!(provider.said.lock().revoked.len(), 2);
}

#[tokio::test]
async fn the_callback_may_lie_elsewhere() {
    let provider = Provider::start().await;
    let mut config = config(&provider, KEY);
    let callback = "https://loader.example.com/auth/callback";
    config.login.as_mut().unwrap().callback = callback.parse().unwrap();
    let service = Service::with(config).await;
    let mut browser = Browser::at(&service, OWN);
    let asked = browser.start("return_to=/").await;
    assert_eq!(asked["redirect_uri"], callback);
    let path = format!("/auth/callback?code=c&state={}", asked["state"]);
    assert_eq!(browser.get(&path).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_loader_without_a_login_says_so() {
    for disabled in [true, false] {
        let service = Service::start(disabled).await;
        for path in ["/login", "/oauth/start", "/oauth/callback"] {
            let answer = service.get(path, &[]).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
            let expected = if disabled { "DISABLE_AUTH" } else { "OAUTH_CLIENT_ID" };
            assert!(answer.problem().detail.contains(expected));
        }
        let answer = service.ask(Method::POST, "/logout", &[], "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(service.get("/v1/session", &[]).await.status, StatusCode::OK);
    }
}
