//! Stands before a server on this machine, so that its answers take as long as those of one that
//! is far away.

use std::time::Duration;

use clap::Parser;
use rdl_testkit::servers::TcpProxy;

#[derive(Parser)]
struct Arguments {
    /// Before which server: http://ADDRESS:PORT.
    server: String,
    /// How long a request and its answer are under way together, in milliseconds: half of it each.
    #[arg(long)]
    round_trip_ms: u64,
}

/// Prints the URL that it listens at, and passes on until it is killed.
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let proxy = TcpProxy::start(&arguments.server).await?;
    proxy.set_latency_ms(arguments.round_trip_ms / 2);
    println!("{}", proxy.url());
    loop {
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
}
