//! What the messages of the drive hold.
//!
//! Foxglove's well-known types as protobuf, so that viewers show them; the IMU and the
//! diagnostics as JSON with a JSON Schema, because there is no well-known type for those.

use foxglove::messages::{
    CameraCalibration, CompressedImage, FrameTransform, FrameTransforms, Grid, LocationFix, Log,
    Odometry, PackedElementField, PointCloud, Pose, Quaternion, Vector2, Vector3, location_fix,
    log, packed_element_field,
};
use foxglove::{Encode, Schema};
use serde_json::json;

use super::topics::Moment;
use super::{camera, drive, lidar};

fn encoded(message: &impl Encode) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.encoded_len().unwrap_or(0));
    message.encode(&mut bytes).expect("a Vec has room for any message");
    bytes
}

fn vector(x: f64, y: f64, z: f64) -> Option<Vector3> {
    Some(Vector3 { x, y, z })
}

fn yaw(radians: f64) -> Option<Quaternion> {
    let (z, w) = (radians / 2.0).sin_cos();
    Some(Quaternion { x: 0.0, y: 0.0, z, w })
}

fn transform(
    at: Moment,
    parent: &str,
    child: &str,
    translation: Option<Vector3>,
    rotation: Option<Quaternion>,
) -> FrameTransform {
    FrameTransform {
        timestamp: at.timestamp(),
        parent_frame_id: parent.to_owned(),
        child_frame_id: child.to_owned(),
        translation,
        rotation,
    }
}

pub(super) fn static_transforms(at: Moment) -> Vec<u8> {
    // The camera looks forward: its z is the vehicle's x, its x the vehicle's right.
    let optical = Some(Quaternion { x: -0.5, y: 0.5, z: -0.5, w: 0.5 });
    let camera = vector(1.6, 0.0, camera::MOUNT_HEIGHT_METRES);
    let lidar = vector(0.0, 0.0, lidar::MOUNT_HEIGHT_METRES);
    encoded(&FrameTransforms {
        transforms: vec![
            transform(at, "base_link", "camera", camera, optical),
            transform(at, "base_link", "lidar", lidar, yaw(0.0)),
        ],
    })
}

pub(super) fn transforms(at: Moment) -> Vec<u8> {
    let now = at.state();
    let place = vector(now.x, now.y, 0.0);
    encoded(&FrameTransforms {
        transforms: vec![transform(at, "map", "base_link", place, yaw(now.yaw))],
    })
}

fn field(name: &str, offset: u32, kind: packed_element_field::NumericType) -> PackedElementField {
    PackedElementField { name: name.to_owned(), offset, r#type: kind as i32 }
}

pub(super) fn map(at: Moment) -> Vec<u8> {
    const COLUMNS: u32 = 120;
    const ROWS: u32 = 90;
    let mut cells = Vec::with_capacity((COLUMNS * ROWS) as usize);
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            let (x, y) = (f64::from(column) - 59.5, f64::from(row) - 44.5);
            let edge = row == 0 || column == 0 || row == ROWS - 1 || column == COLUMNS - 1;
            let post = drive::POSTS.iter().any(|&(px, py, r)| (px - x).hypot(py - y) <= r + 0.5);
            cells.push(if edge || post { 100 } else { 0 });
        }
    }
    encoded(&Grid {
        timestamp: at.timestamp(),
        frame_id: "map".to_owned(),
        pose: Some(Pose { position: vector(-60.0, -45.0, 0.0), orientation: yaw(0.0) }),
        column_count: COLUMNS,
        cell_size: Some(Vector2 { x: 1.0, y: 1.0 }),
        row_stride: COLUMNS,
        cell_stride: 1,
        fields: vec![field("occupancy", 0, packed_element_field::NumericType::Uint8)],
        data: cells.into(),
    })
}

