//! The service and its command line: settings in, HTTP out.
//!
//! [`main`] reads the command line ([`cli`]) and runs one subcommand: [`serve`], [`export`],
//! [`check`], [`cache`], [`backend`], [`health`] or [`play`] (the demo). Requests enter through [`routes`],
//! which turn them into calls of the engine; [`auth`]
//! tells whose they are; whatever goes wrong becomes a [`problem`].
//!
//! Invariants: no token, cookie or query string is in any log line or error text; an error after
//! the headers of a response aborts its connection.

mod auth;
mod backend;
mod cache;
mod check;
mod cli;
mod demo;
mod embedded;
mod export;
mod health;
mod lifecycle;
mod metrics;
mod play;
mod problem;
mod routes;
mod serve;
mod settings;
mod signals;
mod telemetry;

pub use cli::main;
