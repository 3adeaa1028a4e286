//! A folder of a thousand files, most of them good.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use rdl_testkit::{Drive, FileSpec, Message, check_all, check_beginning};
use serde_json::Value;

use crate::running::Running;

/// How a file is spoiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Good,
    Truncated,
    WithoutSummary,
    Empty,
    NotMcap,
}

struct File {
    name: String,
    kind: Kind,
    bytes: u64,
    messages: Vec<Message>,
}

const FILES: usize = 1_000;
const ROBOTS: usize = 10;

fn kind(number: usize) -> Kind {
    match number % 50 {
        7 => Kind::Truncated,
        17 => Kind::WithoutSummary,
        27 => Kind::Empty,
        37 => Kind::NotMcap,
        _ => Kind::Good,
    }
}

fn write_all(root: &Path) -> Vec<File> {
    let mut files = Vec::new();
    for number in 0..FILES {
        let drive = Drive {
            seed: number as u64,
            start_nanos: 1_700_000_000_000_000_000 + number as u64 * 60_000_000_000,
            windows: 1,
            groups: 1,
            messages: 40,
            payload_bytes: 100,
            ..Drive::default()
        };
        let messages = drive.generate().merged();
        let kind = kind(number);
        let summary = kind != Kind::WithoutSummary;
        let spec = FileSpec { chunk_bytes: Some(1_000), summary, ..FileSpec::default() };
        let written = match kind {
            Kind::Good | Kind::WithoutSummary => spec.write(&messages),
            Kind::Truncated => {
                let whole = spec.write(&messages);
                whole[..whole.len() / 2].to_vec()
            }
            Kind::Empty => Vec::new(),
            Kind::NotMcap => b"this is no recording".repeat(50),
        };
        let name = format!("robot-{}/run {number:04}", number % ROBOTS);
        let path = root.join(format!("{name}.mcap"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &written).unwrap();
        files.push(File { name, kind, bytes: written.len() as u64, messages });
    }
    std::fs::write(root.join("robot-0/notes.txt"), "not for you").unwrap();
    std::fs::create_dir(root.join("robot-0/.snapshot")).unwrap();
    std::fs::write(root.join("robot-0/.snapshot/hidden.mcap"), "x").unwrap();
    files
}

fn rfc3339(nanos: u64) -> String {
    rdl_model::Nanos(nanos).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_files_are_listed_and_served_as_far_as_they_go() {
    let folder = tempfile::tempdir().unwrap();
    let files = write_all(folder.path());
    let backend = Running::folder(folder.path()).await;
    let started = Instant::now();
    let listed = backend.recordings().await;
    let first = started.elapsed();
    let started = Instant::now();
    assert_eq!(backend.recordings().await.len(), FILES + ROBOTS);
    let again = started.elapsed();
    eprintln!("listed {FILES} files in {first:?}, and again in {again:?}");
    assert!(again.as_secs() < 5 && first.as_secs() < 30, "{first:?}, {again:?}");

    let listed: BTreeMap<&str, &Value> =
        listed.iter().map(|entry| (entry["name"].as_str().unwrap(), entry)).collect();
    assert_eq!(listed.len(), FILES + ROBOTS);
    for file in &files {
        let entry = listed[file.name.as_str()];
        assert_eq!(entry["bytes"], file.bytes, "{entry}");
        let problems = entry["problems"].as_array().unwrap();
        match file.kind {
            Kind::Good | Kind::WithoutSummary => {
                assert!(problems.is_empty(), "{entry}");
                let (first, last) = (&file.messages[0], file.messages.last().unwrap());
                assert_eq!(entry["start"], rfc3339(first.log_time));
                assert_eq!(entry["end"], rfc3339(last.log_time));
                assert_eq!(
                    entry["topics"],
                    serde_json::json!(["/group0/topic0", "/group0/topic1"])
                );
            }
            Kind::Truncated => {
                assert!(problems[0].as_str().unwrap().contains("cut off"), "{entry}");
                assert_eq!(entry["start"], rfc3339(file.messages[0].log_time));
            }
            Kind::Empty => {
                assert_eq!(problems[0], "it is empty");
                assert!(entry["start"].is_null() && entry["end"].is_null());
            }
            Kind::NotMcap => assert!(problems[0].as_str().unwrap().contains("not MCAP"), "{entry}"),
        }
    }

    for file in files.iter().filter(|file| file.kind != Kind::Good) {
        let manifest = backend.manifest(&file.name).await;
        match file.kind {
            Kind::Empty | Kind::NotMcap => {
                assert_eq!(manifest.status, 404);
                let words = manifest.header("x-foxglove-error-message").unwrap();
                assert!(words.contains(&file.name), "{words}");
            }
            _ => {
                let sources = backend.sources(&file.name).await;
                assert_eq!(sources.len(), 1);
                assert!(sources[0]["id"].as_str().unwrap().starts_with(&file.name), "{sources:?}");
                let found = backend.messages(&sources[0]).await;
                match file.kind {
                    Kind::WithoutSummary => check_all(&found, &file.messages).unwrap(),
                    _ => check_beginning(&found, &file.messages).unwrap(),
                }
                assert!(!found.is_empty());
            }
        }
    }

    // A folder is all of its files that can be read, in the order of their names.
    let sources = backend.sources("robot-7").await;
    let usable: Vec<&File> = files
        .iter()
        .filter(|file| file.name.starts_with("robot-7/"))
        .filter(|file| !matches!(file.kind, Kind::Empty | Kind::NotMcap))
        .collect();
    assert_eq!(sources.len(), usable.len());
    for (source, file) in sources.iter().zip(&usable) {
        let is_static = source["supportsRangeRequests"] == true;
        assert_eq!(is_static, file.kind == Kind::Good, "{source}");
        assert!(source["url"].as_str().unwrap().contains(&file.name.replace(' ', "%20")));
    }
    check_all(&backend.messages(&sources[0]).await, &usable[0].messages[..20]).unwrap_err();
    let good = usable.iter().position(|file| file.kind == Kind::Good).unwrap();
    check_all(&backend.messages(&sources[good]).await, &usable[good].messages).unwrap();
    assert_eq!(listed["robot-7"]["problems"].as_array().unwrap().len(), 60);
}

#[tokio::test]
async fn a_folder_of_nothing_usable_says_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("bad")).unwrap();
    std::fs::write(folder.path().join("bad/a.mcap"), "").unwrap();
    std::fs::write(folder.path().join("bad/b.mcap"), "nothing").unwrap();
    let backend = Running::folder(folder.path()).await;
    let answer = backend.manifest("bad").await;
    assert_eq!(answer.status, 404);
    let words = answer.header("x-foxglove-error-message").unwrap();
    assert!(words.contains("bad/a.mcap: it is empty"), "{words}");
}

