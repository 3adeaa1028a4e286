use metrics::{Key, Label, Level, Metadata, SharedString};

/// What a metric is called and what it means.
#[derive(Debug)]
pub struct Definition {
    /// The name, without what the operator puts before it.
    pub name: &'static str,
    /// What becomes of it.
    pub kind: Kind,
    /// What one of it is.
    pub unit: Unit,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells, in one sentence.
    pub help: &'static str,
}

/// What becomes of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How many of what size.
    Histogram,
}

impl Kind {
    /// As Prometheus calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// What one of a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A thing that is counted.
    Count,
    /// A byte.
    Bytes,
    /// A second.
    Seconds,
    /// 1 for yes and 0 for no.
    Flag,
}

impl Unit {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Count => "count",
            Unit::Bytes => "bytes",
            Unit::Seconds => "seconds",
            Unit::Flag => "0 or 1",
        }
    }

    fn told(self) -> Option<metrics::Unit> {
        match self {
            Unit::Count => Some(metrics::Unit::Count),
            Unit::Bytes => Some(metrics::Unit::Bytes),
            Unit::Seconds => Some(metrics::Unit::Seconds),
            Unit::Flag => None,
        }
    }
}

static METADATA: Metadata<'static> = Metadata::new("rdl", Level::INFO, None);

impl Definition {
    pub(crate) fn describe(&self) {
        let (name, unit) = (self.name.into(), self.unit.told());
        metrics::with_recorder(|recorder| match self.kind {
            Kind::Counter => recorder.describe_counter(name, unit, self.help.into()),
            Kind::Gauge => recorder.describe_gauge(name, unit, self.help.into()),
            Kind::Histogram => recorder.describe_histogram(name, unit, self.help.into()),
        });
    }

    fn key<const N: usize, V: Into<SharedString>>(&self, values: [V; N]) -> Key {
        let labels = self.labels.iter().zip(values);
        let labels: Vec<Label> =
            labels.map(|(name, value)| Label::new(*name, value.into())).collect();
        Key::from_parts(self.name, labels)
    }
}

/// A metric that only grows, with `N` labels.
#[derive(Debug)]
pub struct Counter<const N: usize>(pub(crate) Definition);

impl<const N: usize> Counter<N> {
    /// One more.
    pub fn count<V: Into<SharedString>>(&self, values: [V; N]) {
        self.add(1, values);
    }

    /// So many more.
    pub fn add<V: Into<SharedString>>(&self, more: u64, values: [V; N]) {
        let key = self.0.key(values);
        metrics::with_recorder(|recorder| recorder.register_counter(&key, &METADATA))
            .increment(more);
    }
}

impl Counter<0> {
    /// One more of a metric without labels.
    pub fn one(&self) {
        self.more(1);
    }

    /// So many more of a metric without labels.
    pub fn more(&self, more: u64) {
        self.add::<&str>(more, []);
    }
}

/// A metric that goes up and down, with `N` labels.
#[derive(Debug)]
pub struct Gauge<const N: usize>(pub(crate) Definition);

impl<const N: usize> Gauge<N> {
    /// So much now.
    #[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
    pub fn set<V: Into<SharedString>>(&self, now: u64, values: [V; N]) {
        self.get(values).set(now as f64);
    }

    /// One more as long as what is given lives.
    pub fn hold<V: Into<SharedString>>(&self, values: [V; N]) -> Held {
        let gauge = self.get(values);
        gauge.increment(1.0);
        Held(gauge)
    }

    fn get<V: Into<SharedString>>(&self, values: [V; N]) -> metrics::Gauge {
        let key = self.0.key(values);
        metrics::with_recorder(|recorder| recorder.register_gauge(&key, &METADATA))
    }
}

impl Gauge<0> {
    /// So much now of a metric without labels.
    pub fn now(&self, now: u64) {
        self.set::<&str>(now, []);
    }
}

/// One of what a gauge counts, until this is dropped.
#[must_use]
pub struct Held(metrics::Gauge);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// How many of what size, with `N` labels.
#[derive(Debug)]
pub struct Histogram<const N: usize>(pub(crate) Definition);

impl<const N: usize> Histogram<N> {
    /// One of this duration.
    pub fn record<V: Into<SharedString>>(&self, took: std::time::Duration, values: [V; N]) {
        let key = self.0.key(values);
        metrics::with_recorder(|recorder| recorder.register_histogram(&key, &METADATA))
            .record(took.as_secs_f64());
    }
}

impl Histogram<0> {
    /// One of this duration, of a metric without labels.
    pub fn took(&self, took: std::time::Duration) {
        self.record::<&str>(took, []);
    }
}
