use std::collections::VecDeque;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::http::get;

const PATIENCE: Duration = Duration::from_secs(30);
const KEPT_LINES: usize = 500;

/// A server process that prints the address at which it listens; it is killed when dropped.
pub struct Process {
    address: SocketAddr,
    child: Child,
    printed: Arc<Mutex<VecDeque<String>>>,
    following: JoinSet<()>,
}

impl Process {
    /// Starts `binary` and waits until it has printed `listening` and an address, on that line or
    /// on a later one.
    ///
    /// The environment is empty but for `PATH`, `HOME`, `TMPDIR` and `environment`.
    ///
    /// # Errors
    ///
    /// If it ends or says nothing within half a minute; the error has what it printed.
    pub async fn start(
        binary: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Process> {
        let inherited = ["PATH", "HOME", "TMPDIR"]
            .into_iter()
            .filter_map(|name| std::env::var_os(name).map(|value| (name, value)));
        let mut child = Command::new(binary)
            .args(arguments.iter().map(OsStr::new))
            .env_clear()
            .envs(inherited)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", binary.display()))?;
        let printed: Arc<Mutex<VecDeque<String>>> = Arc::default();
        let (found, mut addresses) = mpsc::unbounded_channel();
        let stdout = child.stdout.take().context("stdout is piped")?;
        let stderr = child.stderr.take().context("stderr is piped")?;
        let mut following = JoinSet::new();
        following.spawn(follow(stdout, Arc::clone(&printed), found.clone()));
        following.spawn(follow(stderr, Arc::clone(&printed), found));
        match tokio::time::timeout(PATIENCE, addresses.recv()).await {
            Ok(Some(address)) => Ok(Process { address, child, printed, following }),
            _ => {
                let lines = Vec::from(printed.lock().clone()).join("\n");
                bail!("{} did not say where it listens:\n{lines}", binary.display())
            }
        }
    }

    /// [`start`](Self::start) with `ADDRESS=127.0.0.1:0`, and waits for `/readiness`.
    ///
    /// # Errors
    ///
    /// As there, and if it is not ready within half a minute.
    pub async fn start_loader(
        binary: &Path,
        manifest_endpoint: &str,
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Process> {
        let mut all = vec![
            ("ADDRESS", "127.0.0.1:0"),
            ("PROMETHEUS_ADDRESS", "127.0.0.1:0"),
            ("MANIFEST_ENDPOINT", manifest_endpoint),
            ("ALLOW_HTTP_SOURCES", "true"),
            ("DISABLE_AUTH", "true"),
        ];
        all.retain(|(name, _)| !environment.iter().any(|(given, _)| given == name));
        all.extend_from_slice(environment);
        let process = Process::start(binary, &["serve"], &all).await?;
        process.is_ready().await?;
        Ok(process)
    }

    /// Waits until `/readiness` says so.
    ///
    /// # Errors
    ///
    /// If it is not ready within half a minute.
    pub async fn is_ready(&self) -> anyhow::Result<()> {
        let ready = async {
            let url = format!("{}/readiness", self.url());
            while !get(&url, &[]).await.is_ok_and(|answer| answer.status == 200) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, ready).await;
        waited.with_context(|| format!("not ready:\n{}", self.printed()))
    }

    /// `http://<address>`, without a slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The last lines that it printed.
    pub fn printed(&self) -> String {
        Vec::from(self.printed.lock().clone()).join("\n")
    }

    /// The process, to look at its memory.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills it and waits for its end.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub async fn kill(&mut self) -> std::io::Result<()> {
        self.child.kill().await
    }

    /// Asks it to end, as Kubernetes does: with SIGTERM.
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub fn terminate(&self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Waits for its end, and for all that it printed.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        let ended = self.child.wait().await;
        while self.following.join_next().await.is_some() {}
        ended
    }

    /// Stops it where it is: connections stay open, new ones are accepted by the system alone, and
    /// nothing is answered until [`thaw`](Self::thaw).
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = self.id().context("it has ended")?;
        let id =
            i32::try_from(id).ok().and_then(Pid::from_raw).context("no process has this id")?;
        Ok(kill_process(id, signal)?)
    }
}

/// Reads to the end, so that the process never waits for its reader.
async fn follow(
    output: impl AsyncRead + Unpin,
    printed: Arc<Mutex<VecDeque<String>>>,
    found: mpsc::UnboundedSender<SocketAddr>,
) {
    let mut lines = BufReader::new(output).lines();
    let mut listens = false;
    while let Ok(Some(line)) = lines.next_line().await {
        listens |= line.to_ascii_lowercase().contains("listening");
        if let Some(address) = address_in(&line).filter(|_| listens) {
            // Nobody listens once the address is known.
            let _known = found.send(address);
        }
        let mut printed = printed.lock();
        if printed.len() == KEPT_LINES {
            printed.pop_front();
        }
        printed.push_back(line);
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let separators = |letter: char| !(letter.is_ascii_alphanumeric() || ".:".contains(letter));
    line.split(separators).find_map(|word| {
        word.trim_matches([':', '.'])
            .parse::<SocketAddr>()
            .ok()
            .filter(|address| address.port() != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_text_and_in_json() {
        let expected = Some(SocketAddr::from(([127, 0, 0, 1], 4711)));
        for line in [
            "listening on http://127.0.0.1:4711",
            "ready, listening on http://127.0.0.1:4711: have fun",
            "2026-01-31T09:30:00Z INFO listening address=127.0.0.1:4711",
            r#"{"message":"Listening","address":"127.0.0.1:4711"}"#,
        ] {
            assert_eq!(address_in(line), expected, "{line}");
        }
        assert_eq!(address_in("listening on 127.0.0.1:0"), None);
    }

    #[tokio::test]
    async fn a_process_is_followed_and_ends_with_its_guard() {
        let script = "echo connected to 127.0.0.1:80; echo listening on:; echo more >&2; \
                      echo http://127.0.0.1:4711; sleep 100";
        let shell = Path::new("/bin/sh");
        let mut process = Process::start(shell, &["-c", script], &[]).await.unwrap();
        assert_eq!(process.url(), "http://127.0.0.1:4711");
        process.kill().await.unwrap();
        assert!(process.child.try_wait().unwrap().is_some());
    }

    #[tokio::test]
    async fn what_a_failed_process_said_is_in_the_error() {
        let script = "echo this will not do >&2; exit 2";
        let shell = Path::new("/bin/sh");
        let error = Process::start(shell, &["-c", script], &[]).await.err().unwrap();
        assert!(error.to_string().contains("this will not do"), "{error}");
    }
}
