//! People who sign in at a real identity provider, in a real browser, from viewers on other sites.
//!
//! What they do is in `tests/node/sign_in.mjs`; here is where they do it, and what they have to see.

mod stage;
mod viewing;

use serde_json::{Value, json};

use self::stage::Stage;

/// What `/v1/session`, the recording and a part of it answered.
fn statuses(seen: &Value) -> [&Value; 3] {
    ["session", "recording", "stream"].map(|name| &seen[name]["status"])
}

fn assert_reads(seen: &Value) {
    assert_eq!(statuses(seen), [200, 200, 200], "{seen}");
    assert_eq!(seen["session"]["json"]["signedIn"], true);
    assert_eq!(seen["stream"]["type"], "application/mcap");
    assert!(seen["stream"]["bytes"].as_u64().unwrap() > 1000, "{seen}");
}

fn assert_signed_out(seen: &Value) {
    assert_eq!(statuses(seen), [200, 401, 401], "{seen}");
    assert_eq!(
        seen["session"]["json"],
        json!({ "signedIn": false, "expires": null, "refreshable": false })
    );
    assert_eq!(seen["recording"]["json"]["code"], "unauthorized");
    assert!(seen["recording"]["json"]["loginUrl"].as_str().unwrap().ends_with("/login"));
}

/// Another origin is told nothing at all.
fn assert_hears_nothing(seen: &Value) {
    for name in ["session", "recording", "stream"] {
        assert!(seen[name]["failed"].as_str().unwrap().contains("Failed to fetch"), "{seen}");
    }
}

fn assert_problem(seen: &Value, status: u16, code: &str) {
    assert_eq!((&seen["status"], &seen["json"]["code"]), (&json!(status), &json!(code)), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_from_anywhere_and_nobody_else_gets_in() {
    let stage = Stage::set(600).await;
    let scenarios = [
        "embedded",
        "same_site",
        "own_page",
        "loaders_viewer",
        "handed_on",
        "another_loader",
        "popup_blocked",
        "file_link",
        "refused",
        "provider_away",
        "callback_tampered",
        "code_misused",
        "damaged_cookies",
    ];
    let seen = stage.play(&scenarios).await;
    embedded(&seen["embedded"]);
    own_site(&seen["same_site"], &seen["own_page"]);
    viewing::loaders_viewer(&seen["loaders_viewer"]);
    viewing::handed_on(&seen["handed_on"], &stage.environment()).await;
    viewing::another_loader(&seen["another_loader"]);
    popup_blocked(&seen["popup_blocked"]);
    file_link(&seen["file_link"]);
    refused(&seen["refused"]);
    provider_away(&seen["provider_away"]);
    callback_tampered(&seen["callback_tampered"]);
    code_misused(&seen["code_misused"]);
    damaged_cookies(&seen["damaged_cookies"]);
    assert!(stage.provider.count("grant.success").await.unwrap() >= 8);
    stage.assert_no_secret_is_left(&seen).await;
}

/// By a popup, from a page of another site: the cookie lies in that site's partition.
fn embedded(seen: &Value) {
    assert_signed_out(&seen["before"]);
    assert_eq!(seen["text"], "Signed in");
    assert_reads(&seen["after"]);
    assert_reads(&seen["inAnotherTab"]);
    assert_signed_out(&seen["onAThirdSite"]);
    assert_hears_nothing(&seen["onAnUnknownSite"]);
    let cookie = &seen["cookies"][0];
    let expected = json!({ "name": "__Host-rdl-embedded.0", "path": "/", "httpOnly": true,
        "secure": true, "sameSite": "None", "partitionKey": "https://cameras.test" });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&cookie[name], value, "{cookie}");
    }
    // The browser keeps all others of the loader's cookies back.
    assert_eq!(seen["cookieNamesSent"], json!(["__Host-rdl-embedded.0"]));
    assert_eq!(seen["readableByScripts"], "");
}

/// From another origin of the loader's site, and at the loader's own page.
fn own_site(same_site: &Value, own_page: &Value) {
    assert_eq!(same_site["text"], "Signed in");
    assert_reads(same_site);
    assert_eq!(own_page["session"]["signedIn"], true, "{own_page}");
    for seen in [same_site, own_page] {
        let cookie = &seen["cookies"][0];
        assert_eq!(
            (&cookie["name"], &cookie["sameSite"]),
            (&json!("__Host-rdl-session.0"), &json!("Lax"))
        );
        assert!(cookie["partitionKey"].is_null(), "{cookie}");
    }
}

fn popup_blocked(seen: &Value) {
    assert_eq!(seen["text"], "Signed in");
    assert_eq!(seen["fragments"], json!([["code", "state"]]));
    assert!(!seen["url"].as_str().unwrap().contains('#'), "{seen}");
    assert_reads(seen);
}

