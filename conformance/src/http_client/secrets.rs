//! What a backend may send back, and no report may show: tokens, and what a URL carries beside its
//! path.

/// A part of a token that is shorter tells nothing, and may be any word.
const LEAST_PART: usize = 8;
/// A token that is shorter is no secret, and would mask half of a report.
const LEAST_TOKEN: usize = 4;
/// What stands for a secret.
const MASK: &str = "[token]";

/// The texts that no report shows.
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// The tokens, whole and in the parts that dots make.
    pub(super) fn of<'a>(tokens: impl Iterator<Item = &'a str>) -> Secrets {
        let mut all: Vec<String> = Vec::new();
        for token in tokens.filter(|token| token.len() >= LEAST_TOKEN) {
            all.push(token.to_owned());
            let parts = token.split('.').filter(|part| part.len() >= LEAST_PART);
            all.extend(parts.map(str::to_owned));
            let encoded: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
            all.push(encoded);
        }
        // The longest first, so that no rest of it stays.
        all.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
        all.dedup();
        Secrets(all)
    }

    /// The text without them, nor with the beginning of one where the text was cut.
    pub(crate) fn masked(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for secret in &self.0 {
            if masked.contains(secret.as_str()) {
                masked = masked.replace(secret.as_str(), MASK);
            }
        }
        match masked.strip_suffix('…').and_then(|kept| self.without_beginning(kept)) {
            Some(kept) => format!("{kept}{MASK}…"),
            None => masked,
        }
    }

    fn without_beginning<'a>(&self, text: &'a str) -> Option<&'a str> {
        self.0.iter().find_map(|secret| {
            let lengths = (LEAST_TOKEN..secret.len()).rev();
            lengths.filter_map(|length| secret.get(..length)).find_map(|it| text.strip_suffix(it))
        })
    }
}

/// The text with every URL in it less its query, user info and fragment.
pub(super) fn without_queries(text: &str) -> String {
    let mut shown = String::new();
    for word in text.split_inclusive(char::is_whitespace) {
        let is_url = word.contains("://") || word.contains('/');
        // A question has no `=`.
        let query = word.find('?').filter(|at| is_url || word[*at..].contains('='));
        let fragment = word.find('#').filter(|_| is_url);
        let end = query.into_iter().chain(fragment).min().unwrap_or(word.len());
        let space = &word[word.trim_end().len()..];
        let kept = if end < word.len() { &word[..end] } else { word.trim_end() };
        let authority = kept.find("://").map(|at| at + 3);
        match authority.and_then(|start| {
            let host = kept[start..].find('/').map_or(kept.len(), |at| start + at);
            kept[start..host].rfind('@').map(|at| (start, start + at + 1))
        }) {
            Some((start, host)) => shown.extend([&kept[..start], &kept[host..]]),
            None => shown.push_str(kept),
        }
        if end < word.trim_end().len() {
            shown.push('…');
        }
        shown.push_str(space);
    }
    shown
}

/// A token whose last part is another: of a JWT that is its signature, which says that the rest of
/// it is true.
pub(super) fn forged(token: &str) -> String {
    let start = match token.rfind('.') {
        Some(at) => at + 1,
        None => token.len() / 2,
    };
    let start = (start..=token.len()).find(|at| token.is_char_boundary(*at)).unwrap_or(0);
    let (front, end) = token.split_at(start);
    let changed: String = end
        .chars()
        .map(|letter| match letter {
            'A' | 'a' => 'b',
            letter if letter.is_ascii_alphanumeric() => 'a',
            letter => letter,
        })
        .collect();
    if changed == end { format!("{token}AAAA") } else { format!("{front}{changed}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_masked_whole_and_in_parts() {
        let secrets = Secrets::of(["aaaaaaaaaa.bbbbbbbbbb.c/=", "short"].into_iter());
        let masked = |text| secrets.masked(text);
        assert_eq!(masked("no aaaaaaaaaa.bbbbbbbbbb.c/= here"), "no [token] here");
        assert_eq!(masked("claims bbbbbbbbbb"), "claims [token]");
        assert_eq!(masked("?t=aaaaaaaaaa.bbbbbbbbbb.c%2F%3D&a"), "?t=[token]&a");
        assert_eq!(masked("short cut"), "[token] cut");
        assert_eq!(masked("a cut aaaaaaa…"), "a cut [token]…");
        assert_eq!(Secrets::of(std::iter::empty()).masked("all"), "all");
    }

    #[test]
    fn urls_in_texts_lose_what_they_carry() {
        let shown = without_queries;
        assert_eq!(
            shown("cannot read https://u:p@h/a/b.mcap?X-Amz-Signature=abc now"),
            "cannot read https://h/a/b.mcap… now"
        );
        assert_eq!(shown("/data?sig=1 and data?sig=2"), "/data… and data…");
        assert_eq!(shown("https://h/a#token=x"), "https://h/a…");
        assert_eq!(shown("what is that? a question"), "what is that? a question");
    }

    #[test]
    fn a_forged_token_differs_in_its_last_part_alone() {
        assert_eq!(forged("head.body.sAg-1"), "head.body.aba-a");
        assert_eq!(forged("opaque"), "opaaaa");
        assert_eq!(forged("head.body."), "head.body.AAAA");
        assert_ne!(forged("x"), "x");
        assert_ne!(forged("éé"), "éé");
    }
}
