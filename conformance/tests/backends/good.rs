//! Backends that break no rule.

use rdl_conformance::{CheckOptions, Outcome, RULES, Style};
use rdl_testkit::{FileSpec, Nginx, static_entry};
use serde_json::json;

use crate::house::{House, check, messages, names};

const PLAIN: Style = Style { width: 100, colours: false };

#[tokio::test]
async fn a_good_backend_breaks_no_rule() {
    let open = House::good().open().await;
    let report = open.check().await;
    let told = report.text(PLAIN);
    assert_eq!(names(&report, Outcome::Fail), [""; 0], "{told}");
    assert_eq!(names(&report, Outcome::Advice), ["https", "canonical-ids"], "{told}");
    assert_eq!(names(&report, Outcome::NotObserved), ["streams-as-made", "flushes"], "{told}");
    insta::assert_snapshot!("good", open.stable(&told));
    let json = serde_json::to_string_pretty(&report).unwrap();
    insta::assert_snapshot!("good_json", open.stable(&json));
}

#[tokio::test]
async fn every_rule_is_in_every_report_once_and_on_one_line() {
    let open = House::good().open().await;
    let refused = CheckOptions::new(vec!["http://127.0.0.1:1/manifest".parse().unwrap()]);
    for report in [open.check().await, check(&refused).await] {
        let reported: Vec<&str> = report.rules.iter().map(|rule| rule.name).collect();
        let rules: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
        assert_eq!(reported, rules);
        let text = report.text(PLAIN);
        for rule in &report.rules {
            let line = text.lines().find(|line| line.starts_with(&format!("{} ", rule.name)));
            let line = line.unwrap_or_else(|| panic!("{} is not in {text}", rule.name));
            assert!(line.ends_with(rule.outcome.as_str()), "{line}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}

#[tokio::test]
async fn what_real_manifests_look_like_is_fine() {
    let mut house = House::good();
    *house.at("/name") = json!(null);
    *house.at("/sources/0/id") = json!(null);
    // Chrono's least and greatest dates stand for unknown.
    *house.at("/sources/0/startTime") = json!("-262143-01-01T00:00:00Z");
    *house.at("/sources/0/endTime") = json!("+262142-12-31T23:59:59.999999999Z");
    house.at("/sources/1")["extra"] = json!({"anything": [1]});
    house.at("")["more"] = json!(true);
    let mut latched = messages(1);
    let channel = rdl_testkit::Channel { schema: None, ..(*latched[0].channel).clone() };
    let channel = std::sync::Arc::new(channel);
    latched.iter_mut().for_each(|message| message.channel = channel.clone());
    house.stream(2, &FileSpec::default().write(&latched));
    // Its schemaId is null.
    let entry = rdl_testkit::streamed_entry(Some("latched"), "/data/2", &latched);
    assert!(entry["topics"][0]["schemaId"].is_null());
    house.at("/sources").as_array_mut().unwrap().push(entry);
    let open = house.open().await;
    let report = open.check().await;
    assert_eq!(names(&report, Outcome::Fail), [""; 0], "{}", report.text(PLAIN));
    assert_eq!(report.outcome("channels-as-declared"), Some(Outcome::Pass));
}

#[tokio::test]
async fn without_expect_auth_nobody_is_asked_as_a_stranger() {
    let open = House::good().open().await;
    let mut options = open.options();
    options.expect_auth = false;
    let report = check(&options).await;
    assert_eq!(report.outcome("auth-manifest"), Some(Outcome::NotObserved));
    assert_eq!(report.outcome("auth-data"), Some(Outcome::NotObserved));
    assert!(open.asked().iter().all(|(_, bearer)| bearer.is_some()), "{:?}", open.asked());
}

#[tokio::test]
async fn what_was_left_unread_is_never_a_pass() {
    let open = House::good().open().await;
    let mut options = open.options();
    options.max_bytes = 2000;
    let report = check(&options).await;
    assert_eq!(names(&report, Outcome::Fail), [""; 0], "{}", report.text(PLAIN));
    for name in [
        "mcap-complete",
        "mcap-valid",
        "mcap-checksums",
        "log-time-order",
        "topics-declared",
        "channels-as-declared",
        "times-within-bounds",
        "same-data-twice",
        "static-content-length",
        "chunk-size",
        "static-summary",
    ] {
        assert_eq!(report.outcome(name), Some(Outcome::NotObserved), "{name}");
    }

    options.max_bytes = u64::MAX;
    options.max_sources = 1;
    let report = check(&options).await;
    assert_eq!(report.summary.sources, 1);
    assert_eq!(report.outcome("source-answers"), Some(Outcome::NotObserved));
}

#[tokio::test]
async fn signed_urls_get_no_token_and_need_none() {
    let mut house = House::good();
    let signed = "/data/0?window=0&X-Amz-Signature=abc&X-Amz-Date=now";
    *house.at("/sources/0/url") = json!(signed);
    house.instead(|house, asked| {
        let is_signed = asked.query.contains("X-Amz-Signature");
        is_signed.then(|| {
            assert!(asked.header("authorization").is_none(), "a signed URL got a token");
            house.right(asked)
        })
    });
    let open = house.open().await;
    let report = open.check().await;
    assert_eq!(names(&report, Outcome::Fail), [""; 0], "{}", report.text(PLAIN));
    assert_eq!(report.outcome("auth-data"), Some(Outcome::Pass));
}

#[tokio::test]
async fn several_manifests_may_share_sources() {
    let open = House::good().open().await;
    let mut options = open.options();
    options.manifests = vec![open.manifest(), open.manifest()];
    let report = check(&options).await;
    assert_eq!(names(&report, Outcome::Fail), [""; 0], "{}", report.text(PLAIN));
    assert_eq!(report.summary.sources, 3, "what both name is read once");
}

/// A real server of files, which knows more of HTTP than the house does.
#[tokio::test]
async fn nginx_serves_static_sources_that_break_no_rule() {
    let folder = tempfile::tempdir().unwrap();
    let spec = FileSpec { chunk_bytes: Some(1 << 20), ..FileSpec::default() };
    std::fs::write(folder.path().join("drive.mcap"), spec.write(&messages(600))).unwrap();
    let nginx = Nginx::serve(folder.path()).await.unwrap();
    let mut house = House::good();
    let entry = static_entry(&format!("{}/drive.mcap", nginx.url()));
    *house.at("/sources") = json!([entry]);
    let open = house.open().await;
    let mut options = open.options();
    // The files are anybody's.
    options.expect_auth = false;
    let report = check(&options).await;
    let told = report.text(PLAIN);
    assert_eq!(names(&report, Outcome::Fail), [""; 0], "{told}");
    assert_eq!(names(&report, Outcome::Advice), ["https"], "{told}");
    let ranged = report.rules.iter().filter(|rule| rule.group == "static sources");
    assert!(ranged.clone().count() == 7, "{told}");
    assert!(ranged.into_iter().all(|rule| rule.outcome == Outcome::Pass), "{told}");
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_told_in_few_words() {
    let refused = CheckOptions::new(vec!["http://127.0.0.1:1/manifest".parse().unwrap()]);
    let report = check(&refused).await;
    insta::assert_snapshot!("refused", report.text(Style { width: 80, colours: false }));
}
