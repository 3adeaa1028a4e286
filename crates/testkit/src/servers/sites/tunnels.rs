use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A proxy for `https://` (RFC 9110, 9.3.6) to which every name means the loopback interface.
pub(super) struct Tunnels {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Tunnels {
    pub(super) async fn open() -> anyhow::Result<Tunnels> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok(Tunnels { address, serving: tokio::spawn(serve(listener)) })
    }

    /// Without a slash.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Tunnels {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener) {
    let mut tunnels = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while tunnels.try_join_next().is_some() {}
        // Either end may leave when it likes, as it may without a proxy.
        tunnels.spawn(async move { carry(client).await });
    }
}

async fn carry(client: TcpStream) -> anyhow::Result<()> {
    let mut client = BufReader::new(client);
    let mut first = String::new();
    client.read_line(&mut first).await?;
    let mut line = first.clone();
    while !line.trim_end().is_empty() {
        line.clear();
        client.read_line(&mut line).await?;
    }
    // CONNECT name:port HTTP/1.1
    let port = first.strip_prefix("CONNECT ").and_then(|rest| rest.split([':', ' ']).nth(1));
    let port: u16 = port.context("only CONNECT, to a name and a port")?.parse()?;
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
