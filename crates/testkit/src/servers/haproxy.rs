use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpSocket;

use super::bind;
use crate::http::get;

/// Debian's HAProxy in front of servers that come and go, as a balancer of Kubernetes is: each has
/// a port of its own, and gets requests while its `/readiness` answers 200. It is killed when
/// dropped.
///
/// The header `x-server` of an answer says which server it is from, counted from 0.
pub struct Haproxy {
    address: SocketAddr,
    servers: Vec<SocketAddr>,
    process: Child,
    _home: tempfile::TempDir,
    /// Keep the ports while nobody listens at them.
    _bound: Vec<TcpSocket>,
}

impl Haproxy {
    /// Starts it in front of so many servers, of which none needs to run.
    ///
    /// # Errors
    ///
    /// If HAProxy is not installed (Debian's package is `haproxy`) or does not start.
    pub async fn start(servers: usize) -> anyhow::Result<Haproxy> {
        let program = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"].map(PathBuf::from);
        let program = program.iter().find(|path| path.is_file());
        let program =
            program.context("HAProxy is not installed; on Debian: apt-get install haproxy")?;
        let local = || bind((Ipv4Addr::LOCALHOST, 0).into());
        let bound: Vec<TcpSocket> = (0..=servers).map(|_| local()).collect::<Result<_, _>>()?;
        let mut addresses =
            bound.iter().map(TcpSocket::local_addr).collect::<Result<Vec<_>, _>>()?;
        let address = addresses.pop().context("it has an address of its own")?;
        let home = tempfile::tempdir()?;
        let (file, log) = (home.path().join("haproxy.cfg"), home.path().join("log"));
        std::fs::write(&file, configuration(address, &addresses))?;
        let said = std::fs::File::create(&log)?;
        let process = Command::new(program)
            .args([Path::new("-db"), Path::new("-f"), &file])
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()?;
        let (servers, bound) = (addresses, bound);
        let mut running = Haproxy { address, servers, process, _home: home, _bound: bound };
        for _ in 0..500 {
            if running.process.try_wait()?.is_some() {
                bail!("HAProxy does not start: {}", std::fs::read_to_string(&log)?);
            }
            let healthy = get(&format!("{}/proxy-is-up", running.url()), &[]).await;
            if healthy.is_ok_and(|answer| answer.status == 200) {
                return Ok(running);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("HAProxy runs but does not answer")
    }

    /// `http://127.0.0.1:<port>`, without a slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the servers are to listen.
    pub fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _killed = self.process.kill();
        let _ended = self.process.wait();
    }
}

fn configuration(address: SocketAddr, servers: &[SocketAddr]) -> String {
    let servers: Vec<String> = servers
        .iter()
        .enumerate()
        .map(|(number, server)| {
            format!("    server {number} {server} check inter 100ms fall 1 rise 1\n")
        })
        .collect();
    format!(
        "\
global
    maxconn 500
defaults
    mode http
    timeout connect 1s
    timeout client 120s
    timeout server 120s
    retries 3
    option redispatch
    retry-on conn-failure empty-response
frontend in
    bind {address}
    monitor-uri /proxy-is-up
    default_backend loaders
backend loaders
    balance roundrobin
    option httpchk GET /readiness
    http-response set-header x-server %s
{}",
        servers.concat()
    )
}
