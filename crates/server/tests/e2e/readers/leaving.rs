//! A viewer in a browser, which asks for much and leaves early, as Lichtblick was seen to do.

use std::ops::Range;
use std::time::Duration;

use rdl_testkit::{HttpAnswer, SeenRequest, get};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Library, RemoteFile};
use crate::running::Running;

const PATIENCE: Duration = Duration::from_secs(30);

/// An answer of which the head came; the rest comes as it is taken, and dropping it closes the
/// connection.
struct Begun {
    status: u16,
    head: String,
    /// What came of the body with the head.
    first: Vec<u8>,
    stream: TcpStream,
}

impl Begun {
    async fn get(url: &str, headers: &[(&str, &str)]) -> Begun {
        let rest = url.strip_prefix("http://").unwrap();
        let (authority, path) = rest.split_once('/').unwrap();
        let mut request = format!("GET /{path} HTTP/1.1\r\nhost: {authority}\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut stream = TcpStream::connect(authority).await.unwrap();
        stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
        let (mut head, mut first) = (Vec::new(), Vec::new());
        let whole = async {
            while first.is_empty() {
                let mut bytes = [0; 4096];
                let length = stream.read(&mut bytes).await.unwrap();
                assert!(length > 0, "{path}: closed within the head");
                head.extend_from_slice(&bytes[..length]);
                if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                    first = head.split_off(end + 4);
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, whole).await.unwrap();
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Begun { status, head, first, stream }
    }

    async fn range(url: &str, range: Range<usize>) -> Begun {
        let range = format!("bytes={}-{}", range.start, range.end - 1);
        let begun = Begun::get(url, &[("range", &range)]).await;
        assert_eq!(begun.status, 206, "{}", begun.head);
        begun
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(known, value)| (known == name).then_some(value))
    }

    /// The next bytes of the body.
    async fn take(&mut self, length: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.first.drain(..length.min(self.first.len())).collect();
        let had = bytes.len();
        bytes.resize(length, 0);
        let read = self.stream.read_exact(&mut bytes[had..]);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        bytes
    }
}

async fn part(file: &RemoteFile, range: Range<usize>) {
    let mut begun = Begun::range(&file.url, range.clone()).await;
    assert!(begun.take(range.len()).await == file.whole[range.clone()], "{range:?}");
}

/// Where a reader finds the summary, and the chunks with what belongs to them, by the index.
fn places(whole: &[u8]) -> (Range<usize>, Vec<Range<usize>>) {
    let footer = mcap::read::footer(whole).unwrap();
    let summary = mcap::Summary::read(whole).unwrap().unwrap();
    let chunk = |index: &mcap::records::ChunkIndex| {
        let start = index.chunk_start_offset as usize;
        start..start + (index.chunk_length + index.message_index_length) as usize
    };
    let chunks = summary.chunk_indexes.iter().map(chunk).collect();
    (footer.summary_start as usize..whole.len(), chunks)
}

/// Makes files that no buffer holds, of some 15 MB.
const LONG_PAYLOAD_BYTES: usize = 30_000;

#[tokio::test]
async fn a_viewer_that_seeks_and_leaves_gets_the_right_bytes_and_the_loader_goes_on() {
    let library = Library::of(LONG_PAYLOAD_BYTES).await;
    for file in library.all() {
        let (url, whole) = (file.url.as_str(), &file.whole);
        let n = whole.len();
        let (summary, chunks) = places(whole);
        let large = n / 2;
        let plain = Begun::get(url, &[]).await;
        assert_eq!((plain.status, plain.header("accept-ranges")), (200, Some("bytes")));
        assert_eq!(plain.header("content-length"), Some(n.to_string().as_str()));
        let etag = plain.header("etag").unwrap().to_owned();
        drop(plain);

        // A small file: one range to the end, and the tail beside it.
        let mut all = Begun::range(url, 0..n).await;
        let first = all.take(n / 3).await;
        part(file, n - 37..n).await;
        part(file, summary.clone()).await;
        assert!([first, all.take(n - n / 3).await].concat() == *whole);

        // A large one: large ranges, most of them left midway, then a chunk at a time.
        for seek in 0..12 {
            let from = seek * (n - large) / 12;
            let mut begun = Begun::range(url, from..from + large).await;
            let length = large * (seek % 4) / 8;
            assert!(begun.take(length).await == whole[from..from + length], "{from}");
            let chunk = chunks[seek * chunks.len() / 12].clone();
            part(file, chunk).await;
        }
        for chunk in chunks {
            part(file, chunk).await;
        }

        let mut same = Begun::get(url, &[("range", "bytes=-9"), ("if-range", &etag)]).await;
        assert_eq!((same.status, same.take(9).await), (206, whole[n - 9..].to_vec()));
        let other = Begun::get(url, &[("range", "bytes=-9"), ("if-range", "\"other\"")]).await;
        assert_eq!((other.status, other.header("etag")), (200, Some(etag.as_str())));
        drop(other);

        // More than could be held open at once.
        for number in 0..300 {
            let headers: &[_] = if number % 2 == 0 { &[] } else { &[("range", "bytes=1000-")] };
            let left = Begun::get(url, headers).await;
            assert!([200, 206].contains(&left.status), "{number}: {}", left.head);
        }
        let HttpAnswer { status, body, complete, .. } = get(url, &[]).await.unwrap();
        assert!(status == 200 && complete && body == *whole);
    }
}

/// How many bytes of a file these requests ask for.
fn bytes_asked(requests: &[SeenRequest]) -> u64 {
    let asked = |request: &SeenRequest| {
        let range = request.header("range").and_then(|range| range.strip_prefix("bytes="));
        let (first, last) = range.and_then(|range| range.split_once('-')).expect("a range");
        last.parse::<u64>().unwrap() + 1 - first.parse::<u64>().unwrap()
    };
    requests.iter().filter(|request| request.path.ends_with(".mcap")).map(asked).sum()
}

#[tokio::test]
async fn who_leaves_after_the_headers_costs_the_origin_a_chunk_at_most() {
    let library = Library::open().await;
    let mut longest = 0;
    for number in 0..library.files.recording.sources.len() {
        let source = format!("{}/files/{number}.mcap", library.backend.url());
        let (_, chunks) = places(&get(&source, &[]).await.unwrap().body);
        longest = chunks.iter().map(Range::len).fold(longest, usize::max);
    }
    // Another loader: this one knows nothing of the sources yet.
    let loader = Running::start(&library.backend.manifest_endpoint(), &[]).await;
    let described = loader.describe("ds.recording=files").await;
    let path = described["links"]["file"].as_str().unwrap();
    let url = format!("{}{path}", loader.process.url());
    library.backend.forget_requests();
    let begun = Begun::get(&url, &[]).await;
    assert_eq!(begun.status, 200);
    drop(begun);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = bytes_asked(&library.backend.requests());

    assert!(asked <= longest as u64, "{asked} bytes, and the longest chunk has {longest}");

    // Whoever stays gets all of it.
    let answer = get(&url, &[]).await.unwrap();
    assert!(answer.complete && answer.body == library.files.whole);
}
