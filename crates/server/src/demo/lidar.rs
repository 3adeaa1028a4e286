//! A scan of the lidar: beams that meet the ground, the posts or the walls around the course.

use std::f64::consts::TAU;

use super::drive::{POSTS, State};

/// Points of 16 bytes: x, y, z and intensity as 32-bit floats.
pub(super) const POINT_STRIDE_BYTES: u32 = 16;
/// Of the lidar above the ground, in metres.
pub(super) const MOUNT_HEIGHT_METRES: f64 = 1.8;

const BEAMS: u32 = 16;
const AZIMUTHS: u32 = 180;
const WALL_X_METRES: f64 = 60.0;
const WALL_Y_METRES: f64 = 45.0;

/// The packed points of one turn, in the frame of the lidar.
pub(super) fn scan(now: &State) -> Vec<u8> {
    let mut points = Vec::with_capacity((BEAMS * AZIMUTHS * POINT_STRIDE_BYTES) as usize);
    let posts = POSTS.map(|(x, y, radius)| {
        let (forward, left) = now.sees(x, y);
        (forward, left, radius)
    });
    for azimuth in 0..AZIMUTHS {
        let angle = TAU * f64::from(azimuth) / f64::from(AZIMUTHS);
        let (reach, brightness) = obstacle(now, &posts, angle);
        for beam in 0..BEAMS {
            let elevation = (f64::from(beam) - 12.0).to_radians() * 1.5;
            let ground =
                if elevation < 0.0 { MOUNT_HEIGHT_METRES / -elevation.tan() } else { f64::MAX };
            let (range, intensity) =
                if ground < reach { (ground, 0.2) } else { (reach, brightness) };
            let (sin, cos) = angle.sin_cos();
            for value in [range * cos, range * sin, range * elevation.tan(), intensity] {
                points.extend_from_slice(&(value as f32).to_le_bytes());
            }
        }
    }
    points
}

/// How far a level beam goes, and how bright what it meets is.
fn obstacle(now: &State, posts: &[(f64, f64, f64)], angle: f64) -> (f64, f64) {
    let (sin, cos) = (now.yaw + angle).sin_cos();
    let to_wall = |position: f64, direction: f64, wall: f64| {
        if direction == 0.0 { f64::MAX } else { (wall.copysign(direction) - position) / direction }
    };
    let wall = to_wall(now.x, cos, WALL_X_METRES).min(to_wall(now.y, sin, WALL_Y_METRES));
    let (sin, cos) = angle.sin_cos();
    posts.iter().fold((wall, 0.5), |nearest, &(forward, left, radius)| {
        let along = forward * cos + left * sin;
        let aside = left * cos - forward * sin;
        if along <= 0.0 || aside.abs() >= radius {
            return nearest;
        }
        let range = along - (radius * radius - aside * aside).sqrt();
        if range < nearest.0 { (range, 1.0) } else { nearest }
    })
}

#[cfg(test)]
mod tests {
    use super::super::drive::state;
    use super::*;

    #[test]
    fn a_scan_is_whole_and_within_the_walls() {
        let now = state(12.0);
        let points = scan(&now);
        assert_eq!(points.len(), (BEAMS * AZIMUTHS * POINT_STRIDE_BYTES) as usize);
        let floats: Vec<f32> = points
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        let farthest = (2.0 * WALL_X_METRES).hypot(2.0 * WALL_Y_METRES) as f32;
        for point in floats.chunks_exact(4) {
            assert!(point[0].hypot(point[1]) <= farthest, "{point:?}");
            assert!(f64::from(point[2]) >= -MOUNT_HEIGHT_METRES - 1e-3, "{point:?}");
        }
        assert!(floats.chunks_exact(4).any(|point| point[3] == 1.0), "a post is met");
    }
}
