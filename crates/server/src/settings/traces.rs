use clap::Args;
use url::Url;

/// Traces, sent to an OpenTelemetry collector by OTLP over HTTP. Whatever else OpenTelemetry's SDK
/// reads is heeded too: OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES …
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Traces")]
pub(crate) struct TraceSettings {
    /// Where a collector takes OTLP over HTTP (protobuf), without v1/traces, as
    /// http://collector:4318. Unset: no traces
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", value_parser = parse_url)]
    pub(crate) otel_exporter_otlp_endpoint: Option<Url>,

    /// The same for traces alone, the whole URL; it wins
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", value_name = "URL",
          value_parser = parse_url)]
    pub(crate) otel_exporter_otlp_traces_endpoint: Option<Url>,

    /// What this service is called in traces
    #[arg(
        long,
        env = "OTEL_SERVICE_NAME",
        value_name = "NAME",
        default_value = "remote-data-loader"
    )]
    pub(crate) otel_service_name: String,
}

impl TraceSettings {
    /// Where spans are sent, if anywhere.
    pub(crate) fn endpoint(&self) -> Option<String> {
        if let Some(traces) = &self.otel_exporter_otlp_traces_endpoint {
            return Some(traces.to_string());
        }
        let base = self.otel_exporter_otlp_endpoint.as_ref()?;
        Some(format!("{}/v1/traces", base.as_str().trim_end_matches('/')))
    }
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url = text.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| "accepts an http or https URL: http://collector:4318".into())
}
