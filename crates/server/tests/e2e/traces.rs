//! What a request can be followed by: its id, its trace, and the plan of its answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use prost::Message as _;
use rdl_testkit::{Fault, get};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::drive::path;
use crate::fleet::{PATIENCE, QUERY, recording, s3, s3_server, settled};
use crate::running::Running;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector that takes OTLP over HTTP, and keeps the spans.
struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Span>>>,
    services: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    async fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let collector = Collector { url, spans: Arc::default(), services: Arc::default() };
        let (spans, services) = (collector.spans.clone(), collector.services.clone());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (spans, services) = (spans.clone(), services.clone());
                tokio::spawn(async move {
                    let mut received = Vec::new();
                    while socket.read_buf(&mut received).await.is_ok_and(|count| count > 0) {
                        let Some((head, body)) = one_request(&received) else { continue };
                        assert!(head.starts_with("POST /v1/traces "), "{head}");
                        let request = ExportTraceServiceRequest::decode(body).unwrap();
                        for resource in request.resource_spans {
                            services.lock().push(format!("{:?}", resource.resource));
                            let scopes = resource.scope_spans.into_iter();
                            spans.lock().extend(scopes.flat_map(|scope| scope.spans));
                        }
                        received.clear();
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                        let _ = socket.write_all(answer).await;
                    }
                });
            }
        });
        collector
    }

    /// The spans of this trace, by name, once one of this name has come.
    async fn trace_with(&self, name: &str, trace: &str) -> BTreeMap<String, Vec<Span>> {
        let started = Instant::now();
        loop {
            let mut found: BTreeMap<String, Vec<Span>> = BTreeMap::new();
            for span in self.spans.lock().iter().filter(|span| hex(&span.trace_id) == trace) {
                found.entry(span.name.clone()).or_default().push(span.clone());
            }
            if found.contains_key(name) {
                return found;
            }
            assert!(started.elapsed() < PATIENCE, "{found:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The head and the body of a request that is whole.
fn one_request(received: &[u8]) -> Option<(String, &[u8])> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&received[..end]).into_owned();
    let length = head.to_ascii_lowercase();
    let length = length.split("content-length: ").nth(1)?.split('\r').next()?;
    let length: usize = length.parse().ok()?;
    let body = received.get(end..end + length)?;
    Some((head, body))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seek_is_seen_in_its_trace_and_the_backend_is_told_of_it() {
    let (backend, recording) = recording(4).await;
    let merged = recording.merged();
    let middle = merged[merged.len() / 2].log_time;
    let collector = Collector::start().await;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.url),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test"),
        ("LOG_FORMAT", "json"),
    ];
    let loader = Running::start(&backend.manifest_endpoint(), &environment).await;
    let url = format!(
        "{}/v1/stream?{QUERY}&start={middle}&replayPolicy=lastPerChannel",
        loader.process.url()
    );
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("traceparent", &*traceparent), ("x-request-id", "seek-1")];
    let answer = get(&url, &headers).await.unwrap();
    assert!(answer.status == 200 && answer.complete, "{}", loader.process.printed());
    assert_eq!(answer.header("x-request-id"), Some("seek-1"));

    collector.trace_with("GET /v1/stream", TRACE).await;
    let spans = collector.trace_with("answer", TRACE).await;
    let request = &spans["GET /v1/stream"][0];
    assert_eq!(hex(&request.parent_span_id), PARENT);
    let told = format!("{:?}", request.attributes);
    for named in ["seek-1", "/v1/stream", "http.response.status_code"] {
        assert!(told.contains(named), "{told}");
    }
    // Below the request: who was asked, what was waited for, and how it was put together.
    let below = |name: &str, above: &Span| {
        let named = spans.get(name).unwrap_or_else(|| panic!("{name}: {:?}", spans.keys()));
        assert!(named.iter().all(|span| span.parent_span_id == above.span_id), "{name}");
        named[0].clone()
    };
    below("manifest", request);
    let answered = below("answer", request);
    for stage in ["lookback", "merge", "sources"] {
        below(stage, &answered);
    }
    let services = collector.services.lock().join(" ");
    assert!(services.contains("remote-data-loader") && services.contains("deployment.environment"));
    // No span tells a path or a parameter.
    let all = format!("{:?}", collector.spans.lock());
    assert!(!all.contains("ds.recording") && !all.contains("drive"), "{all}");

    // The backend is told: of manifests this trace, of bodies that of the load.
    let told = |path: &str| {
        let asked = backend.requests().into_iter().find(|request| request.path == path).unwrap();
        asked.header("traceparent").unwrap().to_owned()
    };
    assert!(told("/manifest").contains(TRACE));
    let body = told(&path(0));
    let load = body.split('-').nth(1).unwrap().to_owned();
    assert_ne!(load, TRACE, "a load outlives its request");
    let load = &collector.trace_with("load", &load).await["load"][0];
    assert!(load.links.iter().any(|link| hex(&link.trace_id) == TRACE), "{:?}", load.links);

    // The log names the request; health checks leave nothing.
    let printed = loader.process.printed();
    let line = printed.lines().find(|line| line.contains("\"answered\"")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["span"]["request_id"], "seek-1", "{line:#}");
    assert!(!printed.contains("/liveness") && !printed.contains("/readiness"), "{printed}");
}

