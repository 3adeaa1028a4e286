use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const EXAMPLE: &str = include_str!("../../tests/example_manifest.json");

fn endpoint() -> Url {
    "https://backend.example/api/manifest?tenant=7".parse().unwrap()
}

fn parse(manifest: &Value) -> Result<Manifest, ManifestError> {
    parse_manifest(manifest.to_string().as_bytes(), &endpoint(), &ManifestLimits::default(), false)
}

fn streamed() -> Value {
    json!({
        "url": "/data?r=1",
        "topics": [{ "name": "/a", "messageEncoding": "json", "schemaId": null }],
        "schemas": [{ "id": 1, "name": "S", "encoding": "jsonschema", "data": "e30=" }],
        "startTime": "2026-01-01T00:00:00Z",
        "endTime": "2026-01-01T00:00:01Z",
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut source = streamed();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    source.pointer_mut(parent).unwrap()[field] = value;
    source
}

fn one(source: Value) -> Result<StreamedSource, ManifestError> {
    match parse(&json!({ "sources": Value::from(vec![source]) }))?.sources.pop() {
        Some(Source::Streamed(source)) => Ok(source),
        other => panic!("{other:?}"),
    }
}

fn problems(sources: Value) -> (usize, Vec<ProblemCode>) {
    let manifest = parse(&Value::from_iter([("sources", sources)])).unwrap();
    (manifest.sources.len(), manifest.problems.iter().map(|problem| problem.code).collect())
}

#[test]
fn the_example_works_as_it_stands() {
    let manifest =
        parse_manifest(EXAMPLE.as_bytes(), &endpoint(), &ManifestLimits::default(), false).unwrap();
    assert_eq!(manifest.name.as_deref(), Some("first-recording"));
    assert_eq!(manifest.problems, []);
    let [Source::Streamed(source)] = manifest.sources.as_slice() else { panic!() };
    assert_eq!(source.url.as_str(), "https://backend.example/data?recording-id=first-recording");
    assert_eq!(source.id.as_deref(), Some("first-recording"));
    assert_eq!(source.topics[0].schema_id, Some(1));
    assert_eq!(source.schemas[0].data.len(), 54);
    assert_eq!(source.start, Some(Nanos(0)));
    assert_eq!(source.end, Some(Nanos(10_999_999_999)));
}

#[test]
fn null_is_absent_and_extra_keys_are_ignored() {
    let source = one(with("/id", Value::Null)).unwrap();
    assert_eq!((source.id, source.topics[0].schema_id), (None, None));
    assert_eq!(one(with("/id", json!(""))).unwrap().id, None);
    assert!(one(with("/supportsRangeRequests", Value::Null)).is_ok());
    assert!(one(with("/supportsRangeRequests", json!(false))).is_ok());
    assert!(one(with("/more", json!({ "deep": [[[1]]] }))).is_ok());
    let fixed = json!({ "url": "a.mcap", "supportsRangeRequests": true, "topics": "ignored" });
    let manifest = parse(&json!({ "name": null, "extra": 1, "sources": [fixed] })).unwrap();
    assert_eq!(manifest.name, None);
    assert_eq!(manifest.sources[0].url().as_str(), "https://backend.example/api/a.mcap");
    assert!(matches!(manifest.sources[0], Source::Static(_)));
}

#[test]
fn errors_name_the_path() {
    let cases = [
        (with("/topics/0/schemaId", json!(2)), "sources[0].topics[0].schemaId: no schema"),
        (with("/topics/0/schemaId", json!(70_000)), "sources[0].topics[0].schemaId: invalid value"),
        (with("/topics/0/schemaId", json!("1")), "sources[0].topics[0].schemaId: invalid type"),
        (with("/topics/0/name", Value::Null), "sources[0].topics[0].name: invalid type: null"),
        (with("/schemas/0/id", json!(0)), "sources[0].schemas[0].id: 0 is not an id"),
        (with("/schemas/0/data", json!("***")), "sources[0].schemas[0].data: not standard base64"),
        (with("/startTime", json!("today")), "sources[0].startTime: not an RFC 3339 time"),
        (with("/endTime", json!(5)), "sources[0].endTime: invalid type"),
        (with("/url", json!("http://[")), "sources[0].url: not a URL"),
        (with("/url", json!("file:///etc/passwd")), "sources[0].url: a file URL"),
        (json!({ "url": "/a" }), "sources[0]: missing field `topics` (of a streamed source"),
        (json!({ "supportsRangeRequests": true }), "sources[0]: missing field `url`"),
        (json!(7), "sources[0]: invalid type"),
    ];
    for (source, expected) in cases {
        let error = parse(&json!({ "sources": [source] })).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error:?} should start with {expected:?}");
    }
    let mut second = streamed();
    second["schemas"] = json!([streamed()["schemas"][0], streamed()["schemas"][0]]);
    let error = parse(&json!({ "sources": [streamed(), second] })).unwrap_err();
    assert_eq!(error.path(), "sources[1].schemas[1].id");
    for (manifest, expected) in [
        (json!({ "name": 1, "sources": [] }), "name: invalid type"),
        (json!({ "sources": {} }), "sources: invalid type"),
        (json!({}), "not a manifest: missing field `sources`"),
        (json!("text"), "not a manifest: invalid type"),
    ] {
        let error = parse(&manifest).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error:?} should start with {expected:?}");
    }
    for body in [&b""[..], b"{\"sources\":[", b"\xff\xfe", b"<html>"] {
        let parsed = parse_manifest(body, &endpoint(), &ManifestLimits::default(), false);
        assert!(parsed.is_err(), "{body:?}");
    }
}

