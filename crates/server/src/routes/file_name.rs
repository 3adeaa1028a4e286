//! What a recording is called as a file.

/// How many characters of a recording's name a file name keeps.
const MAX_FILE_NAME_CHARS: usize = 100;

/// A file name of harmless characters, with `.mcap` at its end: it stands in a URL, and is saved on
/// all kinds of machines.
pub(super) fn file_name(recording: Option<&str>) -> String {
    let name = recording.unwrap_or("recording");
    let harmless = name.chars().take(MAX_FILE_NAME_CHARS).map(|c| match c {
        c if c.is_ascii_alphanumeric() => c,
        '.' | '-' | '_' => c,
        _ => '_',
    });
    let name: String = harmless.collect();
    // A leading dot hides a file; a lone one names a folder.
    let name = name.trim_matches(['.', '_']);
    let name = name.strip_suffix(".mcap").unwrap_or(name);
    let name = if name.is_empty() { "recording" } else { name };
    format!("{name}.mcap")
}

/// How a browser saves it.
pub(super) fn disposition(file_name: &str) -> String {
    format!("attachment; filename=\"{file_name}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_harmless() {
        for (name, expected) in [
            ("A drive", "A_drive.mcap"),
            ("drive.mcap", "drive.mcap"),
            ("../../etc/passwd", "etc_passwd.mcap"),
            ("a,b\"; filename=\"c\r\nX: y", "a_b___filename__c__X__y.mcap"),
            ("日本", "recording.mcap"),
            ("..", "recording.mcap"),
            ("", "recording.mcap"),
            (".hidden", "hidden.mcap"),
        ] {
            assert_eq!(file_name(Some(name)), expected);
        }
        assert_eq!(file_name(None), "recording.mcap");
        assert_eq!(file_name(Some(&"x".repeat(500))).len(), MAX_FILE_NAME_CHARS + 5);
    }
}
