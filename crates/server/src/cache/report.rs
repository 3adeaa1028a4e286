//! Sources as lines and as JSON.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use indicatif::BinaryBytes;
use rdl_model::Nanos;
use serde::Serialize;

use super::place::Stored;

/// A source as programs read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    id: String,
    key: String,
    state: &'static str,
    bytes: u64,
    parts: u32,
    completed_at: Option<String>,
    used_at: String,
}

pub(super) fn entries(sources: &[Stored]) -> Vec<Entry> {
    let entry = |source: &Stored| Entry {
        id: id(source),
        key: source.key.to_string(),
        state: state(source),
        bytes: source.bytes,
        parts: source.part_count,
        completed_at: source.completed_at.map(time_text),
        used_at: time_text(source.used_at),
    };
    sources.iter().map(entry).collect()
}

/// What people call the source; the key where nothing else is known.
pub(super) fn id(source: &Stored) -> String {
    source.name.clone().unwrap_or_else(|| source.key.to_string())
}

/// The columns of `cache list`, and the sum.
pub(super) fn table(sources: &[Stored]) -> String {
    let mut rows = vec![["ID", "STATE", "SIZE", "PARTS", "AGE", "LAST USE"].map(str::to_owned)];
    rows.extend(sources.iter().map(|source| {
        [
            printable(&id(source)),
            state(source).to_owned(),
            bytes_text(source.bytes),
            source.part_count.to_string(),
            source.completed_at.map_or_else(|| "-".to_owned(), age_text),
            format!("{} ago", age_text(source.used_at)),
        ]
    }));
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut text = String::new();
    for [id, state, size, parts, age, used] in &rows {
        let [id_width, state_width, size_width, parts_width, age_width, used_width] = widths;
        let _ = writeln!(
            text,
            "{id:id_width$}  {state:state_width$}  {size:>size_width$}  {parts:>parts_width$}  \
             {age:>age_width$}  {used:>used_width$}",
        );
    }
    let bytes: u64 = sources.iter().map(|source| source.bytes).sum();
    let _ = write!(text, "{}, {}", super::count_text(sources.len()), bytes_text(bytes));
    text
}

/// A source in one line.
pub(super) fn one_line(source: &Stored) -> String {
    format!("{} ({}, {})", printable(&id(source)), state(source), bytes_text(source.bytes))
}

/// A number of bytes for people.
pub(super) fn bytes_text(bytes: u64) -> String {
    BinaryBytes(bytes).to_string()
}

fn state(source: &Stored) -> &'static str {
    if source.completed_at.is_some() { "complete" } else { "incomplete" }
}

/// Ids come from data backends: nothing in them may steer a terminal.
fn printable(id: &str) -> String {
    id.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

fn time_text(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)).to_string()
}

fn age_text(time: SystemTime) -> String {
    let seconds = time.elapsed().unwrap_or(Duration::ZERO).as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, ..) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let ago = |seconds| age_text(SystemTime::now() - Duration::from_secs(seconds));
        assert_eq!(ago(59), "59s");
        assert_eq!(ago(60), "1m");
        assert_eq!(ago(3_600 + 120), "1h 2m");
        assert_eq!(ago(8 * 86_400 + 3 * 3_600), "8d 3h");
        assert_eq!(age_text(SystemTime::now() + Duration::from_secs(100)), "0s");
    }

    #[test]
    fn nothing_in_an_id_steers_a_terminal() {
        assert_eq!(printable("drive\u{1b}[2J\n7"), "drive\u{fffd}[2J\u{fffd}7");
    }
}
