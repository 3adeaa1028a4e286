//! Words of refusals.

use remote_data_loader_backend::ErrorReply;

/// How much of a request's own words is repeated, in characters.
const SHOWN_CHARS: usize = 100;

/// What may pass in a moment.
pub(crate) fn unavailable(message: impl Into<String>) -> ErrorReply {
    ErrorReply::unavailable(message).retry_after(2)
}

/// What a request named, shortened and on one line, for repeating it.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String =
        text.chars().take(SHOWN_CHARS).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_is_short_and_on_one_line() {
        assert_eq!(shown(&"x\n".repeat(200)).chars().count(), 101);
        assert!(!shown("x\ny").contains('\n'));
    }
}
