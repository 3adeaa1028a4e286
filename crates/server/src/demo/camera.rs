//! The picture of the forward camera: sky, a striped ground that moves, and the posts.

use super::drive::{POSTS, State};

pub(super) const WIDTH: u32 = 320;
pub(super) const HEIGHT: u32 = 180;
/// In pixels; also what the calibration message says.
pub(super) const FOCAL_LENGTH: f64 = 180.0;
/// Of the camera above the ground, in metres.
pub(super) const MOUNT_HEIGHT_METRES: f64 = 1.5;

const STRIPE_METRES: f64 = 4.0;
const POST_HEIGHT_METRES: f64 = 4.0;

/// The picture that the camera takes, as PNG.
pub(super) fn picture(now: &State) -> Vec<u8> {
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&pixels(now)))
        .expect("writing to a Vec with the right number of pixels cannot fail");
    png
}

fn pixels(now: &State) -> Vec<u8> {
    let mut pixels = Vec::with_capacity((WIDTH * HEIGHT * 3) as usize);
    for row in 0..HEIGHT {
        pixels.extend_from_slice(&background(now, row).repeat(WIDTH as usize));
    }
    let mut posts: Vec<(f64, f64, f64)> = POSTS
        .iter()
        .map(|&(x, y, radius)| {
            let (forward, left) = now.sees(x, y);
            (forward, left, radius)
        })
        .filter(|(forward, ..)| *forward > 1.0)
        .collect();
    // The nearest is painted last.
    posts.sort_by(|a, b| b.0.total_cmp(&a.0));
    for post in posts {
        paint_post(&mut pixels, post);
    }
    pixels
}

fn background(now: &State, row: u32) -> [u8; 3] {
    let below_horizon = f64::from(row) - f64::from(HEIGHT) / 2.0 + 0.5;
    if below_horizon < 0.0 {
        let light = (150.0 + 70.0 * f64::from(row) / (f64::from(HEIGHT) / 2.0)) as u8;
        return [light - 40, light, 240];
    }
    let ahead = FOCAL_LENGTH * MOUNT_HEIGHT_METRES / below_horizon;
    let stripe = ((now.travelled + ahead) / STRIPE_METRES).floor() as i64;
    if stripe.rem_euclid(2) == 0 { [90, 110, 80] } else { [75, 95, 68] }
}

fn paint_post(pixels: &mut [u8], (forward, left, radius): (f64, f64, f64)) {
    let scale = FOCAL_LENGTH / forward;
    let (middle, horizon) = (f64::from(WIDTH) / 2.0, f64::from(HEIGHT) / 2.0);
    let columns = clamped(middle - scale * (left + radius), WIDTH)
        ..clamped(middle - scale * (left - radius), WIDTH);
    let rows = clamped(horizon - scale * (POST_HEIGHT_METRES - MOUNT_HEIGHT_METRES), HEIGHT)
        ..clamped(horizon + scale * MOUNT_HEIGHT_METRES, HEIGHT);
    let light = (230.0 - forward).clamp(80.0, 230.0) as u8;
    for row in rows {
        for column in columns.clone() {
            let at = (row * WIDTH as usize + column) * 3;
            pixels[at..at + 3].copy_from_slice(&[light, light / 2, 40]);
        }
    }
}

/// A float cast saturates, so that what lies left of the picture becomes column 0.
fn clamped(value: f64, limit: u32) -> usize {
    (value as usize).min(limit as usize)
}

#[cfg(test)]
mod tests {
    use super::super::drive::state;
    use super::*;

    #[test]
    fn a_picture_is_a_png_of_the_right_size_and_moves() {
        let (first, later) = (picture(&state(1.0)), picture(&state(1.2)));
        assert_ne!(first, later);
        assert_eq!(first, picture(&state(1.0)));
        let mut reader = png::Decoder::new(std::io::Cursor::new(first)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (WIDTH, HEIGHT));
        assert_eq!(pixels, super::pixels(&state(1.0)));
    }

    #[test]
    fn posts_beside_and_behind_do_not_break_the_picture() {
        for tenth in 0..600 {
            let pixels = pixels(&state(f64::from(tenth) / 10.0));
            assert_eq!(pixels.len(), (WIDTH * HEIGHT * 3) as usize);
        }
    }
}
