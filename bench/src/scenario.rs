//! What the recordings are made of: sources, their topics, and when these have messages.

use std::ops::Range;

/// 2026-01-31 09:30:00 UTC.
const START_NANOS: u64 = 1_769_851_800_000_000_000;
const SECOND: u64 = 1_000_000_000;
const KIB: u64 = 1 << 10;

/// A recording to measure with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// Four sources side by side, each a group of topics.
    A,
    /// Sixteen sources one after the other, each with every topic.
    B,
    /// Small messages in three sources side by side; 600 to a payload of one megabyte asked for.
    C,
    /// The same in chunks of 4 KiB.
    C4k,
    /// One source with every topic.
    D,
    /// Six hundred sources one after the other, each with every topic.
    S,
    /// Six hundred sources side by side, with one topic each.
    W,
}

/// Messages at a steady pace, a little shaken.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// The time from one message to the next, in nanoseconds.
    pub period_nanos: u64,
    /// The least and the greatest size of a message, in bytes.
    pub bytes: (u64, u64),
}

/// One source of a recording.
#[derive(Clone, Debug)]
pub struct SourcePlan {
    /// The name of its file, less the ending.
    pub name: String,
    /// The topics that it has.
    pub topics: Vec<Topic>,
    /// When it has messages, in nanoseconds since the Unix epoch.
    pub nanos: Range<u64>,
}

impl Topic {
    fn new(name: impl Into<String>, hertz: u64, bytes: (u64, u64)) -> Topic {
        Topic { name: name.into(), period_nanos: SECOND / hertz, bytes }
    }

    fn bytes_per_second(&self) -> u64 {
        (self.bytes.0 + self.bytes.1) / 2 * (SECOND / self.period_nanos)
    }
}

/// What a robot with two cameras and a lidar logs, in groups as its sources have them.
fn robot() -> [Vec<Topic>; 4] {
    [
        vec![
            Topic::new("/camera/front", 15, (200 * KIB, 300 * KIB)),
            Topic::new("/camera/rear", 10, (150 * KIB, 250 * KIB)),
        ],
        vec![
            Topic::new("/lidar", 10, (300 * KIB, 400 * KIB)),
            Topic::new("/radar", 20, (8 * KIB, 30 * KIB)),
        ],
        vec![
            Topic::new("/imu", 400, (200, 300)),
            Topic::new("/odom", 100, (250, 300)),
            Topic::new("/tf", 200, (64, 200)),
            Topic::new("/gps", 10, (100, 200)),
        ],
        vec![
            Topic::new("/detections", 10, (2 * KIB, 10 * KIB)),
            Topic::new("/diagnostics", 5, (300, 1500)),
        ],
    ]
}

/// Sources with these groups of topics, all from the start on, of about so many bytes together.
fn side_by_side(groups: Vec<Vec<Topic>>, payload_bytes: u64) -> Vec<SourcePlan> {
    let rate: u64 = groups.iter().flatten().map(Topic::bytes_per_second).sum();
    let end = START_NANOS + nanos(payload_bytes, rate);
    let source = |(number, topics)| SourcePlan {
        name: format!("{number:03}"),
        topics,
        nanos: START_NANOS..end,
    };
    groups.into_iter().enumerate().map(source).collect()
}

/// So many sources with every topic, of about so many bytes together.
fn one_after_the_other(count: u64, payload_bytes: u64) -> Vec<SourcePlan> {
    let whole = side_by_side(vec![robot().concat()], payload_bytes).remove(0);
    let window = (whole.nanos.end - START_NANOS) / count;
    let source = |number: u64| SourcePlan {
        name: format!("{number:03}"),
        topics: whole.topics.clone(),
        nanos: START_NANOS + number * window..START_NANOS + (number + 1) * window,
    };
    (0..count).map(source).collect()
}

fn nanos(bytes: u64, bytes_per_second: u64) -> u64 {
    let nanos = u128::from(bytes) * u128::from(SECOND) / u128::from(bytes_per_second.max(1));
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

impl Scenario {
    /// The sources of a recording with about so many bytes of messages.
    pub fn sources(self, payload_bytes: u64) -> Vec<SourcePlan> {
        match self {
            Scenario::A => side_by_side(robot().to_vec(), payload_bytes),
            Scenario::D => side_by_side(vec![robot().concat()], payload_bytes),
            Scenario::B => one_after_the_other(16, payload_bytes),
            Scenario::S => one_after_the_other(600, payload_bytes),
            Scenario::C | Scenario::C4k => {
                let topic = |source: u64, number: u64| {
                    Topic::new(format!("/small/{source}/{number}"), 250, (64, 200))
                };
                let groups = (0..3).map(|source| (0..4).map(|n| topic(source, n)).collect());
                // Messages of 132 bytes on average.
                let small_bytes = payload_bytes / 1_000_000 * 600 * 132;
                side_by_side(groups.collect(), small_bytes)
            }
            Scenario::W => {
                let topic = |number| Topic::new(format!("/sensor/{number:03}"), 10, (200, 2000));
                side_by_side((0..600).map(|number| vec![topic(number)]).collect(), payload_bytes)
            }
        }
    }

    /// The size at which a chunk closes, in bytes.
    pub fn chunk_bytes(self) -> usize {
        match self {
            Scenario::C4k => 4 << 10,
            _ => 1 << 20,
        }
    }
}
