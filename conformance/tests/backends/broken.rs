//! One backend for every rule that can fail: it fails that rule, and no other.

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use futures::StreamExt as _;
use rdl_conformance::{Outcome, RULES, Severity, Style};
use rdl_testkit::{FileSpec, RawChunk, RawFile};
use serde_json::json;

use crate::house::{
    Asked, House, Ranges, START, check, messages, names, ranged, refused, streamed,
};

type Break = fn(&mut House);

/// The rule, what the backend does, and what has to be in what was found.
const BROKEN: &[(&str, &str, Break)] = &[
    ("manifest-answers", "503 Service Unavailable (\"come back later\")", |house| {
        house.instead(only("/manifest", |_, _| {
            refused(StatusCode::SERVICE_UNAVAILABLE, "come back later")
        }));
    }),
    ("manifest-answers", "with the parameters that name a recording", |house| {
        house.instead(only("/manifest", |_, _| refused(StatusCode::NOT_FOUND, "unknown")));
    }),
    ("manifest-json", "an HTML page (Content-Type: text/html; charset=utf-8)", |house| {
        house.instead(only("/manifest", |_, _| {
            Html("<!doctype html><p>A login page</p>").into_response()
        }));
    }),
    ("manifest-json", "broken JSON, at line 1 column 13", |house| {
        house.instead(only("/manifest", |_, _| "{\"sources\": [".into_response()));
    }),
    ("manifest-schema", "not of type \"string\"", |house| {
        *house.at("/sources/0/url") = json!(null);
    }),
    ("manifest-schema", "\"topics\" is a required property", |house| {
        house.at("/sources/0").as_object_mut().unwrap().remove("topics");
    }),
    ("manifest-valid", "no schema of this source has the id 99", |house| {
        *house.at("/sources/0/topics/0/schemaId") = json!(99);
    }),
    ("manifest-valid", "not an RFC 3339 time", |house| {
        *house.at("/sources/0/startTime") = json!("2026-01-31 at noon");
    }),
    ("https", "http://198.51.100.7 is plain http", |house| {
        *house.at("/sources/0/url") = json!("http://198.51.100.7/data/0");
    }),
    ("id-unique", "two sources of this manifest have this id", |house| {
        *house.at("/sources/1/id") = json!("drive-0");
    }),
    ("id-stable", "asked again, the manifest has no source of this id", |house| {
        house.instead(|house, asked| {
            let again = asked.path == "/manifest" && asked.nth == 2;
            again.then(|| {
                let text = house.manifest.to_string().replace("drive-0", "drive-0-anew");
                text.into_response()
            })
        });
    }),
    ("id-stable", "asked again, it declares other times", |house| {
        house.instead(|house, asked| {
            let again = asked.path == "/manifest" && asked.nth == 2;
            again.then(|| {
                let mut manifest = house.manifest.clone();
                manifest["sources"][0]["endTime"] = json!("2026-01-31T09:31:00Z");
                manifest.to_string().into_response()
            })
        });
    }),
    ("times-possible", "after its end", |house| {
        *house.at("/sources/0/startTime") = json!("2026-02-01T00:00:00Z");
    }),
    ("times-possible", "outside of 1970 to 2554", |house| {
        *house.at("/sources/0/endTime") = json!("3026-02-01T00:00:00Z");
    }),
    ("times-plausible", "it starts at 1970-01-01", |house| {
        *house.at("/sources/0/startTime") = json!("1970-01-01T00:00:00Z");
    }),
    ("times-plausible", "far after today", |house| {
        *house.at("/sources/1/endTime") = json!("2226-01-31T00:00:00Z");
    }),
    ("source-answers", "it answered 500 Internal Server Error (\"no disk\")", |house| {
        house
            .instead(only("/data/0", |_, _| refused(StatusCode::INTERNAL_SERVER_ERROR, "no disk")));
    }),
    ("identity-encoding", "Content-Encoding: gzip", |house| {
        house.instead(only("/data/0", |house, asked| {
            let mut response = house.right(asked);
            response.headers_mut().insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
            response
        }));
    }),
    ("source-is-mcap", "an HTML page", |house| {
        house.instead(only("/data/0", |_, _| Html("<html>Not here</html>").into_response()));
    }),
    ("source-is-mcap", "begins with nothing", |house| house.stream(0, b"")),
    ("mcap-complete", "before its end magic", |house| {
        let mcap = house.streamed["/data/0"].clone();
        house.stream(0, &mcap[..mcap.len() * 3 / 4]);
    }),
    ("mcap-complete", "something after the end magic", |house| {
        let mcap = [&house.streamed["/data/0"][..], b"more"].concat();
        house.stream(0, &mcap);
    }),
    ("mcap-complete", "without an end of the data section", |house| {
        let mcap = small().record(mcap::records::op::FOOTER, &[0; 20]).bytes(mcap::MAGIC);
        house.stream(0, &mcap.into_bytes());
    }),
    ("mcap-complete", "the connection broke", |house| {
        house.instead(only("/data/0", |house, _| {
            let mcap = house.streamed["/data/0"].clone();
            let pieces = futures::stream::iter([Ok(mcap.slice(..2000))]);
            let broken = futures::stream::once(async {
                // What came before has left by then.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                Err(std::io::Error::other("disk"))
            });
            axum::body::Body::from_stream(pieces.chain(broken)).into_response()
        }));
    }),
    ("mcap-valid", "of channel 9, which was never defined", |house| {
        house.stream(0, &small().message(9, 0, START, b"{}").ended().into_bytes());
    }),
    ("mcap-valid", "channel 1 is defined twice, differently (/odom and /imu)", |house| {
        house.stream(0, &small().channel(1, 1, "/imu", "json").ended().into_bytes());
    }),
    ("mcap-valid", "names schema 7, which was never defined", |house| {
        house.stream(0, &small().channel(2, 7, "/imu", "json").ended().into_bytes());
    }),
    ("mcap-valid", "and they lie between", |house| {
        let records = RawFile::new().message(1, 1, START + 5, b"{}").into_bytes();
        let chunk = RawChunk::of(records, START + 6, START + 7);
        house.stream(0, &small().chunk(&chunk).ended().into_bytes());
    }),
    ("mcap-valid", "neither lz4 nor zstd", |house| {
        let records = RawFile::new().message(1, 1, START + 5, b"{}").into_bytes();
        let chunk =
            RawChunk { compression: "xz".into(), ..RawChunk::of(records, START, START + 5) };
        house.stream(0, &small().chunk(&chunk).ended().into_bytes());
    }),
    ("mcap-checksums", "its checksum is wrong", |house| {
        let records = RawFile::new().message(1, 1, START + 5, b"{}").into_bytes();
        let chunk = RawChunk { crc: 7, ..RawChunk::of(records, START + 5, START + 5) };
        house.stream(0, &small().chunk(&chunk).ended().into_bytes());
    }),
    ("mcap-checksums", "the data section has checksum", |house| {
        let mcap = small().record(mcap::records::op::DATA_END, &[1; 4]);
        let mcap = mcap.record(mcap::records::op::FOOTER, &[0; 20]).bytes(mcap::MAGIC);
        house.stream(0, &mcap.into_bytes());
    }),
    ("log-time-order", "it lies 20 ms before the newest message that came before it", |house| {
        let mut messages = messages(2);
        messages.swap(40, 42);
        house.stream(0, &FileSpec::default().write(&messages));
    }),
    ("topics-declared", "does not declare its topic", |house| {
        house.at("/sources/0/topics").as_array_mut().unwrap().remove(0);
    }),
    (
        "channels-as-declared",
        "its message encoding is \"json\"; the manifest declares \"cdr\"",
        |house| {
            *house.at("/sources/0/topics/0/messageEncoding") = json!("cdr");
        },
    ),
    ("channels-as-declared", "differs from the declared one from byte 0", |house| {
        *house.at("/sources/0/schemas/0/data") = json!("AAAA");
    }),
    ("channels-as-declared", "the manifest declares none", |house| {
        *house.at("/sources/0/topics/0/schemaId") = json!(null);
    }),
    ("times-within-bounds", "after the declared end", |house| {
        *house.at("/sources/0/endTime") = json!("2026-01-31T09:30:01.500Z");
    }),
    ("times-within-bounds", "before the declared start", |house| {
        *house.at("/sources/1/startTime") = json!("2026-01-31T09:30:02.005Z");
    }),
    ("same-data-twice", "message 11 was another at the second reading", |house| {
        house.instead(third_time("/data/0", |house, _| {
            let mut messages = messages(2);
            messages[10].data.push(b' ');
            let _ = house;
            streamed(&FileSpec::default().write(&messages).into())
        }));
    }),
    ("same-data-twice", "it had 200 messages at first, then 150 messages", |house| {
        house.instead(third_time("/data/0", |_, _| {
            streamed(&FileSpec::default().write(&messages(2)[..150]).into())
        }));
    }),
    ("client-leaves", "it answered 503 Service Unavailable", |house| {
        house.instead(third_time("/data/0", |_, _| {
            refused(StatusCode::SERVICE_UNAVAILABLE, "a worker is stuck")
        }));
    }),
    ("auth-manifest", "asked without a token, it answered 200 OK", |house| {
        house.instead(|house, asked| (asked.path == "/manifest").then(|| house.right(asked)));
    }),
    ("auth-manifest", "asked with a wrong token, it answered 200 OK", |house| {
        house.instead(|house, asked| {
            let is_open = asked.path == "/manifest" && asked.header("authorization").is_some();
            is_open.then(|| house.right(asked))
        });
    }),
    ("auth-data", "asked without a token, it answered 200 OK", |house| {
        house.instead(|house, asked| asked.path.starts_with("/data").then(|| house.right(asked)));
    }),
    ("static-ranges", "Range is ignored", |house| {
        file_with(house, || Ranges { ignores_range: true, ..Ranges::default() });
    }),
    ("static-ranges", "is right", |house| {
        file_with(house, || Ranges { tells_off_by: 1, ..Ranges::default() });
    }),
    ("static-ranges", "sends other bytes than the whole file has", |house| {
        house.instead(only("/files/whole.mcap", |house, asked| {
            // Suffix ranges are right.
            let suffix = asked.header("range").is_some_and(|range| range.starts_with("bytes=-"));
            let sends_off_by = if suffix { 0 } else { 7 };
            // What the summary is read by has to be right too.
            let small = asked.header("range").is_some_and(|range| !range.starts_with("bytes=0-"));
            let sends_off_by = if small { sends_off_by } else { 0 };
            let how = Ranges { sends_off_by, ..Ranges::default() };
            ranged(&house.files["/files/whole.mcap"], asked, &how)
        }));
    }),
    ("static-ranges", "416 Range Not Satisfiable", |house| {
        file_with(house, || Ranges { refuses_past_the_end: true, ..Ranges::default() });
    }),
    ("static-suffix-range", "Content-Range: bytes 0-", |house| {
        file_with(house, || Ranges { suffix_from_front: true, ..Ranges::default() });
    }),
    ("static-content-length", "without Content-Length", |house| {
        file_with(house, || Ranges { hides_length: true, ..Ranges::default() });
    }),
    ("static-if-match", "with its own ETag in If-Match it answered 412", |house| {
        file_with(house, || Ranges { always_refuses_if_match: true, ..Ranges::default() });
    }),
    ("static-summary", "its summary contradicts itself", |house| {
        house.file(&with_lying_index(8, u64::MAX / 2));
    }),
    ("static-summary", "its summary leaves out the chunk at byte", |house| {
        house.file(&without_an_index());
    }),
];

