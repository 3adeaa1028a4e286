//! Where the vehicle is and what it feels, as pure functions of time.
//!
//! It goes once around an ellipse in the minute that the drive takes. Everything else in the
//! demo (scans, pictures, transforms) follows from [`state`], so that all topics agree.

use std::f64::consts::TAU;

/// The first moment of the drive, in nanoseconds since the Unix epoch: 2026-01-31T09:30:00Z.
pub(super) const START_NANOS: u64 = 1_769_851_800_000_000_000;
/// How long the drive takes, in nanoseconds.
pub(super) const DURATION_NANOS: u64 = 60_000_000_000;

const LAP_SECONDS: f64 = 60.0;
const HALF_LENGTH_METRES: f64 = 40.0;
const HALF_WIDTH_METRES: f64 = 25.0;

/// What stands beside the course: x, y and radius in metres.
pub(super) const POSTS: [(f64, f64, f64); 14] = [
    (48.0, 0.0, 0.6),
    (46.0, 14.0, 0.4),
    (34.0, 26.0, 0.8),
    (18.0, 33.0, 0.5),
    (0.0, 31.0, 0.9),
    (-18.0, 32.0, 0.4),
    (-35.0, 25.0, 0.7),
    (-47.0, 8.0, 0.5),
    (-46.0, -12.0, 0.6),
    (-30.0, -28.0, 0.8),
    (-6.0, -32.0, 0.5),
    (15.0, -31.0, 0.7),
    (36.0, -22.0, 0.5),
    (0.0, 0.0, 3.0),
];

/// The vehicle at one moment: metres, radians, seconds; x forward and y left in its own frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) yaw: f64,
    pub(super) speed: f64,
    pub(super) yaw_rate: f64,
    pub(super) forward_acceleration: f64,
    pub(super) left_acceleration: f64,
    /// Along the course since the start, approximately.
    pub(super) travelled: f64,
}

/// The vehicle this many seconds after the start.
pub(super) fn state(seconds: f64) -> State {
    let rate = TAU / LAP_SECONDS;
    let (sin, cos) = (rate * seconds).sin_cos();
    let (vx, vy) = (-HALF_LENGTH_METRES * rate * sin, HALF_WIDTH_METRES * rate * cos);
    let (ax, ay) =
        (-HALF_LENGTH_METRES * rate * rate * cos, -HALF_WIDTH_METRES * rate * rate * sin);
    let speed = vx.hypot(vy);
    State {
        x: HALF_LENGTH_METRES * cos,
        y: HALF_WIDTH_METRES * sin,
        yaw: vy.atan2(vx),
        speed,
        yaw_rate: (vx * ay - vy * ax) / (speed * speed),
        forward_acceleration: (vx * ax + vy * ay) / speed,
        left_acceleration: (vx * ay - vy * ax) / speed,
        travelled: rate * seconds * f64::midpoint(HALF_LENGTH_METRES, HALF_WIDTH_METRES),
    }
}

impl State {
    /// A point of the world as seen from the vehicle: metres forward and to the left.
    pub(super) fn sees(&self, x: f64, y: f64) -> (f64, f64) {
        let (sin, cos) = self.yaw.sin_cos();
        let (dx, dy) = (x - self.x, y - self.y);
        (dx * cos + dy * sin, dy * cos - dx * sin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lap_closes_and_the_rates_are_the_derivatives() {
        let (first, last) = (state(0.0), state(LAP_SECONDS));
        assert!((first.x - last.x).abs() < 1e-9 && (first.y - last.y).abs() < 1e-9);
        for seconds in [0.5, 7.0, 23.0, 44.0] {
            let step = 1e-5;
            let (a, b) = (state(seconds - step), state(seconds + step));
            let now = state(seconds);
            let moved = (b.x - a.x).hypot(b.y - a.y) / (2.0 * step);
            assert!((moved - now.speed).abs() < 1e-4, "{moved} {}", now.speed);
            let turned = (b.yaw - a.yaw) / (2.0 * step);
            assert!((turned - now.yaw_rate).abs() < 1e-4, "{turned} {}", now.yaw_rate);
        }
    }

    #[test]
    fn what_lies_ahead_is_seen_ahead() {
        let now = state(3.0);
        let (sin, cos) = now.yaw.sin_cos();
        let (forward, left) = now.sees(now.x + 10.0 * cos, now.y + 10.0 * sin);
        assert!((forward - 10.0).abs() < 1e-9 && left.abs() < 1e-9);
    }
}
