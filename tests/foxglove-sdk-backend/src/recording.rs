//! What is recorded: four topics, as functions of time.

use foxglove::messages::{LocationFix, Log, Pose, PoseInFrame, Timestamp, Vector3};
use foxglove::remote_data_loader_backend::ChannelSet;
use foxglove::stream::McapStreamHandle;

pub(crate) const START_SECONDS: u32 = 1_700_000_000;
pub(crate) const SECONDS: u32 = 60;
pub(crate) const TOPICS: [&str; 4] = ["/pose", "/gps", "/log", "/counter"];

/// In a second of each topic; the topics' messages often have one time.
const MESSAGES: u32 = 20;

/// A message type of the user's own.
#[derive(foxglove::Encode)]
struct Counter {
    value: u32,
    name: String,
}

pub(crate) fn declare(topic: usize, channels: &mut ChannelSet) {
    match topic {
        0 => channels.insert::<PoseInFrame>(TOPICS[0]),
        1 => channels.insert::<LocationFix>(TOPICS[1]),
        2 => channels.insert::<Log>(TOPICS[2]),
        _ => channels.insert::<Counter>(TOPICS[3]),
    }
}

/// Logs one second of one topic, and closes the stream.
pub(crate) async fn log(mut handle: McapStreamHandle, topic: usize, second: u32) {
    let builder = handle.channel_builder(TOPICS[topic]);
    match topic {
        0 => {
            let channel = builder.build::<PoseInFrame>();
            moments(second).for_each(|at| channel.log_with_time(&pose(at), at));
        }
        1 => {
            let channel = builder.build::<LocationFix>();
            moments(second).for_each(|at| channel.log_with_time(&fix(at), at));
        }
        2 => {
            let channel = builder.build::<Log>();
            moments(second).for_each(|at| channel.log_with_time(&line(at), at));
        }
        _ => {
            let channel = builder.build::<Counter>();
            moments(second).for_each(|at| channel.log_with_time(&counter(at), at));
        }
    }
    // Both fail only when the loader has gone.
    let _flushed = handle.flush().await;
    let _closed = handle.close().await;
}

fn moments(second: u32) -> impl Iterator<Item = Timestamp> {
    let step = 1_000_000_000 / MESSAGES;
    (0..MESSAGES).map(move |number| Timestamp::new(START_SECONDS + second, number * step))
}

fn elapsed(at: Timestamp) -> f64 {
    f64::from(at.sec() - START_SECONDS) + f64::from(at.nsec()) / 1e9
}

fn pose(at: Timestamp) -> PoseInFrame {
    let (y, x) = elapsed(at).sin_cos();
    PoseInFrame {
        timestamp: Some(at),
        frame_id: "map".to_owned(),
        pose: Some(Pose { position: Some(Vector3 { x, y, z: 0.0 }), orientation: None }),
    }
}

fn fix(at: Timestamp) -> LocationFix {
    let latitude = 47.0 + elapsed(at) / 1e5;
    LocationFix { timestamp: Some(at), latitude, longitude: 8.5, ..LocationFix::default() }
}

fn line(at: Timestamp) -> Log {
    Log { timestamp: Some(at), message: format!("{:.2} s", elapsed(at)), ..Log::default() }
}

fn counter(at: Timestamp) -> Counter {
    Counter { value: at.nsec(), name: "n".repeat((at.nsec() / 1_000_000) as usize) }
}