#[test]
fn errors_show_no_secrets() {
    let secret = "https://user:SECRET@h.example/p?X-Amz-Signature=SECRET#SECRET";
    let plain = secret.replace("https", "http");
    for source in [
        with("/url", json!(plain)),
        with("/topics", json!(secret)),
        with("/schemas/0/data", json!(secret)),
        with("/startTime", json!(secret)),
        json!(secret),
    ] {
        let error = parse(&json!({ "sources": [source] })).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("SECRET"), "{error}");
    }
    let source = one(with("/url", json!(secret))).unwrap();
    let debug = format!("{source:?} {}", Source::Streamed(source.clone()).name());
    assert!(!debug.contains("SECRET"), "{debug}");
}

#[test]
fn plain_http_needs_leave() {
    let manifest = json!({ "sources": [with("/url", json!("http://h.example/d?q=1"))] });
    let error = parse(&manifest).unwrap_err().to_string();
    assert!(
        error.contains("ALLOW_HTTP_SOURCES") && error.contains("http://h.example/d"),
        "{error}"
    );
    let body = manifest.to_string();
    assert!(parse_manifest(body.as_bytes(), &endpoint(), &ManifestLimits::default(), true).is_ok());
}

#[test]
fn the_number_of_sources_is_limited() {
    let sources: Vec<Value> = (0..4).map(|at| with("/id", json!(at.to_string()))).collect();
    let body = json!({ "sources": sources }).to_string();
    let parse = |max_sources| {
        parse_manifest(body.as_bytes(), &endpoint(), &ManifestLimits { max_sources }, false)
    };
    assert_eq!(parse(4).unwrap().sources.len(), 4);
    let error = parse(3).unwrap_err().to_string();
    assert!(error.starts_with("sources: more than 3 sources"), "{error}");
}

#[test]
fn a_source_appears_once() {
    let with_id = |url: &str, end: &str| {
        let mut source = with("/id", json!("x"));
        source["url"] = json!(url);
        source["endTime"] = json!(end);
        source
    };
    let (first, second) = ("2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z");
    assert_eq!(
        problems(json!([with_id("/d?sig=1", first), with_id("/d?sig=2", first)])),
        (1, vec![])
    );
    assert_eq!(
        problems(json!([with_id("/d", first), with_id("/d", second), with_id("/d", second)])),
        (1, vec![ProblemCode::DuplicateSourceId])
    );
    assert_eq!(problems(json!([streamed(), streamed()])), (1, vec![]));
    assert_eq!(problems(json!([streamed(), with("/url", json!("/data?r=2"))])), (2, vec![]));
}

#[test]
fn impossible_times_are_unknown() {
    let times = |start: &str, end: &str| {
        let mut source = streamed();
        source["startTime"] = json!(start);
        source["endTime"] = json!(end);
        let manifest = parse(&json!({ "sources": [source] })).unwrap();
        let codes: Vec<_> = manifest.problems.iter().map(|problem| problem.code).collect();
        let Source::Streamed(source) = &manifest.sources[0] else { panic!() };
        (source.start, source.end, codes)
    };
    assert_eq!(
        times("-262143-01-01T00:00:00Z", "+262142-12-31T23:59:59.999999999Z"),
        (None, None, vec![])
    );
    assert_eq!(
        times("1900-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        (None, Some(Nanos(999_999_999)), vec![ProblemCode::TimeOutOfRange])
    );
    assert_eq!(
        times("1970-01-01T00:00:11Z", "1970-01-01T00:00:10Z"),
        (None, None, vec![ProblemCode::StartAfterEnd])
    );
    // The end covers its whole second.
    assert_eq!(
        times("1970-01-01T00:00:10.5Z", "1970-01-01T00:00:10Z"),
        (Some(Nanos(10_500_000_000)), Some(Nanos(10_999_999_999)), vec![])
    );
}

#[test]
fn keys_follow_id_or_unsigned_url() {
    let key = |source: Value, endpoint: &Url| Source::Streamed(one(source).unwrap()).key(endpoint);
    let at = |url: &str| with("/url", json!(url));
    let here = endpoint();
    let there: Url = "https://other.example/manifest".parse().unwrap();
    let base = key(at("https://s.example/d?r=1"), &here);
    let signed = at("https://s.example/d?X-Amz-Date=9&r=1&X-Amz-Signature=abc");
    assert_eq!(key(signed, &here), base);
    assert_ne!(key(at("https://s.example/d?r=1&Expires=3"), &here), base);
    assert_ne!(key(at("https://s.example/d?r=1"), &there), base);
    let mut named = at("https://s.example/d?r=1");
    named["id"] = json!("x");
    let mut moved = at("https://s.example/elsewhere");
    moved["id"] = json!("x");
    assert_eq!(key(named.clone(), &here), key(moved, &here));
    assert_ne!(key(named, &here), base);
    let url = one(at("https://s.example/d?r=1")).unwrap().url;
    assert_ne!(Source::Static(StaticSource { url }).key(&here), base);
}

proptest! {
    #[test]
    fn no_body_panics(mut body in Just(EXAMPLE.as_bytes().to_vec()), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let at = at.index(body.len());
        if cut { body.truncate(at) } else { body[at] = byte }
        let _ = parse_manifest(&body, &endpoint(), &ManifestLimits::default(), true);
    }
}
