use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::random::Random;

const MAX_HEAD_LINES: usize = 100;
const MAX_BODY_BYTES: usize = 64 << 20;

/// The statuses that a store has a bad day with, and what S3 says then.
const TROUBLES: [(&str, &str); 2] =
    [("500 Internal Server Error", "InternalError"), ("503 Slow Down", "SlowDown")];

/// Stands between an S3 server and some of its clients; answers in its place, late, or keeps from
/// it that an object must not exist.
///
/// What is signed stays as it is, but for the header that is kept back: only a server that checks
/// no signature takes that. Each connection carries one request.
pub struct HttpProxy {
    address: SocketAddr,
    faults: Arc<Faults>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Faults {
    /// Of a thousand requests so many fail, half of them after they were carried out.
    failing: AtomicU64,
    random: Mutex<Option<Random>>,
    failed: AtomicU64,
    delay_ms: AtomicU64,
    drops_conditions: AtomicBool,
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Good,
    Refused(usize),
    /// It is carried out, and the answer says otherwise.
    Belied(usize),
}

impl HttpProxy {
    /// Listens on a free port of the loopback interface, in front of `http://<address>:<port>`.
    ///
    /// # Errors
    ///
    /// If that is no such URL, or no port can be bound.
    pub async fn start(url: &str) -> anyhow::Result<HttpProxy> {
        let target = url.strip_prefix("http://").context("only http:// URLs")?;
        let target = target.parse().with_context(|| format!("{target} is no address"))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let faults = Arc::new(Faults::default());
        let serving = tokio::spawn(serve(listener, target, Arc::clone(&faults)));
        Ok(HttpProxy { address, faults, serving })
    }

    /// The URL by way of the proxy, without a slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on so many of a thousand requests are answered with a 500 or a 503, half of them
    /// after they were carried out; which ones follows from the seed.
    pub fn set_failing(&self, of_thousand: u64, seed: u64) {
        *self.faults.random.lock() = Some(Random::new(seed));
        self.faults.failing.store(of_thousand, Ordering::SeqCst);
    }

    /// How many requests failed so.
    pub fn failed(&self) -> u64 {
        self.faults.failed.load(Ordering::SeqCst)
    }

    /// From now on every request waits for so long before it is looked at.
    pub fn set_delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.faults.delay_ms.store(millis, Ordering::SeqCst);
    }

    /// From now on the server learns of no condition: objects that must not exist are overwritten.
    pub fn drop_conditions(&self) {
        self.faults.drops_conditions.store(true, Ordering::SeqCst);
    }
}

impl Drop for HttpProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Faults {
    fn fate(&self) -> Fate {
        let failing = self.failing.load(Ordering::SeqCst);
        let mut random = self.random.lock();
        let Some(random) = random.as_mut().filter(|_| failing > 0) else { return Fate::Good };
        let at = random.below(1000);
        if at >= failing {
            return Fate::Good;
        }
        self.failed.fetch_add(1, Ordering::SeqCst);
        let trouble = usize::from(random.below(2) == 1);
        if at < failing / 2 { Fate::Refused(trouble) } else { Fate::Belied(trouble) }
    }
}

async fn serve(listener: TcpListener, target: SocketAddr, faults: Arc<Faults>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let faults = Arc::clone(&faults);
        // A client or a server that has gone ends the connection, as it would without a proxy.
        connections.spawn(async move { carry(client, target, &faults).await });
    }
}

async fn carry(client: TcpStream, target: SocketAddr, faults: &Faults) -> anyhow::Result<()> {
    let mut client = BufReader::new(client);
    let (mut head, body) = read_request(&mut client).await?;
    let delay = Duration::from_millis(faults.delay_ms.load(Ordering::SeqCst));
    tokio::time::sleep(delay).await;
    let fate = faults.fate();
    let mut answer = Vec::new();
    if !matches!(fate, Fate::Refused(_)) {
        if faults.drops_conditions.load(Ordering::SeqCst) {
            head.retain(|line| !is_header(line, "if-none-match"));
        }
        answer = ask(target, &head, &body).await?;
    }
    if let Fate::Refused(trouble) | Fate::Belied(trouble) = fate {
        answer = trouble_answer(trouble, head[0].starts_with("HEAD "));
    }
    let mut client = client.into_inner();
    client.write_all(&answer).await?;
    client.shutdown().await?;
    Ok(())
}

