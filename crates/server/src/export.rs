//! `export`: a recording, or a part of it, into a file; straight from a data backend or from a
//! running loader.
//!
//! Bytes come from an [`Origin`], are looked at in passing ([`Watch`]) and go to an [`Output`]. A
//! running loader gives a file ([`download`]), which is asked for again from where a connection broke.
//!
//! Invariants: the file appears whole or not at all; bytes that end before the MCAP does are a
//! failure.

mod args;
mod download;
mod origin;
mod output;
mod progress;
mod watch;

use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;

pub(crate) use self::args::ExportArgs;
use self::args::{ExportPlan, OriginPlan};
use self::origin::Origin;
use self::output::Output;
use self::progress::{Progress, bytes_text};
use self::watch::Watch;
use crate::signals::Signals;

/// How often an export that met late messages reads again.
const READ_AGAIN: u32 = 2;

/// Runs an export to its end, or until a signal comes.
pub(crate) async fn run(plan: ExportPlan) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let ExportPlan { request, query, target, origin, token } = plan;
    let Some(target) = target else {
        let OriginPlan::Loader(loader) = &origin else { anyhow::bail!("--cut asks a loader") };
        let client = origin::client(loader)?;
        println!("{}", origin::link(&client, loader, &request, token.as_ref()).await?);
        return Ok(());
    };
    let origin = Origin::start(origin, request, query, token).await?;
    let done = tokio::select! {
        done = export(&origin, &target) => done,
        _ = signals.next() => Err(anyhow::anyhow!("interrupted; nothing was kept")),
    };
    origin.stop().await;
    let summary = done?;
    eprintln!("{summary}");
    Ok(())
}

/// Reads, and reads again where messages came too late to be put in order: once their sources are
/// complete they are in their place.
async fn export(origin: &Origin, target: &output::Target) -> anyhow::Result<String> {
    let mut output = Output::open(target)?;
    let progress = Progress::start();
    let mut again = READ_AGAIN;
    let watch = loop {
        let watch = read(origin, &mut output, &progress).await?;
        if again == 0 || !watch.is_late() || !output.can_restart() || !origin.may_give_more() {
            break watch;
        }
        again -= 1;
        progress.say("some messages came late: reading again");
        origin.complete().await;
        output.restart().await?;
    };
    let place = output.commit().await?;
    Ok(summary(&place, &watch, progress.elapsed()))
}

/// Copies one answer from its first byte to its last.
async fn read(origin: &Origin, output: &mut Output, progress: &Progress) -> anyhow::Result<Watch> {
    let mut watch = Watch::default();
    progress.restart();
    let mut pieces = origin.open(progress).await?;
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        watch.push(&piece)?;
        output.write(&piece).await?;
        progress.advance(&watch);
    }
    watch.finish()?;
    Ok(watch)
}

fn summary(place: &str, watch: &Watch, elapsed: Duration) -> String {
    let bytes = watch.bytes();
    let seconds = elapsed.as_secs_f64().max(1e-3);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rate for people"
    )]
    let rate = (bytes as f64 / seconds) as u64;
    let mut text = format!(
        "wrote {place}: {} messages, {}, in {seconds:.1} s ({}/s)",
        watch.message_count(),
        bytes_text(bytes),
        bytes_text(rate),
    );
    for missing in watch.missing() {
        text.push_str("; ");
        text.push_str(missing);
    }
    text
}
