//! A data backend over a folder of Parquet files, with axum.
//!
//! ```sh
//! cargo run --example parquet -- drives/
//! curl 'http://127.0.0.1:8081/manifest?recording=first-drive'
//! ```
//!
//! `drives/first-drive.parquet` is the recording `first-drive`: columns `time` (64-bit integer,
//! nanoseconds since the Unix epoch), `signal` (text) and `value` (double), in ascending order of
//! time and signal. Row groups whose statistics say that they lie elsewhere are not read.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use clap::Parser;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::file::statistics::Statistics;
use parquet::record::RowAccessor as _;
use parquet::schema::types::Type;
use remote_data_loader_backend::{
    Bearer, BodyOptions, BodySender, ChannelSet, ErrorReply, Manifest, MessageType, Nanos,
    StreamedSource, TimeRange, body, source_id, time_slices,
};
use serde::{Deserialize, Serialize};

/// Serves a folder of Parquet files to the remote data loader
#[derive(Parser)]
struct Args {
    /// The folder
    folder: PathBuf,
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

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Parquet = SerializedFileReader<File>;

const SCHEMA: &str = r#"{"type":"object","properties":{"value":{"type":"number"}}}"#;
const SLICE: Duration = Duration::from_secs(10);
/// As many sources as the loader takes. More come of a message whose time was never set.
const MOST_SLICES: usize = 10_000;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let app = Router::new()
        .route("/manifest", get(manifest))
        .route("/data", get(data))
        .with_state(Arc::from(args.folder))
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
    State(folder): State<Arc<Path>>,
    Query(query): Query<ManifestQuery>,
) -> Result<Json<Manifest>, ErrorReply> {
    let recording = query
        .recording
        .ok_or_else(|| ErrorReply::bad_request("which recording? Add recording=<name>"))?;
    blocking(move || {
        let file = open(&folder, &recording)?;
        let channels = channels(&file).map_err(failed)?;
        let Some(times) = times(&file).map_err(failed)? else {
            return Err(ErrorReply::not_found(format!("the recording {recording} is empty")));
        };
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
    State(folder): State<Arc<Path>>,
    Query(query): Query<DataQuery>,
) -> Result<Response, ErrorReply> {
    let times = TimeRange { start: Nanos(query.start), end: Nanos(query.end) };
    let (file, channels) = blocking(move || {
        let file = open(&folder, &query.recording)?;
        let channels = channels(&file).map_err(failed)?;
        Ok((file, channels))
    })
    .await?;
    let (sender, body) = body(&channels, BodyOptions { times, ..BodyOptions::default() });
    // Reading files blocks, so it gets a thread. When this fails, the body aborts: its sender is
    // dropped.
    tokio::task::spawn_blocking(move || {
        if let Err(error) = send(&file, &channels, times, sender) {
            eprintln!("a body was not finished: {error}");
        }
    });
    Ok(axum::body::Body::from_stream(body).into_response())
}

/// The messages of a source, in ascending time, one row group after the other.
fn send(
    file: &Parquet,
    channels: &ChannelSet,
    times: TimeRange,
    mut sender: BodySender,
) -> Result<(), Failure> {
    for (at, group) in file.metadata().row_groups().iter().enumerate() {
        if group_times(group).is_some_and(|group| !group.overlaps(times)) {
            continue;
        }
        let group = file.get_row_group(at)?;
        let columns = projected(file, &["time", "signal", "value"])?;
        for row in group.get_row_iter(Some(columns))? {
            let row = row?;
            let time = Nanos(row.get_long(0)?.try_into()?);
            if times.contains(time) {
                let topic = format!("/{}", row.get_string(1)?);
                let channel =
                    channels.channel(&topic).ok_or("a signal that was not there before")?;
                let signal = Signal { value: row.get_double(2)? };
                sender.blocking_write_with(channel, time, |out| {
                    serde_json::to_writer(out, &signal)
                })?;
            }
        }
    }
    sender.blocking_finish()?;
    Ok(())
}

/// One topic a signal. Only that column is read; with long recordings keep this in a catalogue.
fn channels(file: &Parquet) -> Result<ChannelSet, Failure> {
    let mut signals = BTreeSet::new();
    for row in file.get_row_iter(Some(projected(file, &["signal"])?))? {
        let row = row?;
        let signal = row.get_string(0)?;
        if !signals.contains(signal) {
            signals.insert(signal.clone());
        }
    }
    let mut channels = ChannelSet::new();
    for signal in signals {
        channels.add(format!("/{signal}"), MessageType::json_schema("Signal", SCHEMA))?;
    }
    Ok(channels)
}

/// The least and the greatest time, from the statistics; `None` of an empty recording.
fn times(file: &Parquet) -> Result<Option<TimeRange>, Failure> {
    let mut times: Option<TimeRange> = None;
    for group in file.metadata().row_groups() {
        let group = group_times(group).ok_or("a row group has no statistics of its times")?;
        times = Some(times.map_or(group, |times| times.union(group)));
    }
    Ok(times)
}

fn group_times(group: &RowGroupMetaData) -> Option<TimeRange> {
    let time = group.columns().iter().find(|column| column.column_path().string() == "time")?;
    let Some(Statistics::Int64(statistics)) = time.statistics() else { return None };
    let at = |time: Option<&i64>| Some(Nanos(u64::try_from(*time?).ok()?));
    Some(TimeRange { start: at(statistics.min_opt())?, end: at(statistics.max_opt())? })
}

/// The schema less all but these columns.
fn projected(file: &Parquet, columns: &[&str]) -> Result<Type, Failure> {
    let schema = file.metadata().file_metadata().schema();
    let mut fields = Vec::new();
    for column in columns {
        let field = schema.get_fields().iter().find(|field| field.name() == *column);
        fields.push(field.ok_or_else(|| format!("there is no column {column}"))?.clone());
    }
    Ok(Type::group_type_builder(schema.name()).with_fields(fields).build()?)
}

fn open(folder: &Path, recording: &str) -> Result<Parquet, ErrorReply> {
    let unknown = || ErrorReply::not_found(format!("there is no recording {recording}"));
    // A name is a name, and never a path to somewhere else.
    if recording.contains(['/', '\\', '\0']) || recording.starts_with('.') {
        return Err(unknown());
    }
    let path = folder.join(format!("{recording}.parquet"));
    let file = File::open(path).map_err(|_| unknown())?;
    SerializedFileReader::new(file).map_err(failed)
}

/// What is the backend's own trouble is logged, and not told to users.
fn failed(error: impl std::fmt::Display) -> ErrorReply {
    eprintln!("{error}");
    ErrorReply::new(http::StatusCode::INTERNAL_SERVER_ERROR, "the recording cannot be read")
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ErrorReply> + Send + 'static,
) -> Result<T, ErrorReply> {
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}
