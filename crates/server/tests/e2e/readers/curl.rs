//! curl with every kind of range and condition: each answer is that slice of the whole file.

use std::ops::Range;
use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use super::{Library, run};

/// What came of one run of curl.
struct Seen {
    status: u64,
    /// With names in lower case.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// What `--write-out '%{json}'` says.
    info: Value,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

async fn run_in(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let always = ["--silent", "--show-error", "--max-time", "60", "--noproxy", "*"];
    run(Command::new("curl").current_dir(folder).args(always).args(arguments)).await
}

async fn curl(arguments: &[&str]) -> Seen {
    let folder = tempfile::tempdir().unwrap();
    let report = ["--dump-header", "headers", "--output", "body", "--write-out", "%{json}"];
    let info: Value =
        serde_json::from_slice(&run_in(folder.path(), &[&report, arguments].concat()).await)
            .unwrap();
    let headers = std::fs::read_to_string(folder.path().join("headers")).unwrap();
    let headers = headers
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    // Without a body there is no file.
    let body = std::fs::read(folder.path().join("body")).unwrap_or_default();
    Seen { status: info["response_code"].as_u64().unwrap(), headers, body, info }
}

/// What an answer has to be.
enum Expected {
    Part(Range<usize>),
    Whole,
    Refused(u64),
}
use Expected::{Part, Refused, Whole};

#[tokio::test]
async fn every_range_and_condition_gives_that_slice() {
    let library = Library::open().await;
    for file in library.all() {
        let (url, whole) = (file.url.as_str(), &file.whole);
        let n = whole.len();
        let head = curl(&["--head", url]).await;
        // curl writes the headers of an answer without a body twice.
        assert_eq!((head.status, head.info["size_download"].as_u64()), (200, Some(0)));
        let length = n.to_string();
        assert_eq!(head.header("content-length"), Some(length.as_str()));
        assert_eq!(head.header("accept-ranges"), Some("bytes"));
        let etag = head.header("etag").unwrap();

        let [from_last, after] = [format!("{}-", n - 1), format!("{n}-")];
        let [past, larger] = [format!("{}-{}", n - 5, n + 1_000), format!("-{}", n + 1_000)];
        let middle = format!("{}-{}", n / 5, n / 2);
        let if_range = format!("If-Range: {etag}");
        let if_match = format!("If-Match: {etag}");
        let if_none_match = format!("If-None-Match: {etag}");
        let cases: [(&[&str], Expected); 24] = [
            (&["-r", "0-0"], Part(0..1)),
            (&["-r", "0-7"], Part(0..8)),
            (&["-r", "-8"], Part(n - 8..n)),
            (&["-r", &larger], Part(0..n)),
            (&["-r", "-0"], Refused(416)),
            (&["-r", &past], Part(n - 5..n)),
            (&["-r", &from_last], Part(n - 1..n)),
            (&["-r", &after], Refused(416)),
            (&["-r", "1000-"], Part(1_000..n)),
            (&["-r", &middle], Part(n / 5..n / 2 + 1)),
            (&["-r", "0-9,20-29"], Whole),
            (&["-H", "Range: bytes=20-10"], Whole),
            (&["-H", "Range: lines=0-9"], Whole),
            // What the mcap command line asks first.
            (&["-r", "-250000"], Part(n.saturating_sub(250_000)..n)),
            (&[], Whole),
            (&["-r", "5-9", "-H", &if_range], Part(5..10)),
            (&["-r", "5-9", "-H", "If-Range: \"other\""], Whole),
            (&["-r", "5-9", "-H", &if_match], Part(5..10)),
            (&["-r", "5-9", "-H", "If-Match: \"other\""], Refused(412)),
            (&["-H", &if_none_match], Refused(304)),
            (&["-r", "5-9", "-H", "If-None-Match: \"other\""], Part(5..10)),
            (&["-r", "5-9", "-H", "Accept-Encoding: gzip"], Part(5..10)),
            (&["-H", "Accept-Encoding: gzip, br, zstd"], Whole),
            (&["-r", &middle, "--http2-prior-knowledge"], Part(n / 5..n / 2 + 1)),
        ];
        for (arguments, expected) in cases {
            let seen = curl(&[arguments, &[url]].concat()).await;
            let (status, slice) = match &expected {
                Part(range) => (206, &whole[range.clone()]),
                Whole => (200, &whole[..]),
                Refused(status) => (*status, &[][..]),
            };
            assert_eq!(seen.status, status, "{arguments:?}");
            assert_eq!(seen.header("content-encoding"), None, "{arguments:?}");
            match expected {
                Refused(416) => {
                    let none = format!("bytes */{n}");
                    assert_eq!(seen.header("content-range"), Some(none.as_str()));
                    continue;
                }
                Refused(412) => continue,
                Part(Range { start, end }) => {
                    let range = format!("bytes {start}-{}/{n}", end - 1);
                    assert_eq!(seen.header("content-range"), Some(range.as_str()));
                }
                _ => assert_eq!(seen.header("content-range"), None, "{arguments:?}"),
            }
            assert!(seen.body == slice, "{arguments:?}: {} bytes", seen.body.len());
            assert_eq!(seen.header("etag"), Some(etag), "{arguments:?}");
            if status != 304 {
                let length = slice.len().to_string();
                assert_eq!(seen.header("content-length"), Some(length.as_str()), "{arguments:?}");
            }
            let version = if arguments.contains(&"--http2-prior-knowledge") { "2" } else { "1.1" };
            assert_eq!(seen.info["http_version"], version);
        }
    }
}

#[tokio::test]
async fn one_connection_serves_many_and_a_download_goes_on_where_it_stopped() {
    let library = Library::open().await;
    let file = &library.files;
    let folder = tempfile::tempdir().unwrap();
    let n = file.whole.len();

    let range = ["-r", "1000000-1100000", "-w", "%{num_connects} "];
    let urls = ["-o", "a", &file.url, "-o", "b", &file.url, "-o", "c", &file.url];
    let connects = run_in(folder.path(), &[&range[..], &urls].concat()).await;
    assert_eq!(String::from_utf8_lossy(&connects), "1 0 0 ");
    for name in ["a", "b", "c"] {
        let body = std::fs::read(folder.path().join(name)).unwrap();
        assert!(body == file.whole[1_000_000..=1_100_000], "{name}");
    }

    let part = folder.path().join("drive.mcap");
    std::fs::write(&part, &file.whole[..n / 3]).unwrap();
    let resume = ["-C", "-", "-o", "drive.mcap", "-w", "%{response_code} %{size_download}"];
    let said = run_in(folder.path(), &[&resume[..], &[&file.url]].concat()).await;
    assert_eq!(String::from_utf8_lossy(&said), format!("206 {}", n - n / 3));
    assert!(std::fs::read(&part).unwrap() == file.whole);
}
