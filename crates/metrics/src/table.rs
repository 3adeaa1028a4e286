//! Every metric. Names follow the conventions of Prometheus: base units, and `_total` behind what is
//! counted.

use crate::metric::{Counter, Definition, Gauge, Histogram, Kind, Unit};

macro_rules! metrics {
    ($($name:ident: $kind:ident[$($label:literal),*] $text:literal $unit:ident, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $name: $kind<{ <[&str]>::len(&[$($label),*]) }> = $kind(Definition {
                name: $text,
                kind: Kind::$kind,
                unit: Unit::$unit,
                labels: &[$($label),*],
                help: $help,
            });
        )*

        /// Every metric, in the order of the documentation.
        pub static ALL: &[&Definition] = &[$(&$name.0),*];
    };
}

metrics! {
    // The service.
    BUILD_INFO: Gauge["version", "release"] "build_info" Flag,
        "Always 1; the labels tell the version of the program, and what REMOTE_DATA_LOADER_VERSION says.";
    READY: Gauge[] "ready" Flag,
        "Whether /readiness answers 200.";
    REQUESTS: Counter["route", "status"] "http_requests_total" Count,
        "Requests that were answered, by the pattern of their path and by status; health checks are not counted.";
    RESPONSE_START: Histogram["route"] "http_response_start_seconds" Seconds,
        "From a request to the headers of its answer; of /v1/stream they leave when its first message, or its absence, is known.";
    RESPONSE_TIME: Histogram["route", "outcome"] "http_response_seconds" Seconds,
        "From a request to the end of its answer, which was complete, failed after its headers, or left by whoever read it.";
    RESPONSE_BYTES: Counter["route"] "http_response_bytes_total" Bytes,
        "Bytes of answers' bodies that were handed to connections.";
    RESPONSES_ACTIVE: Gauge["route"] "http_responses_active" Count,
        "Requests that are being answered, their bodies included.";

    // What answers are made of.
    MESSAGES: Counter[] "messages_sent_total" Count,
        "Messages of answers to queries.";
    CHUNKS: Counter["way"] "chunks_sent_total" Count,
        "Chunks of sources that went into answers: passed through as they are, or taken apart because their messages had to be interleaved or left out.";
    CHUNK_READS: Counter["tier"] "chunk_reads_total" Count,
        "Chunks that were read: open in memory already, on the disk, or fetched to the disk before that, because they were not there, from the bucket or from a static source.";
    CHUNK_READ_BYTES: Counter["tier"] "chunk_read_bytes_total" Bytes,
        "The same in bytes, as they lie there; of memory, decompressed.";
    PROBLEMS: Counter["code"] "problems_total" Count,
        "Things that were wrong with data or manifests, by the code of the problem, each time that they were found.";

    // Data backends and sources.
    MANIFESTS: Counter["outcome"] "manifest_requests_total" Count,
        "Manifests that were wanted: granted, had from the cache, shared with an identical request that was under way, or failed with this kind of error.";
    MANIFEST_TIME: Histogram[] "manifest_seconds" Seconds,
        "How long the manifest endpoint took, tries included.";
    BACKEND_BYTES: Counter["what"] "backend_received_bytes_total" Bytes,
        "Bytes of bodies from manifest endpoints and sources: manifests, streamed bodies, ranges of static sources.";
    BACKEND_RETRIES: Counter["what"] "backend_retries_total" Count,
        "Requests to manifest endpoints and sources that were sent again after a failure.";
    BACKEND_FAILURES: Counter["what", "kind"] "backend_failures_total" Count,
        "Requests to manifest endpoints and sources that failed, by the kind of error, those that were sent again included.";

    // Loads.
    SOURCE_LOOKUPS: Counter["found"] "source_lookups_total" Count,
        "Streamed sources that were wanted and not yet known: found whole on the disk or in the bucket, being loaded by a replica that is followed, or nowhere.";
    LOADS: Counter["outcome"] "loads_total" Count,
        "Loads of streamed sources that ended: complete, failed, refused to everyone who waited, or stopped because nobody waited any more or the process ends.";
    LOADS_RUNNING: Gauge["role"] "loads_running" Count,
        "Loads that run: from the data backend, or following another replica.";
    LOADS_WAITING: Gauge[] "loads_waiting" Count,
        "Loads that wait for their turn.";
    LOADS_TAKEN_OVER: Counter[] "loads_taken_over_total" Count,
        "Loads that were followed until the replica that ran them gave nothing any more, and were then continued here.";

    // Memory and disk.
    MEMORY_LIMIT: Gauge["pool"] "memory_limit_bytes" Bytes,
        "What a pool of memory may hold: responses, what comes in, open chunks.";
    MEMORY_RESERVED: Gauge["pool"] "memory_reserved_bytes" Bytes,
        "What of a pool is reserved.";
    MEMORY_REFUSED: Counter[] "memory_refused_total" Count,
        "Requests that were answered with a 503 because no memory was free for their answer.";
    SPILLS: Counter[] "spills_total" Count,
        "Chunks that were taken apart on the disk because they found no room in memory.";
    SPILLED_BYTES: Counter[] "spilled_bytes_total" Bytes,
        "The same in bytes, decompressed.";
    DISK_LIMIT: Gauge[] "disk_limit_bytes" Bytes,
        "What the disk store may hold.";
    DISK_BYTES: Gauge[] "disk_bytes" Bytes,
        "What the disk store holds.";
    DISK_SOURCES: Gauge[] "disk_sources" Count,
        "Complete sources in the disk store.";
    DISK_WRITTEN_BYTES: Counter[] "disk_written_bytes_total" Bytes,
        "Room that was taken in the disk store.";
    DISK_EVICTED: Counter[] "disk_evicted_total" Count,
        "Complete sources that were evicted from the disk store.";
    DISK_EVICTED_BYTES: Counter[] "disk_evicted_bytes_total" Bytes,
        "The same in bytes.";
    DISK_FULL: Counter[] "disk_full_total" Count,
        "Times that the disk store had no room for what was to be written.";

    // The bucket.
    BUCKET_REQUESTS: Counter["operation", "outcome"] "bucket_requests_total" Count,
        "Requests to the bucket, retries of the client not counted: done, not found, already exists, refused, failed, or given up because no answer came in time.";
    BUCKET_TIME: Histogram["operation"] "bucket_request_seconds" Seconds,
        "From a request to the bucket to the head of its answer, or until it was given up; of a write, to its end.";
    BUCKET_READ_BYTES: Counter[] "bucket_read_bytes_total" Bytes,
        "Bytes that were read from the bucket.";
    BUCKET_WRITTEN_BYTES: Counter[] "bucket_written_bytes_total" Bytes,
        "Bytes that were written to the bucket.";
    BUCKET_UPLOAD_LAG: Histogram[] "bucket_upload_lag_seconds" Seconds,
        "From the end of a part on the disk to its end in the bucket.";
    BUCKET_OVERWRITES: Gauge[] "bucket_overwrites_in_silence" Flag,
        "Whether the bucket was caught creating an object that existed: a source may be downloaded by more than one replica.";
}
