//! Key frames of compressed video, at which a decoder can start.
//!
//! The message is Foxglove's `CompressedVideo`: a timestamp, a frame id, the video data of one
//! frame and the name of its format, in this order.

use rdl_mcap_io::ChannelDef;

/// Whether the key frames of a channel can be told: `CompressedVideo` in protobuf, CDR (ROS 2) or
/// ROS 1's encoding. JSON is not looked into.
pub(super) fn is_video(def: &ChannelDef) -> bool {
    let names: &[&str] = match def.message_encoding.as_str() {
        "protobuf" => &["foxglove.CompressedVideo"],
        "cdr" => &[
            "foxglove_msgs/msg/CompressedVideo",
            "foxglove_msgs/CompressedVideo",
            "foxglove::CompressedVideo",
        ],
        "ros1" => &["foxglove_msgs/CompressedVideo"],
        _ => return false,
    };
    def.schema.as_ref().is_some_and(|schema| names.contains(&schema.name.as_str()))
}

/// Whether decoding can start at this message. In a format whose frames cannot be told apart
/// every message counts as one; a message that cannot be read does not.
pub(super) fn is_key_frame(def: &ChannelDef, message: &[u8]) -> bool {
    let bytes = Bytes { rest: message, taken: 0 };
    let frame = match def.message_encoding.as_str() {
        "protobuf" => protobuf(bytes),
        "cdr" => cdr(bytes),
        _ => ros1(bytes),
    };
    match frame {
        Some(Frame { format: b"h264", data }) => {
            // ITU-T H.264, table 7-1: 1 to 5 are coded slices, 5 those of an IDR picture.
            first_slice(data, |header| header & 0x1f, 1..=5) == Some(5)
        }
        Some(Frame { format: b"h265", data }) => {
            // ITU-T H.265, table 7-1: 0 to 31 are coded slices, 16 to 23 those of IRAP pictures.
            let slice = first_slice(data, |header| (header >> 1) & 0x3f, 0..=31);
            slice.is_some_and(|slice| (16..=23).contains(&slice))
        }
        Some(Frame { format: b"vp9", data }) => starts_vp9(data),
        Some(Frame { format: b"av1", data }) => starts_av1(data).unwrap_or(false),
        Some(_) => true,
        None => false,
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Frame<'a> {
    format: &'a [u8],
    data: &'a [u8],
}

/// The type of the first NAL unit that is a coded slice, in the byte stream format of Annex B.
fn first_slice(
    data: &[u8],
    type_of: impl Fn(u8) -> u8,
    slices: std::ops::RangeInclusive<u8>,
) -> Option<u8> {
    let units = data.windows(4).filter(|window| window.starts_with(&[0, 0, 1]));
    units.map(|window| type_of(window[3])).find(|unit| slices.contains(unit))
}

/// By the uncompressed header of VP9 (section 6.2 of its specification): a marker, the profile,
/// whether a frame is shown again, and its type.
fn starts_vp9(data: &[u8]) -> bool {
    let Some(head) = data.first() else { return false };
    // The highest profile has one more bit, reserved.
    let kind = if head & 0x30 == 0x30 { head >> 1 } else { head >> 2 };
    head >> 6 == 2 && kind & 3 == 0
}

/// By the OBUs of AV1 (sections 5.3 and 5.9.2 of its specification): the first frame is a key
/// frame that is not shown again.
fn starts_av1(data: &[u8]) -> Option<bool> {
    let mut bytes = Bytes { rest: data, taken: 0 };
    loop {
        let head = bytes.take(1)?[0];
        if head & 4 != 0 {
            bytes.take(1)?;
        }
        let len = match head & 2 {
            0 => bytes.rest.len(),
            _ => usize::try_from(bytes.varint()?).ok()?,
        };
        let unit = bytes.take(len)?;
        if matches!(head >> 3 & 15, 3 | 6) {
            return unit.first().map(|first| first >> 5 == 0);
        }
    }
}

fn protobuf(mut bytes: Bytes<'_>) -> Option<Frame<'_>> {
    let mut frame = Frame::default();
    while !bytes.rest.is_empty() {
        let tag = bytes.varint()?;
        match tag & 7 {
            0 => {
                bytes.varint()?;
            }
            1 => {
                bytes.take(8)?;
            }
            2 => {
                let len = bytes.varint()?;
                let value = bytes.take(usize::try_from(len).ok()?)?;
                match tag >> 3 {
                    3 => frame.data = value,
                    4 => frame.format = value,
                    _ => {}
                }
            }
            5 => {
                bytes.take(4)?;
            }
            _ => return None,
        }
    }
    Some(frame)
}

fn cdr(mut bytes: Bytes<'_>) -> Option<Frame<'_>> {
    let little = bytes.take(4)?[1] & 1 == 1;
    bytes.taken = 0; // Alignment counts from here.
    let number = |bytes: &mut Bytes<'_>| {
        bytes.take(bytes.taken.wrapping_neg() % 4)?;
        let digits = bytes.take(4)?.try_into().ok()?;
        let number = if little { u32::from_le_bytes(digits) } else { u32::from_be_bytes(digits) };
        usize::try_from(number).ok()
    };
    bytes.take(8)?;
    let frame_id = number(&mut bytes)?;
    bytes.take(frame_id)?;
    let data = number(&mut bytes)?;
    let data = bytes.take(data)?;
    let format = number(&mut bytes)?;
    let format = bytes.take(format)?;
    Some(Frame { format: format.strip_suffix(&[0]).unwrap_or(format), data })
}

fn ros1(mut bytes: Bytes<'_>) -> Option<Frame<'_>> {
    let field = |bytes: &mut Bytes<'_>| {
        let len = u32::from_le_bytes(bytes.take(4)?.try_into().ok()?);
        usize::try_from(len).ok()
    };
    bytes.take(8)?;
    let frame_id = field(&mut bytes)?;
    bytes.take(frame_id)?;
    let data = field(&mut bytes)?;
    let data = bytes.take(data)?;
    let format = field(&mut bytes)?;
    Some(Frame { format: bytes.take(format)?, data })
}

struct Bytes<'a> {
    rest: &'a [u8],
    taken: usize,
}

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        self.taken += len;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use rdl_mcap_io::SchemaDef;

    use super::*;
    use crate::generator::config;

    pub(in crate::lookback) fn channel(encoding: &str, schema: &str) -> Arc<ChannelDef> {
        let schema = SchemaDef {
            name: schema.to_owned(),
            encoding: encoding.to_owned(),
            data: bytes::Bytes::new(),
        };
        Arc::new(ChannelDef {
            topic: "/video".to_owned(),
            message_encoding: encoding.to_owned(),
            schema: Some(Arc::new(schema)),
            metadata: std::collections::BTreeMap::new(),
        })
    }

    fn encode(encoding: &str, format: &str, data: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        match encoding {
            "protobuf" => {
                message.extend([0x0a, 2, 0x08, 1, 0x12, 3]);
                message.extend(b"cam");
                message.extend([0x1a, u8::try_from(data.len()).unwrap()]);
                message.extend(data);
                message.extend([0x22, u8::try_from(format.len()).unwrap()]);
                message.extend(format.as_bytes());
            }
            "cdr" | "ros1" => {
                let cdr = encoding == "cdr";
                let mut field = |bytes: &[u8], string: bool| {
                    let nul = usize::from(cdr && string);
                    while cdr && !message.len().is_multiple_of(4) {
                        message.push(0xff);
                    }
                    message.extend(u32::try_from(bytes.len() + nul).unwrap().to_le_bytes());
                    message.extend(bytes);
                    message.extend(&[0][..nul]);
                };
                field(b"cam", true);
                field(data, false);
                field(format.as_bytes(), true);
                let head: &[u8] = if cdr { &[0, 1, 0, 0] } else { &[] };
                message = [head, &[7; 8], &message].concat();
            }
            other => unreachable!("{other}"),
        }
        message
    }

    /// A protobuf message with a delimiter and a NAL unit of this type.
    pub(in crate::lookback) fn h264(unit: u8) -> Vec<u8> {
        encode("protobuf", "h264", &[0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x60 | unit, 1, 2, 3])
    }

    const CHANNELS: [(&str, &str); 4] = [
        ("protobuf", "foxglove.CompressedVideo"),
        ("cdr", "foxglove_msgs/msg/CompressedVideo"),
        ("cdr", "foxglove::CompressedVideo"),
        ("ros1", "foxglove_msgs/CompressedVideo"),
    ];

    #[test]
    fn tells_key_frames_in_every_encoding() {
        let h265 = |unit: u8| vec![0, 0, 1, 35 << 1, 1, 0x50, 0, 0, 0, 1, unit << 1, 1, 9];
        let h264 = |unit: u8| vec![0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x60 | unit, 1, 2];
        let parameters =
            |unit: u8| [&[0, 0, 1, 0x67, 9, 0, 0, 1, 0x68, 9], &h264(unit)[..]].concat();
        let frames = [
            ("h264", h264(5), true),
            ("h264", parameters(5), true),
            ("h264", h264(1), false),
            ("h264", parameters(1), false),
            ("h264", vec![], false),
            ("h265", h265(19), true),
            ("h265", h265(21), true),
            ("h265", h265(1), false),
            ("vp9", vec![0x82, 0x49, 0x83, 0x42], true),
            ("vp9", vec![0xb0, 0x49, 0x83, 0x42], true),
            ("vp9", vec![0x86, 0], false),
            ("vp9", vec![0x88, 0], false),
            ("vp9", vec![], false),
            ("av1", vec![0x12, 0, 0x0a, 1, 0, 0x32, 2, 0x10, 0], true),
            ("av1", vec![0x12, 0, 0x32, 2, 0x30, 0], false),
            ("av1", vec![0x12, 0, 0x1a, 2, 0x80, 0], false),
            ("av1", vec![0x12, 0, 0x30, 0x10], true),
            ("av1", vec![0x12, 0, 0x32, 9, 0x10], false),
            ("mjpeg", vec![1, 2, 3], true),
        ];
        for (encoding, schema) in CHANNELS {
            let def = channel(encoding, schema);
            assert!(is_video(&def));
            for (format, data, is_key) in &frames {
                let message = encode(encoding, format, data);
                assert_eq!(is_key_frame(&def, &message), *is_key, "{encoding} {format} {data:?}");
            }
        }
    }

    #[test]
    fn other_schemas_and_encodings_are_no_video() {
        assert!(!is_video(&channel("protobuf", "foxglove.CompressedImage")));
        assert!(!is_video(&channel("json", "foxglove.CompressedVideo")));
        assert!(!is_video(&channel("cdr", "foxglove.CompressedVideo")));
    }

    proptest! {
        #![proptest_config(config(500))]

        #[test]
        fn any_bytes_are_read_without_harm(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
            cut in any::<prop::sample::Index>(),
        ) {
            for (encoding, schema) in CHANNELS {
                let def = channel(encoding, schema);
                is_key_frame(&def, &bytes);
                let whole = encode(encoding, "h264", &[0, 0, 1, 0x65, 9]);
                let cut = &whole[..cut.index(whole.len())];
                prop_assert!(encoding == "protobuf" || !is_key_frame(&def, cut), "cut short");
            }
        }
    }
}
