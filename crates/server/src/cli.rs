//! The command line: which subcommand, with which settings, and the exit status.
//!
//! 0: done. 1: failed. 2: wrong usage, or a wrong value in flags or environment. What went wrong
//! is one line on standard error.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::backend::{self, BackendArgs};
use crate::cache::{self, CacheArgs, CacheCommand};
use crate::check::{self, CheckArgs};
use crate::export::{self, ExportArgs};
use crate::health::{self, HealthArgs};
use crate::play::{self, DemoArgs};
use crate::serve::{self, ServeArgs};
use crate::settings::{self, LogSettings, SettingsError};
use crate::telemetry;

/// Merges robot recordings from wherever their data lies into one MCAP stream, fast to seek
#[derive(Parser, Debug)]
#[command(name = "remote-data-loader", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    log: LogSettings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the service
    Serve(Box<ServeArgs>),
    /// Play a generated recording: a data backend and the service in one process
    Demo(DemoArgs),
    /// Write a recording, or a part of it, to a file
    Export(Box<ExportArgs>),
    /// Check a data backend, rule by rule
    Check(CheckArgs),
    /// Serve MCAP files of a folder or a bucket to a loader
    Backend(Box<BackendArgs>),
    /// See what is stored of loaded sources, and remove it
    Cache(CacheArgs),
    /// Ask whether the service on this machine answers: exit status 0 or 1
    Health(HealthArgs),
}

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let command = settings::read_environment(Cli::command());
    let cli = command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    match cli {
        Ok(cli) => run(cli),
        Err(error) => refuse(&error),
    }
}

fn run(cli: Cli) -> ExitCode {
    // What every client of this process does TLS with.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli.command {
        Command::Serve(args) => {
            let _exporting = match telemetry::start_with_traces(&cli.log, "info", &args.traces) {
                Ok(exporting) => exporting,
                Err(error) => return say(&format!("{error:#}"), FAILED),
            };
            checked(args.check(), |config| serve::run(*args, config))
        }
        Command::Export(args) => {
            telemetry::start(&cli.log, "off");
            checked(args.check(), export::run)
        }
        Command::Check(args) => {
            telemetry::start(&cli.log, "off");
            checked(args.check(), check::run)
        }
        Command::Backend(args) => {
            telemetry::start(&cli.log, "info");
            checked(args.check(), backend::run)
        }
        Command::Cache(CacheArgs { command }) => {
            telemetry::start(&cli.log, "off");
            match command {
                CacheCommand::List(args) => checked(args.check(), cache::list),
                CacheCommand::Purge(args) => checked(args.check(), cache::purge),
            }
        }
        Command::Health(args) => {
            telemetry::start(&cli.log, "off");
            checked(args.check(), health::run)
        }
        Command::Demo(args) => {
            telemetry::start(&cli.log, "warn");
            checked(Ok(args), play::run)
        }
    }
}

/// Runs `action` over settings that were found right.
fn checked<T, F>(settings: Result<T, SettingsError>, action: impl FnOnce(T) -> F) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => return say(&error.to_string(), WRONG_USAGE),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return say(&format!("cannot start threads: {error}"), FAILED),
    };
    let result = runtime.block_on(action(settings));
    // What still blocks a thread has nobody left who waits for it.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => say(&format!("{error:#}"), FAILED),
    }
}

/// Help and version are no errors. A wrong value is one line that names its variable; wrong usage
/// is shown with the right one.
fn refuse(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::ValueValidation => {
            let text = error.render().to_string();
            let line = text.lines().next().unwrap_or_default();
            say(line.trim_start_matches("error: "), WRONG_USAGE)
        }
        _ => {
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { WRONG_USAGE } else { 0 })
        }
    }
}

fn say(what: &str, status: u8) -> ExitCode {
    let line = what.replace(['\r', '\n'], " ");
    eprintln!("remote-data-loader: {line}");
    ExitCode::from(status)
}
