use rdl_engine::Compression;

use super::*;

fn from_query(text: &str) -> StreamRequest {
    StreamRequest::from_query(Some(text)).unwrap()
}

/// What is wrong with a query string.
fn wrong(text: &str) -> String {
    let request = StreamRequest::from_query(Some(text));
    request.and_then(|request| request.query()).unwrap_err().body().detail
}

fn wrong_json(text: &str) -> String {
    StreamRequest::from_json(text.as_bytes()).unwrap_err().body().detail
}

#[test]
fn nothing_asked_is_everything() {
    assert_eq!(StreamRequest::from_query(None).unwrap().query().unwrap(), Query::default());
    assert_eq!(StreamRequest::from_json(b"{}").unwrap().query().unwrap(), Query::default());
}

#[test]
fn a_query_string_says_everything() {
    let request = from_query(
        "ds.recording=a&topics=/a&topics=/b&start=1970-01-01T00:00:01Z&end=2000000000\
         &replayPolicy=lastPerChannel&replayLookbackSeconds=2.5&compression=zstd&partial=true\
         &attachments=1",
    );
    assert_eq!(request.manifest_params().0, [("recording".to_owned(), "a".to_owned())]);
    let expected = Query {
        topics: Some(["/a".to_owned(), "/b".to_owned()].into()),
        times: TimeRange { start: Nanos(1_000_000_000), end: Nanos(2_000_000_000) },
        has_start: true,
        replay: ReplayPolicy::LastPerChannel,
        lookback: Duration::from_millis(2500),
        accepts: Some(vec![Compression::Zstd, Compression::None]),
        partial: true,
        attachments: true,
    };
    assert_eq!(request.query().unwrap(), expected);
}

#[test]
fn json_says_the_same() {
    let json = br#"{"manifestParams": {"recording": "a"}, "topics": ["/a", "/b"],
        "start": "1970-01-01T00:00:01Z", "end": 2000000000, "replayPolicy": "lastPerChannel",
        "replayLookbackSeconds": 2.5, "compression": "zstd", "partial": true,
        "attachments": true}"#;
    let query = "ds.recording=a&topics=/a&topics=/b&start=1970-01-01T00:00:01Z&end=2000000000\
         &replayPolicy=lastPerChannel&replayLookbackSeconds=2.5&compression=zstd&partial=true\
         &attachments=1";
    assert_eq!(StreamRequest::from_json(json).unwrap(), from_query(query));
}

#[test]
fn what_is_written_is_read_again() {
    let request = from_query("ds.b=1&ds.a=2&ds.b=3&start=5&end=18446744073709551615&topics=/x");
    let json = serde_json::to_vec(&request).unwrap();
    assert_eq!(StreamRequest::from_json(&json).unwrap(), request);
}

#[test]
fn json_parameters_keep_order_and_lists() {
    let json = br#"{"manifestParams": {"z": "1", "a": ["2", "3"], "m": []}}"#;
    let params = StreamRequest::from_json(json).unwrap().manifest_params().0;
    let expected = [("z", "1"), ("a", "2"), ("a", "3")];
    assert_eq!(params, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn one_instant_is_a_range_and_the_last_nanosecond_exists() {
    let query = from_query("start=7&end=7").query().unwrap();
    assert_eq!(query.times, TimeRange { start: Nanos(7), end: Nanos(7) });
    let query = from_query("start=18446744073709551615").query().unwrap();
    assert_eq!(query.times, TimeRange { start: Nanos::MAX, end: Nanos::MAX });
}

#[test]
fn no_topics_are_not_all_topics() {
    let request = StreamRequest::from_json(br#"{"topics": []}"#).unwrap();
    assert_eq!(request.query().unwrap().topics, Some([].into()));
}

#[test]
fn a_compression_covers_none() {
    let accepts = |name: &str| from_query(&format!("compression={name}")).query().unwrap().accepts;
    assert_eq!(accepts("lz4"), Some(vec![Compression::Lz4, Compression::None]));
    assert_eq!(accepts("none"), Some(vec![Compression::None]));
}

#[test]
fn wrong_queries_say_what_is_wrong() {
    for (text, expected) in [
        ("start=2&end=1", "lies after"),
        ("start=yesterday", "RFC 3339"),
        ("start=", "RFC 3339"),
        ("end=-1", "RFC 3339"),
        ("end=18446744073709551616", "RFC 3339"),
        ("start=1970-01-01T00:00:00+01:00", "%2B"),
        ("start=1&start=1", "more than once"),
        ("replayPolicy=latest", "none, lastPerChannel or lastPerChannelInRange"),
        ("replayLookbackSeconds=-1", "0 or more"),
        ("replayLookbackSeconds=inf", "0 or more"),
        ("replayLookbackSeconds=NaN", "0 or more"),
        ("replayLookbackSeconds=1e300", "0 or more"),
        ("replayLookbackSeconds=long", "number of seconds"),
        ("compression=gzip", "lz4, zstd or none"),
        ("partial=yes", "true, false, 1 or 0"),
        ("recording=a", "known are ds.<name>, topics, start"),
    ] {
        let detail = wrong(text);
        assert!(detail.contains(expected), "{text}: {detail}");
    }
}

#[test]
fn wrong_json_says_where() {
    for (text, expected) in [
        ("", "EOF"),
        ("[]", "JSON object"),
        ("[{}, [\"/a\"]]", "JSON object"),
        ("1", "JSON object"),
        ("{} x", "after the body"),
        (r#"{"topic": []}"#, "unknown field `topic`, expected one of `manifestParams`, `topics`"),
        (r#"{"topics": "/a"}"#, "topics"),
        (r#"{"start": -1}"#, "start"),
        (r#"{"start": 1.5}"#, "RFC 3339"),
        (r#"{"start": "tomorrow"}"#, "RFC 3339"),
        (r#"{"manifestParams": {"a": 1}}"#, "a string or a list of strings"),
        (r#"{"manifestParams": []}"#, "an object of strings"),
        (r#"{"replayPolicy": "latest"}"#, "lastPerChannelInRange"),
        (r#"{"partial": "true"}"#, "partial"),
    ] {
        let detail = wrong_json(text);
        assert!(detail.contains(expected), "{text}: {detail}");
    }
    let request = StreamRequest::from_json(br#"{"start": 2, "end": 1}"#).unwrap();
    assert!(request.query().is_err());
}
