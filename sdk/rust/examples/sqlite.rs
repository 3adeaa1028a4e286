//! A data backend over a table of signals in SQLite, with axum.
//!
//! ```sh
//! cargo run --example sqlite -- drives.db
//! curl 'http://127.0.0.1:8081/manifest?recording=first-drive'
//! ```
//!
//! The table is `signals(recording TEXT, time INTEGER, signal TEXT, value REAL)`, with an index on
//! `(recording, time, signal)`; times are nanoseconds since the Unix epoch. A recording becomes a
//! source for every ten seconds. Copy this file and change the two queries.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use clap::Parser;
use remote_data_loader_backend::{
    Bearer, BodyOptions, BodySender, ChannelSet, ErrorReply, Manifest, MessageType, Nanos,
    StreamedSource, TimeRange, body, source_id, time_slices,
};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use serde::{Deserialize, Serialize};

/// Serves a table of signals to the remote data loader
#[derive(Parser)]
struct Args {
    /// The database
    database: PathBuf,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8081")]
    address: String,
    /// What everybody who asks has to know
    #[arg(long)]
    token: Option<String>,
}

/// What a message says.
#[derive(Serialize)]
struct Signal {
    value: f64,
}

const SCHEMA: &str = r#"{"type":"object","properties":{"value":{"type":"number"}}}"#;
const SLICE: Duration = Duration::from_secs(10);
/// As many sources as the loader takes. More come of a message whose time was never set.
const MOST_SLICES: usize = 10_000;

#[derive(Clone)]
struct Store {
    database: Arc<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let store = Store { database: Arc::new(args.database) };
    store.open()?;
    let app = Router::new()
        .route("/manifest", get(manifest))
        .route("/data", get(data))
        .with_state(store)
        .layer(middleware::from_fn_with_state(args.token, authorize));
    let listener = tokio::net::TcpListener::bind(&args.address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn authorize(
    State(wanted): State<Option<String>>,
    bearer: Option<Bearer>,
    request: Request,
    next: Next,
) -> Result<Response, ErrorReply> {
    match wanted {
        Some(wanted) if !bearer.is_some_and(|bearer| bearer.is(&wanted)) => {
            Err(ErrorReply::unauthorized("sign in to see recordings"))
        }
        _ => Ok(next.run(request).await),
    }
}

#[derive(Deserialize)]
struct ManifestQuery {
    recording: Option<String>,
}

async fn manifest(
    State(store): State<Store>,
    Query(query): Query<ManifestQuery>,
) -> Result<Json<Manifest>, ErrorReply> {
    let recording = query
        .recording
        .ok_or_else(|| ErrorReply::bad_request("which recording? Add recording=<name>"))?;
    blocking(move || {
        let connection = store.open()?;
        let Some(times) = times(&connection, &recording)? else {
            return Err(ErrorReply::not_found(format!("there is no recording {recording}")));
        };
        let channels = channels(&connection, &recording)?;
        if time_slices(times.start, times.end, SLICE).nth(MOST_SLICES).is_some() {
            return Err(failed(format!("{recording} lasts from {} to {}", times.start, times.end)));
        }
        let sources = time_slices(times.start, times.end, SLICE).map(|slice| {
            let (start, end) = (slice.start.0.to_string(), slice.end.0.to_string());
            // Whatever changes the data has to change the id: the loader keeps it under this one.
            let id = source_id(["v1", &recording, &start, &end]);
            let name = source_id([&recording]);
            let url = format!("/data?recording={name}&start={start}&end={end}");
            StreamedSource { id: Some(id), ..channels.source(url, slice) }.into()
        });
        let sources = sources.collect();
        Ok(Json(Manifest { name: Some(recording), sources }))
    })
    .await
}

#[derive(Deserialize)]
struct DataQuery {
    recording: String,
    start: u64,
    end: u64,
}

async fn data(
    State(store): State<Store>,
    Query(query): Query<DataQuery>,
) -> Result<Response, ErrorReply> {
    let (connection, channels, query) = blocking(move || {
        let connection = store.open()?;
        let channels = channels(&connection, &query.recording)?;
        Ok((connection, channels, query))
    })
    .await?;
    let times = TimeRange { start: Nanos(query.start), end: Nanos(query.end) };
    let (sender, body) = body(&channels, BodyOptions { times, ..BodyOptions::default() });
    // SQLite blocks, so it gets a thread. When this fails, the body aborts: its sender is dropped.
    tokio::task::spawn_blocking(move || {
        if let Err(error) = send(&connection, &channels, &query, sender) {
            eprintln!("a body was not finished: {error}");
        }
    });
    Ok(axum::body::Body::from_stream(body).into_response())
}

/// The messages of a source, in ascending time, one row in memory.
fn send(
    connection: &Connection,
    channels: &ChannelSet,
    query: &DataQuery,
    mut sender: BodySender,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut statement = connection.prepare(
        "SELECT time, signal, value FROM signals \
         WHERE recording = ?1 AND time BETWEEN ?2 AND ?3 ORDER BY time, signal",
    )?;
    let mut rows = statement.query((&query.recording, query.start, query.end))?;
    while let Some(row) = rows.next()? {
        let (time, value) = (Nanos(row.get(0)?), row.get(2)?);
        let topic = format!("/{}", row.get_ref(1)?.as_str()?);
        let channel = channels.channel(&topic).ok_or("a signal that was not there before")?;
        sender.blocking_write_with(channel, time, |out| {
            serde_json::to_writer(out, &Signal { value })
        })?;
    }
    sender.blocking_finish()?;
    Ok(())
}

/// One topic a signal. The manifest and the data of a recording declare the same ones.
fn channels(connection: &Connection, recording: &str) -> Result<ChannelSet, ErrorReply> {
    let mut channels = ChannelSet::new();
    let mut statement = connection
        .prepare("SELECT DISTINCT signal FROM signals WHERE recording = ?1 ORDER BY signal")
        .map_err(failed)?;
    let mut rows = statement.query([recording]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let signal: String = row.get(0).map_err(failed)?;
        channels
            .add(format!("/{signal}"), MessageType::json_schema("Signal", SCHEMA))
            .map_err(failed)?;
    }
    Ok(channels)
}

fn times(connection: &Connection, recording: &str) -> Result<Option<TimeRange>, ErrorReply> {
    let query = "SELECT min(time), max(time) FROM signals WHERE recording = ?1 HAVING count(*) > 0";
    let range = |row: &rusqlite::Row<'_>| {
        Ok(TimeRange { start: Nanos(row.get(0)?), end: Nanos(row.get(1)?) })
    };
    connection.query_row(query, [recording], range).optional().map_err(failed)
}

impl Store {
    fn open(&self) -> Result<Connection, ErrorReply> {
        Connection::open_with_flags(&*self.database, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .map_err(failed)
    }
}

/// What is the backend's own trouble is logged, and not told to users.
fn failed(error: impl std::fmt::Display) -> ErrorReply {
    eprintln!("{error}");
    ErrorReply::new(http::StatusCode::INTERNAL_SERVER_ERROR, "the database cannot be read")
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ErrorReply> + Send + 'static,
) -> Result<T, ErrorReply> {
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}