#[tokio::test]
async fn every_answer_and_every_problem_names_its_request() {
    let (backend, _) = recording(2).await;
    let loader = Running::start(&backend.manifest_endpoint(), &[]).await;
    let url = loader.process.url();
    let fine = get(&format!("{url}/v1/recording?{QUERY}"), &[]).await.unwrap();
    let id = fine.header("x-request-id").unwrap().to_owned();
    assert!(id.len() >= 16, "{id}");
    for (path, given) in [
        ("/v1/stream?ds.recording=none", None),
        ("/v1/stream?start=yesterday", Some("mine-7")),
        ("/nowhere", Some("<odd>")),
    ] {
        let headers: Vec<_> = given.map(|given| ("x-request-id", given)).into_iter().collect();
        let answer = get(&format!("{url}{path}"), &headers).await.unwrap();
        let named = answer.header("x-request-id").unwrap().to_owned();
        assert_eq!(answer.json().unwrap()["requestId"], named, "{path}");
        assert_eq!(named == "mine-7", given == Some("mine-7"), "{path}: {named}");
        assert_ne!(named, id);
        let logged = format!("request_id=\"{named}\"");
        let said = async {
            while !loader.process.printed().contains(&logged) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let said = tokio::time::timeout(PATIENCE, said).await;
        assert!(said.is_ok(), "{}", loader.process.printed());
    }
    // Nobody collects traces, and nobody is told of any.
    assert!(backend.requests().iter().all(|request| request.header("traceparent").is_none()));
}

async fn explain(loader: &Running, query: &str) -> Value {
    let url = format!("{}/v1/explain?{query}", loader.process.url());
    let answer = get(&url, &[]).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_of_a_query_tells_what_its_answer_is_made_of() {
    const SOURCES: usize = 6;
    let (backend, recording) = recording(SOURCES).await;
    let server = s3_server().await;
    let url = server.url();
    let environment = s3(&url);
    let loader = Running::start(&backend.manifest_endpoint(), &environment).await;
    let streamed = loader.stream(QUERY, &[]).await;
    let plan = explain(&loader, QUERY).await;
    let shown = format!("{plan:#}");
    assert_eq!(plan["messages"], streamed.messages.len(), "{shown}");
    let sources = plan["sources"].as_array().unwrap();
    assert_eq!(sources.len(), SOURCES);
    assert!(sources.iter().all(|source| source["use"] == "merged" && source["touched"] == true));
    // Two groups of topics lie over each other in time: their chunks are taken apart.
    let chunks = &plan["chunks"];
    let rewritten: u64 = chunks["rewritten"]
        .as_object()
        .unwrap()
        .values()
        .map(|count| count.as_u64().unwrap())
        .sum();
    let passed = chunks["passed"].as_u64().unwrap();
    assert!(rewritten > 0 && chunks["rewritten"]["overlap"].as_u64().unwrap() > 0, "{shown}");
    let read = |plan: &Value, tier: &str| plan["reads"][tier]["chunks"].as_u64().unwrap_or(0);
    let all = ["memory", "disk", "bucket", "source"].map(|tier| read(&plan, tier));
    assert_eq!(all.iter().sum::<u64>(), passed + rewritten, "{shown}");
    assert_eq!((all[2], all[3]), (0, 0), "it is all here: {shown}");
    let spent: f64 =
        plan["stagesMs"].as_object().unwrap().values().map(|ms| ms.as_f64().unwrap()).sum();
    let (first, total) =
        (plan["firstMessageMs"].as_f64().unwrap(), plan["totalMs"].as_f64().unwrap());
    assert!(first <= total && spent <= total * 1.01 && total > 0.0, "{shown}");

    // What a seek looks back to is told as that, and what it reads of it.
    let last = recording.merged().last().unwrap().log_time;
    for policy in ["lastPerChannel", "lastPerChannelInRange"] {
        let query = match policy {
            "lastPerChannel" => format!("{QUERY}&replayPolicy={policy}&start={}", last + 1),
            _ => format!("{QUERY}&replayPolicy={policy}"),
        };
        let plan = explain(&loader, &query).await;
        let shown = format!("{policy}: {plan:#}");
        let sources = plan["sources"].as_array().unwrap().iter();
        let searched = sources.filter(|source| source["use"] == "looked-back");
        assert!(searched.clone().count() > 0, "{shown}");
        assert!(searched.clone().all(|source| source["touched"] == true), "{shown}");
        let reads = ["memory", "disk"].map(|tier| read(&plan, tier));
        assert!(plan["messages"].as_u64().unwrap() > 0 && reads.iter().sum::<u64>() > 0, "{shown}");
    }

    // Of one source alone everything passes through, and what is not wanted is not touched.
    let first = &recording.sources[0];
    let topic = first[0].channel.topic.clone();
    let end = first.iter().map(|message| message.log_time).max().unwrap();
    let query = format!("{QUERY}&topics={topic}&end={end}");
    let narrow = explain(&loader, &query).await;
    let shown = format!("{narrow:#}");
    let uses = narrow["sources"].as_array().unwrap().iter().map(|source| &source["use"]);
    assert!(uses.clone().any(|used| used == "other-times"), "{shown}");
    let untouched = narrow["sources"].as_array().unwrap().iter();
    let untouched = untouched.filter(|source| source["touched"] == false);
    assert!(untouched.clone().all(|source| source["reads"] == json!({})), "{shown}");

    // Whoever comes later reads from the bucket.
    settled(&environment, SOURCES).await;
    let late = Running::start(&backend.manifest_endpoint(), &environment).await;
    let plan = explain(&late, QUERY).await;
    assert!(read(&plan, "bucket") > 0, "{plan:#}");
    assert_eq!(plan["messages"], streamed.messages.len());

    // It fails as the answer itself would.
    backend.always("/manifest", Fault::Status(403, None));
    let url = format!("{}/v1/explain?{QUERY}&ds.x=1", late.process.url());
    assert_eq!(get(&url, &[]).await.unwrap().status, 403);
}