/// The link needs no cookie; pages that the loader does not know may not read its answer.
fn file_link(seen: &Value) {
    let first = &seen["fromTheViewer"];
    assert_eq!(first["status"], 206, "{seen}");
    assert_eq!(first["bytes"], json!([0x89, b'M', b'C', b'A', b'P', b'0', b'\r', b'\n']));
    assert!(first["contentRange"].as_str().unwrap().starts_with("bytes 0-7/"));
    assert!(seen["fromAnUnknownSite"]["failed"].is_string(), "{seen}");
    assert_problem(&seen["withoutTheLink"], 401, "unauthorized");
}

fn refused(seen: &Value) {
    assert_eq!(seen["viewer"], "Not signed in: access_denied");
    assert!(seen["popup"].as_str().unwrap().contains("You did not agree"), "{seen}");
    assert_eq!(seen["session"]["json"]["signedIn"], false);
    assert_eq!(seen["tryingAgain"], "Signed in");
}

fn provider_away(seen: &Value) {
    assert_eq!(seen["beforeLogin"]["viewer"], "Not signed in: the window was closed");
    assert_eq!(seen["beforeTheCode"]["viewer"], "Not signed in: bad-gateway");
    assert_eq!(seen["beforeTheCode"]["redeemed"], json!([502]));
    // Who is signed in goes on.
    assert_problem(&seen["whileSignedIn"]["refreshed"], 502, "bad-gateway");
    assert_eq!(seen["whileSignedIn"]["session"]["json"]["signedIn"], true);
    assert_eq!(seen["whileSignedIn"]["recording"]["status"], 200);
    assert_eq!(seen["back"]["refreshed"]["status"], 200, "{seen}");
}

fn callback_tampered(seen: &Value) {
    for name in ["state", "stateCut", "stateGone", "twice", "bySomebodyElse"] {
        let seen = &seen[name];
        assert_eq!(seen["status"], 400, "{name}: {seen}");
        assert!(seen["popup"].as_str().unwrap().contains("not begun in this browser"), "{seen}");
    }
    assert_eq!(seen["code"]["viewer"], "Not signed in: invalid-login-code");
    assert_eq!(seen["codeGone"]["viewer"], "Not signed in: no_code");
    for name in ["state", "stateCut", "stateGone", "code", "codeGone"] {
        assert_eq!(seen[name]["session"]["json"]["signedIn"], false, "{name}");
    }
    assert_eq!(seen["unchanged"]["viewer"], "Signed in");
}

fn code_misused(seen: &Value) {
    for name in ["fromAThirdSite", "withAnotherState", "withoutState", "changed", "cut", "twice"] {
        assert_problem(&seen[name], 400, "invalid-login-code");
    }
    assert!(seen["fromAnUnknownSite"]["failed"].is_string(), "{seen}");
    assert_eq!(seen["session"]["signedIn"], false);
    assert_eq!(seen["asItShouldBe"]["status"], 200, "{seen}");
    assert_eq!(seen["sessionAfter"]["json"]["signedIn"], true);
}

fn damaged_cookies(seen: &Value) {
    for name in ["first", "middle", "last", "half", "empty", "longer", "other"] {
        assert_eq!(seen[name]["session"]["json"]["signedIn"], false, "{name}");
        assert_problem(&seen[name]["recording"], 401, "unauthorized");
    }
    assert_eq!(seen["undamaged"]["recording"]["status"], 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_while_somebody_watches_and_ends_when_they_sign_out() {
    let stage = Stage::set(3).await;
    let all = stage.play(&["playback", "session_ends"]).await;
    viewing::session_ends(&all["session_ends"]);
    let seen = &all["playback"];
    // Windows were all there, but for those that were told that the token had run out.
    let windows = seen["windows"].as_object().unwrap();
    assert!(windows.keys().all(|status| status == "200"), "{seen}");
    let expired = seen["expired"].as_array().unwrap();
    assert!(expired.iter().all(|code| code == "token-expired") && expired.len() >= 2, "{seen}");
    assert_eq!(seen["refreshes"], json!([200, 200]));
    for name in ["atOnce", "bothPlay", "bothPlayOn"] {
        let both = seen[name].as_array().unwrap();
        assert!(both.iter().all(|seen| seen["status"] == 200) && both.len() == 2, "{name}: {seen}");
    }
    // No refresh token was used twice, however many asked.
    assert_eq!(seen["events"]["grant.revoked"], 0, "{seen}");
    assert_eq!(seen["events"]["grant.error"], 0, "{seen}");
    assert!(seen["events"]["refresh_token.consumed"].as_u64().unwrap() >= 4, "{seen}");

    assert_signed_out(&seen["signedOut"]);
    assert_eq!(seen["cookies"], json!([]));
    for name in ["byTheLastCookies", "byOlderCookies"] {
        let revived = &seen[name];
        assert_eq!(revived["refreshed"]["status"], 401, "{name}: {seen}");
        assert_eq!(revived["recording"]["status"], 401, "{name}: {seen}");
    }
    assert!(seen["logoutUrl"].as_str().unwrap().contains("client_id=loader"), "{seen}");
    stage.assert_no_secret_is_left(&all).await;
}
