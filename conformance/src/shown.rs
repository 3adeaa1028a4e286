//! What of a backend's text may be shown: nothing that steers a terminal, nothing that is endless.

/// What is kept of a text from outside, in characters.
const LONGEST: usize = 300;

/// The text, tamed and cut.
pub(crate) fn tamed(text: &str) -> String {
    let mut letters = text.chars();
    let mut shown: String = letters
        .by_ref()
        .take(LONGEST)
        .map(|letter| if is_tame(letter) { letter } else { '\u{fffd}' })
        .collect();
    if letters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Control characters, and those that turn the direction of what follows.
fn is_tame(letter: char) -> bool {
    !letter.is_control()
        && !matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The first bytes of a body for people. Of a text only its kind: it may hold anything, a secret too.
pub(crate) fn beginning(bytes: &[u8]) -> String {
    let front = &bytes[..bytes.len().min(40)];
    let text = String::from_utf8_lossy(front).trim_start().to_ascii_lowercase();
    let is_text = |byte: &u8| (0x20..0x7f).contains(byte) || b"\t\r\n".contains(byte);
    let kind = match text.as_bytes().first() {
        None => "nothing",
        _ if text.starts_with("<!doctype html") || text.starts_with("<html") => "an HTML page",
        Some(b'<') => "XML or HTML",
        Some(b'{' | b'[') => "JSON",
        _ if front.iter().all(is_text) => "text",
        _ => {
            let hex: Vec<String> = front.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            return format!("the bytes {}", hex.join(" "));
        }
    };
    kind.to_owned()
}

/// A number of bytes for people.
#[expect(clippy::cast_precision_loss, reason = "a number for people")]
pub(crate) fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = "bytes";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "bytes" { format!("{bytes} bytes") } else { format!("{value:.1} {unit}") }
}

/// `1 source`, `2 sources`.
pub(crate) fn count(number: u64, what: &str) -> String {
    let mut text = number.to_string();
    for at in
        (1..text.len()).rev().filter(|at| (text.len() - at).is_multiple_of(3)).collect::<Vec<_>>()
    {
        text.insert(at, ',');
    }
    match number {
        1 => format!("1 {what}"),
        _ if what.ends_with("ch") => format!("{text} {what}es"),
        _ => match what.strip_suffix('y') {
            Some(stem) if !stem.ends_with(['a', 'e', 'o']) => format!("{text} {stem}ies"),
            _ => format!("{text} {what}s"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_from_outside_are_tamed() {
        assert_eq!(tamed("a\u{1b}[2Jb\nc\u{202e}"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}");
        assert_eq!(tamed(&"é".repeat(1000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn beginnings_are_told_apart() {
        assert_eq!(beginning(b"  <!DOCTYPE HTML><p>"), "an HTML page");
        assert_eq!(beginning(b"{\"token\": \"secret\"}"), "JSON");
        assert_eq!(beginning(b"secret"), "text");
        assert_eq!(beginning(b""), "nothing");
        assert_eq!(beginning(&[0x89, 0x50]), "the bytes 89 50");
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(bytes_text(1023), "1023 bytes");
        assert_eq!(bytes_text(64 << 20), "64.0 MiB");
        assert_eq!(count(1, "source"), "1 source");
        assert_eq!(count(1_234_567, "message"), "1,234,567 messages");
        assert_eq!(count(2, "reply"), "2 replies");
    }
}