/// The beginning of a stream of one topic, with a message.
fn small() -> RawFile {
    RawFile::started()
        .schema(1, "test.odom", "jsonschema", br#"{"type":"object"}"#)
        .channel(1, 1, "/odom", "json")
        .message(1, 0, START, b"{}")
}

/// For this path, once the token was seen to be right.
fn only(
    path: &'static str,
    answer: fn(&House, &Asked) -> Response,
) -> impl Fn(&House, &Asked) -> Option<Response> {
    move |house, asked| (asked.path == path && asked.has_token()).then(|| answer(house, asked))
}

/// When it is read again: the first reading, one that leaves, and the second.
fn third_time(
    path: &'static str,
    answer: fn(&House, &Asked) -> Response,
) -> impl Fn(&House, &Asked) -> Option<Response> {
    move |house, asked| {
        let is_it = asked.path == path && asked.nth == 3 && asked.has_token();
        is_it.then(|| answer(house, asked))
    }
}

fn file_with(house: &mut House, how: fn() -> Ranges) {
    house.instead(move |house, asked| {
        let file = house.files.get(&asked.path).filter(|_| asked.has_token())?;
        Some(ranged(file, asked, &how()))
    });
}

/// A file without checksums whose first chunk index lies: `add` is added to the number at `offset`
/// behind the times.
fn with_lying_index(offset: usize, add: u64) -> Vec<u8> {
    let (mut file, at) = with_chunk_index();
    let number = at + 9 + 16 + offset;
    let was: [u8; 8] = file[number..number + 8].try_into().unwrap();
    let lie = u64::from_le_bytes(was).saturating_add(add);
    file[number..number + 8].copy_from_slice(&lie.to_le_bytes());
    file
}

/// A file whose first chunk index is a record of an unknown kind.
fn without_an_index() -> Vec<u8> {
    let (mut file, at) = with_chunk_index();
    file[at] = 0x80;
    file
}

/// A file without checksums, and where its first chunk index stands.
fn with_chunk_index() -> (Vec<u8>, usize) {
    let spec = FileSpec { crcs: false, ..FileSpec::default() };
    let file = spec.write(&messages(4));
    let footer = file.len() - mcap::MAGIC.len() - 20;
    let summary: [u8; 8] = file[footer..footer + 8].try_into().unwrap();
    let mut at = usize::try_from(u64::from_le_bytes(summary)).unwrap();
    while file[at] != mcap::records::op::CHUNK_INDEX {
        let length: [u8; 8] = file[at + 1..at + 9].try_into().unwrap();
        at += 9 + usize::try_from(u64::from_le_bytes(length)).unwrap();
    }
    (file, at)
}

#[tokio::test]
async fn a_broken_backend_fails_its_rule_and_no_other() {
    let wrong: Vec<Option<String>> = futures::stream::iter(BROKEN)
        .map(|(rule, found, make)| async move {
            let mut house = House::good();
            make(&mut house);
            let report = house.open().await.check().await;
            let failed = names(&report, Outcome::Fail);
            let told = report.rules.iter().find(|it| it.name == *rule).unwrap();
            let is_found = told.findings.iter().any(|finding| finding.found.contains(found));
            (failed != [*rule] || !is_found).then(|| {
                let told: Vec<&str> =
                    told.findings.iter().map(|finding| finding.found.as_str()).collect();
                let all: Vec<_> = report.failed().map(|rule| (rule.name, &rule.found)).collect();
                format!("{rule} ({found}): {told:?}, and failed {all:?}")
            })
        })
        .buffer_unordered(4)
        .collect()
        .await;
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_is_a_broken_backend_for_every_rule_that_can_fail() {
    let broken = |name: &str| BROKEN.iter().any(|(rule, ..)| *rule == name);
    let can_fail = RULES.iter().filter(|rule| rule.severity == Severity::Must);
    let missing: Vec<&str> = can_fail.map(|rule| rule.name).filter(|name| !broken(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn an_id_means_the_same_in_every_manifest() {
    let one = House::good().open().await;
    let mut other = House::good();
    *other.at("/sources/0/endTime") = json!("2026-01-31T09:31:00Z");
    let other = other.open().await;
    let mut options = one.options();
    options.manifests = vec![one.manifest(), other.manifest()];
    let report = check(&options).await;
    assert_eq!(names(&report, Outcome::Fail), ["id-unique"]);
    let rule = report.failed().next().unwrap();
    assert_eq!(rule.found, "it declares other times than in manifest 1");
    assert_eq!(rule.place.as_ref().unwrap().manifest, Some(2));
}

#[tokio::test]
async fn the_report_says_where() {
    let mut house = House::good();
    let mut all = messages(2);
    all.swap(40, 42);
    all.swap(100, 107);
    house.stream(0, &FileSpec::default().write(&all));
    *house.at("/sources/1/endTime") = json!("2026-01-31T09:30:03.500Z");
    house.file(&Bytes::from_static(b"<html>gone</html>"));
    let open = house.open().await;
    let report = open.check().await;
    let plain = Style { width: 100, colours: false };
    insta::assert_snapshot!("broken", open.stable(&report.text(plain)));
    let failed: Vec<_> = report.failed().collect();
    let json = serde_json::to_string_pretty(&failed).unwrap();
    insta::assert_snapshot!("broken_json", open.stable(&json));
    let disorder = failed.iter().find(|rule| rule.name == "log-time-order").unwrap();
    let place = disorder.place.as_ref().unwrap();
    assert_eq!((place.message, place.source.as_deref()), (Some(42), Some("drive-0")));
    assert_eq!(place.time.as_deref(), Some("2026-01-31T09:30:00.410000000Z"));
}