/// The lines of the head, and the body.
async fn read_request(client: &mut BufReader<TcpStream>) -> anyhow::Result<(Vec<String>, Vec<u8>)> {
    let mut head: Vec<String> = Vec::new();
    loop {
        let mut line = String::new();
        ensure!(client.read_line(&mut line).await? > 0, "the request ends in its head");
        match line.trim_end() {
            "" if head.is_empty() => {}
            "" => break,
            line => head.push(line.to_owned()),
        }
        ensure!(head.len() <= MAX_HEAD_LINES, "a long head");
    }
    let length = head.iter().find(|line| is_header(line, "content-length"));
    let length = length.and_then(|line| line.split_once(':')).map_or("0", |(_, value)| value);
    let length: usize = length.trim().parse()?;
    ensure!(length <= MAX_BODY_BYTES, "a long body");
    let mut body = vec![0; length];
    client.read_exact(&mut body).await?;
    Ok((head, body))
}

/// The whole answer, saying that the connection ends with it.
async fn ask(target: SocketAddr, head: &[String], body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut server = TcpStream::connect(target).await?;
    let request = ended(head.iter().map(String::as_str));
    server.write_all(request.as_bytes()).await?;
    server.write_all(body).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let rest = answer.split_off(end.context("the answer ends in its head")? + 4);
    let head = String::from_utf8(answer)?;
    let mut answer = ended(head.trim_end().split("\r\n")).into_bytes();
    answer.extend_from_slice(&rest);
    Ok(answer)
}

/// A head for a connection that ends after it and its body.
fn ended<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines = lines.filter(|line| !is_header(line, "connection"));
    let lines: String = lines.flat_map(|line| [line, "\r\n"]).collect();
    format!("{lines}connection: close\r\n\r\n")
}

fn trouble_answer(trouble: usize, without_body: bool) -> Vec<u8> {
    let (status, code) = TROUBLES[trouble];
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Error><Code>{code}</Code><Message>This is a test.</Message></Error>"
    );
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    if without_body { head.into_bytes() } else { (head + &body).into_bytes() }
}

fn is_header(line: &str, name: &str) -> bool {
    line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::servers::S3Server;
    use crate::{get, send};

    const SIGNATURE: (&str, &str) = (
        "authorization",
        "AWS4-HMAC-SHA256 \
         Credential=any/20260131/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=any",
    );

    async fn proxied() -> (S3Server, HttpProxy, String) {
        let server = S3Server::start().await.unwrap();
        server.create_bucket("cache").await.unwrap();
        let proxy = HttpProxy::start(&server.url()).await.unwrap();
        let url = format!("{}/cache/a", proxy.url());
        (server, proxy, url)
    }

    #[tokio::test]
    async fn conditions_are_kept_until_they_are_dropped() {
        let (_server, proxy, url) = proxied().await;
        let once = [SIGNATURE, ("If-None-Match", "*")];
        for (body, status) in [(b"one", 200), (b"two", 412)] {
            let answer = send("PUT", &url, &once, body).await.unwrap();
            assert_eq!((answer.status, answer.complete), (status, true), "{}", answer.text());
        }
        proxy.drop_conditions();
        assert_eq!(send("PUT", &url, &once, b"two").await.unwrap().status, 200);
        assert_eq!(get(&url, &[SIGNATURE]).await.unwrap().text(), "two");
    }

    #[tokio::test]
    async fn trouble_comes_before_and_after_a_request_is_carried_out() {
        let (_server, proxy, url) = proxied().await;
        let (mut carried_out, mut statuses) = (0, Vec::new());
        for number in 0..20 {
            let url = format!("{url}/{number}");
            proxy.set_failing(1000, number);
            let answer = send("PUT", &url, &[SIGNATURE], b"x").await.unwrap();
            assert!(answer.complete && answer.text().contains("<Code>"), "{}", answer.text());
            statuses.push(answer.status);
            proxy.set_failing(0, 0);
            carried_out += usize::from(get(&url, &[SIGNATURE]).await.unwrap().status == 200);
        }
        assert!((1..20).contains(&carried_out), "{carried_out}");
        assert!(statuses.contains(&500) && statuses.contains(&503), "{statuses:?}");
        assert_eq!(proxy.failed(), 20);
        proxy.set_delay(Duration::from_millis(200));
        let started = Instant::now();
        get(&url, &[SIGNATURE]).await.unwrap();
        assert!(started.elapsed() >= Duration::from_millis(200));
    }
}
