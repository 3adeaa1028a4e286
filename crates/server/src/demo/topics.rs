//! The topics of the drive: how often each has a message, and which sources hold it.

use foxglove::messages::{
    CameraCalibration, CompressedImage, FrameTransforms, Grid, LocationFix, Log, Odometry,
    PointCloud, Timestamp,
};
use foxglove::{Encode, Schema};

use super::drive::{DURATION_NANOS, START_NANOS, State, state};
use super::messages;

/// One message's place in the drive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The log time, in nanoseconds since the Unix epoch.
    pub(super) log_time: u64,
    /// Which message of its topic this is, from 0.
    pub(super) number: u32,
}

impl Moment {
    pub(super) fn timestamp(self) -> Option<Timestamp> {
        // The drive lies in 2026: both numbers fit.
        Timestamp::new_checked(
            (self.log_time / 1_000_000_000) as u32,
            (self.log_time % 1_000_000_000) as u32,
        )
    }

    pub(super) fn seconds(self) -> f64 {
        (self.log_time - START_NANOS) as f64 / 1e9
    }

    pub(super) fn state(self) -> State {
        state(self.seconds())
    }
}

/// What is recorded together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// Small and frequent.
    Sensors,
    /// Big: streamed in windows of its own.
    Lidar,
    /// Pictures: one file that supports range requests.
    Camera,
    /// Published once, at the start.
    Latched,
}

/// A topic of the drive.
pub(super) struct Topic {
    pub(super) name: &'static str,
    pub(super) group: Group,
    pub(super) encoding: &'static str,
    pub(super) schema: fn() -> Option<Schema>,
    /// Between two messages, in nanoseconds; none: only one, at the start.
    pub(super) period_nanos: Option<u64>,
    pub(super) payload: fn(Moment) -> Vec<u8>,
}

const fn protobuf<M: Encode>(
    name: &'static str,
    group: Group,
    hertz: u64,
    payload: fn(Moment) -> Vec<u8>,
) -> Topic {
    let period_nanos = 1_000_000_000_u64.checked_div(hertz);
    Topic { name, group, encoding: "protobuf", schema: M::get_schema, period_nanos, payload }
}

/// Every topic; the order decides between messages of one time.
pub(super) const TOPICS: [Topic; 12] = [
    protobuf::<FrameTransforms>("/tf_static", Group::Latched, 0, messages::static_transforms),
    protobuf::<Grid>("/map", Group::Latched, 0, messages::map),
    protobuf::<CameraCalibration>("/camera/calibration", Group::Latched, 0, messages::calibration),
    Topic {
        name: "/imu",
        group: Group::Sensors,
        encoding: "json",
        schema: messages::imu_schema,
        period_nanos: Some(10_000_000),
        payload: messages::imu,
    },
    protobuf::<Odometry>("/odom", Group::Sensors, 20, messages::odometry),
    protobuf::<FrameTransforms>("/tf", Group::Sensors, 20, messages::transforms),
    protobuf::<LocationFix>("/gps/fix", Group::Sensors, 5, messages::fix),
    protobuf::<Log>("/log", Group::Sensors, 1, messages::log_line),
    Topic {
        name: "/diagnostics",
        group: Group::Sensors,
        encoding: "json",
        schema: messages::diagnostics_schema,
        period_nanos: Some(1_000_000_000),
        payload: messages::diagnostics,
    },
    protobuf::<PointCloud>("/lidar/points", Group::Lidar, 10, messages::points),
    protobuf::<CompressedImage>("/camera/image", Group::Camera, 5, messages::image),
    protobuf::<LocationFix>("/camera/geotag", Group::Camera, 1, messages::fix),
];

impl Topic {
    /// The messages with `from <= log time < until`.
    pub(super) fn moments(&self, from: u64, until: u64) -> impl Iterator<Item = Moment> {
        let period = self.period_nanos.unwrap_or(DURATION_NANOS);
        let until = until.min(START_NANOS + DURATION_NANOS);
        let first = from.saturating_sub(START_NANOS).div_ceil(period);
        (first..)
            .map(move |number| (START_NANOS + number * period, number as u32))
            .take_while(move |(log_time, _)| *log_time < until)
            .map(|(log_time, number)| Moment { log_time, number })
    }
}
