//! Prints the digest of an MCAP file, or of standard input: `digest FILE|-`.

use std::fs::File;

use anyhow::Context as _;
use rdl_bench::digest::of_mcap;

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("usage: digest FILE|-")?;
    let digest = match path.as_str() {
        "-" => of_mcap(std::io::stdin().lock())?,
        path => of_mcap(File::open(path).with_context(|| path.to_owned())?)?,
    };
    println!("{digest}");
    Ok(())
}