pub(super) fn calibration(at: Moment) -> Vec<u8> {
    let (cx, cy) = (f64::from(camera::WIDTH) / 2.0, f64::from(camera::HEIGHT) / 2.0);
    let f = camera::FOCAL_LENGTH;
    encoded(&CameraCalibration {
        timestamp: at.timestamp(),
        frame_id: "camera".to_owned(),
        width: camera::WIDTH,
        height: camera::HEIGHT,
        distortion_model: "plumb_bob".to_owned(),
        d: vec![0.0; 5],
        k: vec![f, 0.0, cx, 0.0, f, cy, 0.0, 0.0, 1.0],
        r: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p: vec![f, 0.0, cx, 0.0, 0.0, f, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    })
}

pub(super) fn imu_schema() -> Option<Schema> {
    let vector = json!({
        "type": "object",
        "properties": {"x": {"type": "number"}, "y": {"type": "number"}, "z": {"type": "number"}},
    });
    json_schema(
        "demo.Imu",
        &json!({
            "frame_id": {"type": "string"},
            "angular_velocity": vector,
            "linear_acceleration": vector,
        }),
    )
}

pub(super) fn imu(at: Moment) -> Vec<u8> {
    let now = at.state();
    // An engine shakes the body a little.
    let shake = (at.seconds() * 113.0).sin() * 0.05;
    let message = json!({
        "frame_id": "base_link",
        "angular_velocity": {"x": shake * 0.1, "y": shake * 0.2, "z": now.yaw_rate},
        "linear_acceleration": {
            "x": now.forward_acceleration + shake,
            "y": now.left_acceleration - shake,
            "z": 9.81 + 2.0 * shake,
        },
    });
    message.to_string().into_bytes()
}

pub(super) fn odometry(at: Moment) -> Vec<u8> {
    let now = at.state();
    encoded(&Odometry {
        timestamp: at.timestamp(),
        frame_id: "map".to_owned(),
        body_frame_id: "base_link".to_owned(),
        pose: Some(Pose { position: vector(now.x, now.y, 0.0), orientation: yaw(now.yaw) }),
        linear_velocity: vector(now.speed, 0.0, 0.0),
        angular_velocity: vector(0.0, 0.0, now.yaw_rate),
        ..Odometry::default()
    })
}

pub(super) fn fix(at: Moment) -> Vec<u8> {
    const METRES_PER_DEGREE: f64 = 111_320.0;
    const ORIGIN: (f64, f64) = (47.3769, 8.5417);
    let now = at.state();
    encoded(&LocationFix {
        timestamp: at.timestamp(),
        frame_id: "base_link".to_owned(),
        latitude: ORIGIN.0 + now.y / METRES_PER_DEGREE,
        longitude: ORIGIN.1 + now.x / (METRES_PER_DEGREE * ORIGIN.0.to_radians().cos()),
        altitude: 408.0,
        position_covariance: vec![0.5, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.5],
        position_covariance_type: location_fix::PositionCovarianceType::DiagonalKnown as i32,
        ..LocationFix::default()
    })
}

pub(super) fn log_line(at: Moment) -> Vec<u8> {
    let now = at.state();
    let slow = now.speed < 3.0;
    let level = if slow { log::Level::Warning } else { log::Level::Info };
    let note = if slow { "slow in the bend" } else { "on course" };
    encoded(&Log {
        timestamp: at.timestamp(),
        level: level as i32,
        message: format!("{note}: {:.1} m/s", now.speed),
        name: "planner".to_owned(),
        ..Log::default()
    })
}

pub(super) fn diagnostics_schema() -> Option<Schema> {
    let number = json!({"type": "number"});
    json_schema("demo.Diagnostics", &json!({"battery_volts": number, "motor_celsius": number}))
}

pub(super) fn diagnostics(at: Moment) -> Vec<u8> {
    let (seconds, now) = (at.seconds(), at.state());
    json!({
        "battery_volts": 25.2 - seconds * 0.01,
        "motor_celsius": 40.0 + seconds * 0.2 + now.speed,
    })
    .to_string()
    .into_bytes()
}

fn json_schema(name: &str, properties: &serde_json::Value) -> Option<Schema> {
    let schema = json!({"title": name, "type": "object", "properties": properties});
    Some(Schema::new(name, "jsonschema", schema.to_string().into_bytes()))
}

pub(super) fn points(at: Moment) -> Vec<u8> {
    use packed_element_field::NumericType::Float32;
    encoded(&PointCloud {
        timestamp: at.timestamp(),
        frame_id: "lidar".to_owned(),
        pose: Some(Pose { position: vector(0.0, 0.0, 0.0), orientation: yaw(0.0) }),
        point_stride: lidar::POINT_STRIDE_BYTES,
        fields: vec![
            field("x", 0, Float32),
            field("y", 4, Float32),
            field("z", 8, Float32),
            field("intensity", 12, Float32),
        ],
        data: lidar::scan(&at.state()).into(),
    })
}

pub(super) fn image(at: Moment) -> Vec<u8> {
    encoded(&CompressedImage {
        timestamp: at.timestamp(),
        frame_id: "camera".to_owned(),
        data: camera::picture(&at.state()).into(),
        format: "png".to_owned(),
    })
}
