use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::bind;

const PIECE_BYTES: usize = 64 << 10;
/// Of one direction of one connection; more waits at its sender.
const PIECES_UNDER_WAY: usize = 64;
const BACKLOG: u32 = 1024;

/// Stands between a server and some of its clients, and slows them down or cuts them off.
pub struct TcpProxy {
    address: SocketAddr,
    target: SocketAddr,
    path: String,
    latency_ms: Arc<AtomicU64>,
    serving: Mutex<Option<Serving>>,
    /// Keeps the port while nobody listens at it.
    _bound: TcpSocket,
}

struct Serving {
    /// Dropped or sent, it ends the task.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl TcpProxy {
    /// Listens on a free port of the loopback interface, in front of `http://<address>:<port>`,
    /// perhaps with a path.
    ///
    /// # Errors
    ///
    /// If that is no such URL, or no port can be bound.
    pub async fn start(url: &str) -> anyhow::Result<TcpProxy> {
        let rest = url.strip_prefix("http://").context("only http:// URLs")?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let target = authority.parse().with_context(|| format!("{authority} is no address"))?;
        let bound = bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = bound.local_addr()?;
        let proxy = TcpProxy {
            address,
            target,
            path: path.to_owned(),
            latency_ms: Arc::default(),
            serving: Mutex::new(None),
            _bound: bound,
        };
        proxy.pass()?;
        Ok(proxy)
    }

    /// The URL that it was started with, by way of the proxy.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.path)
    }

    /// Where it listens; the same for as long as it lives.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Delays whatever is read from now on, in either direction: a request and its answer take
    /// twice as long. Connecting is not slowed down, nor is the throughput much.
    pub fn set_latency_ms(&self, latency_ms: u64) {
        self.latency_ms.store(latency_ms, Ordering::Relaxed);
    }

    /// Ends every connection, and has new ones refused until [`pass`](Self::pass).
    pub async fn cut(&self) {
        let serving = self.serving.lock().take();
        if let Some(Serving { stop, task }) = serving {
            drop(stop);
            // It does not panic, and nobody aborts it.
            let _ended = task.await;
        }
    }

    /// Lets connections through again after [`cut`](Self::cut).
    ///
    /// # Errors
    ///
    /// If the system does not let it listen.
    pub fn pass(&self) -> std::io::Result<()> {
        let mut serving = self.serving.lock();
        if serving.is_none() {
            let listener = bind(self.address)?.listen(BACKLOG)?;
            let (stop, stopped) = oneshot::channel();
            let task = serve(listener, self.target, Arc::clone(&self.latency_ms), stopped);
            *serving = Some(Serving { stop, task: tokio::spawn(task) });
        }
        Ok(())
    }
}

async fn serve(
    listener: TcpListener,
    target: SocketAddr,
    latency_ms: Arc<AtomicU64>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            Ok((client, _)) = listener.accept() => {
                connections.spawn(carry(client, target, Arc::clone(&latency_ms)));
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn carry(client: TcpStream, target: SocketAddr, latency_ms: Arc<AtomicU64>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    for stream in [&client, &server] {
        // Where it fails the connection has ended, which is found out below.
        let _set = stream.set_nodelay(true);
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(
        delay(from_client, to_server, &latency_ms),
        delay(from_server, to_client, &latency_ms),
    );
}

/// Until the end of `from`, which is passed on too, or until `to` takes no more.
async fn delay(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, latency_ms: &AtomicU64) {
    let (under_way, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES_UNDER_WAY);
    let depart = async move {
        let mut buffer = vec![0; PIECE_BYTES];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let latency = Duration::from_millis(latency_ms.load(Ordering::Relaxed));
            let piece = (Instant::now() + latency, buffer[..length].to_vec());
            if under_way.send(piece).await.is_err() {
                break;
            }
        }
    };
    let arrive = async move {
        while let Some((due, piece)) = arriving.recv().await {
            // A timer takes a millisecond even when its time has come.
            if due > Instant::now() {
                tokio::time::sleep_until(due).await;
            }
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _ended = to.shutdown().await;
    };
    tokio::join!(depart, arrive);
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    async fn round_trip(stream: &mut TcpStream) -> std::io::Result<Duration> {
        let started = Instant::now();
        stream.write_all(b"hello").await?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        assert_eq!(&answer, b"hello");
        Ok(started.elapsed())
    }

    #[tokio::test]
    async fn a_connection_is_slowed_down_cut_and_let_through_again() {
        let proxy = TcpProxy::start(&format!("http://{}/path", echo().await)).await.unwrap();
        assert_eq!(proxy.url(), format!("http://{}/path", proxy.address()));
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        round_trip(&mut stream).await.unwrap();
        proxy.set_latency_ms(50);
        assert!(round_trip(&mut stream).await.unwrap() >= Duration::from_millis(100));
        proxy.set_latency_ms(0);
        for _ in 0..3 {
            proxy.cut().await;
            round_trip(&mut stream).await.unwrap_err();
            let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            proxy.pass().unwrap();
            stream = TcpStream::connect(proxy.address()).await.unwrap();
            round_trip(&mut stream).await.unwrap();
        }
    }

    #[tokio::test]
    async fn everything_arrives_and_ends() {
        let proxy = TcpProxy::start(&format!("http://{}", echo().await)).await.unwrap();
        proxy.set_latency_ms(5);
        let (mut from, mut to) = TcpStream::connect(proxy.address()).await.unwrap().into_split();
        let sent: Vec<u8> = (0..9_000_000_u32).map(|number| (number % 251) as u8).collect();
        let expected = sent.clone();
        tokio::spawn(async move { to.write_all(&sent).await });
        let mut received = Vec::new();
        from.read_to_end(&mut received).await.unwrap();
        assert!(received == expected);
    }
}
