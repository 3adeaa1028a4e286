//! The real binary against real servers: the fake backend and its faults, Debian's nginx, a
//! backend written with Foxglove's SDK, and the demo. What it answers is compared with an
//! independent merge and validated by the MCAP readers of Rust and of Python.
//!
//! `make test` builds and installs what these tests need; without it they fail and say so.

#![expect(clippy::unwrap_used, reason = "what cannot be unwrapped here fails the test")]

mod api;
mod backend;
mod cache;
mod chart;
mod check;
mod credentials;
mod demo;
mod drive;
mod example;
mod export;
mod faults;
mod files;
mod fleet;
mod guide;
mod kit;
mod lifecycle;
mod links;
mod metrics;
mod nginx;
mod readers;
mod replicas;
mod replicas_under_fire;
mod running;
mod sdk_backend;
mod sign_in;
mod traces;
mod users;
mod view;
mod view_video;