#[tokio::test]
async fn requests_without_sense_are_refused_with_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = FileSpec::default().write(&Drive::default().generate().merged());
    for name in ["a", "b"] {
        std::fs::write(folder.path().join(format!("{name}.mcap")), &file).unwrap();
    }
    let backend = Running::folder(folder.path()).await;
    for (path, status, says) in [
        ("/manifest", 400, "which recording"),
        ("/manifest?recording=", 400, "which recording"),
        ("/manifest?record=a", 400, "which recording"),
        ("/manifest?recording=c", 404, "there is no recording"),
        ("/manifest?recording=a&recording=c", 404, "there is no recording"),
        ("/", 404, "/recordings"),
        ("/files/c.mcap", 404, "no such file"),
        ("/files/a", 404, "no such file"),
    ] {
        let answer = backend.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.header("x-foxglove-error-message").unwrap().contains(says), "{path}");
    }
    let many = format!("/manifest?{}", "recording=a&".repeat(101));
    assert_eq!(backend.get(&many).await.status, 400);
    let both = backend.get("/manifest?recording=b&recording=a&recording=b&other=1").await;
    let urls: Vec<Value> = both.json().unwrap()["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| source["url"].clone())
        .collect();
    assert_eq!(urls, ["files/b.mcap", "files/a.mcap"]);
    let posted =
        rdl_testkit::send("POST", &format!("{}/recordings", backend.url), &[], b"").await.unwrap();
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
}

#[tokio::test]
async fn every_range_is_that_slice_under_one_tag() {
    let folder = tempfile::tempdir().unwrap();
    let file = FileSpec::default().write(&Drive::default().generate().merged());
    std::fs::write(folder.path().join("a.mcap"), &file).unwrap();
    let backend = Running::folder(folder.path()).await;
    let n = file.len();
    let whole = backend.get("/files/a.mcap").await;
    assert!(whole.complete && whole.body == file);
    let etag = whole.header("etag").unwrap().to_owned();
    assert!(etag.starts_with('"'));
    let url = format!("{}/files/a.mcap", backend.url);
    let head = rdl_testkit::send("HEAD", &url, &[], b"").await.unwrap();
    assert_eq!((head.status, head.header("content-length")), (200, Some(&*n.to_string())));
    assert_eq!(head.header("etag"), Some(&*etag));
    for (range, expected) in [
        ("bytes=0-0".to_owned(), Some(0..1)),
        ("bytes=-8".to_owned(), Some(n - 8..n)),
        (format!("bytes={}-{}", n - 5, n + 100), Some(n - 5..n)),
        ("bytes=100-".to_owned(), Some(100..n)),
        (format!("bytes={n}-"), None),
    ] {
        // Before anything was listed, and after.
        for _ in 0..2 {
            let answer = backend.get_with("/files/a.mcap", &[("range", &range)]).await;
            match &expected {
                Some(part) => {
                    assert_eq!((answer.status, answer.complete), (206, true), "{range}");
                    assert!(answer.body == file[part.clone()], "{range}");
                    let content = format!("bytes {}-{}/{n}", part.start, part.end - 1);
                    assert_eq!(answer.header("content-range"), Some(&*content));
                    assert_eq!(answer.header("etag"), Some(&*etag));
                }
                None => {
                    assert_eq!(answer.status, 416);
                    let content = format!("bytes */{n}");
                    assert_eq!(answer.header("content-range"), Some(&*content));
                }
            }
            backend.recordings().await;
        }
    }
    for (headers, status) in [
        (&[("if-match", "\"other\"")][..], 412),
        (&[("if-match", &*etag), ("range", "bytes=0-1")], 206),
        (&[("if-none-match", &*etag)], 304),
        (&[("if-range", "\"other\""), ("range", "bytes=0-1")], 200),
        (&[("if-range", &*etag), ("range", "bytes=0-1")], 206),
    ] {
        assert_eq!(backend.get_with("/files/a.mcap", headers).await.status, status, "{headers:?}");
    }
    // Another file under the same name has another tag at once, whatever was listed.
    backend.recordings().await;
    std::fs::write(folder.path().join("a.mcap"), &file[..n - 1]).unwrap();
    let changed = backend.get_with("/files/a.mcap", &[("range", "bytes=0-1")]).await;
    assert_eq!(changed.status, 206);
    assert_ne!(changed.header("etag"), Some(&*etag));
    let stale = [("if-match", &*etag), ("range", "bytes=0-1")];
    assert_eq!(backend.get_with("/files/a.mcap", &stale).await.status, 412);
}
