//! A report for people: a line a rule, and below it what was found and where.

use std::fmt::Write as _;

use super::{Finding, Outcome, Place, Report, RuleReport, Style};
use crate::shown::{bytes_text, count};

const LEAST_WIDTH: usize = 60;
/// `not observed`.
const OUTCOME_WIDTH: usize = 12;
/// In front of what stands below a rule.
const INDENT: &str = "    ";

impl Report {
    /// The report as text, with a newline at its end.
    pub fn text(&self, style: Style) -> String {
        let style = Style { width: style.width.max(LEAST_WIDTH), ..style };
        let mut out = String::new();
        for manifest in &self.manifests {
            let sources = match manifest.sources {
                Some(sources) => count(sources as u64, "source"),
                None => "not read".to_owned(),
            };
            let _ = writeln!(out, "manifest {}: {} ({sources})", manifest.number, manifest.url);
        }
        let mut group = "";
        let name_width = self.rules.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
        for rule in &self.rules {
            if std::mem::replace(&mut group, rule.group) != rule.group {
                let _ = writeln!(out, "\n{}", rule.group.to_uppercase());
            }
            self.rule(&mut out, rule, name_width, style);
        }
        let _ = writeln!(out, "\n{}", self.summary_line());
        out
    }

    /// How many rules came to what, and how much was read.
    pub fn summary_line(&self) -> String {
        let summary = &self.summary;
        format!(
            "{} passed, {} failed, {} with advice, {} not observed; read {}, {}, {}",
            summary.pass,
            summary.fail,
            summary.advice,
            summary.not_observed,
            count(summary.sources as u64, "source"),
            count(summary.messages, "message"),
            bytes_text(summary.bytes),
        )
    }

    fn rule(&self, out: &mut String, rule: &RuleReport, name_width: usize, style: Style) {
        // What is expected stands in the middle, and its first line ends in the outcome.
        let middle = style.width.saturating_sub(name_width + 2 + 2 + OUTCOME_WIDTH).max(20);
        let lines = wrapped(rule.expected, middle);
        let first = lines.first().map(String::as_str).unwrap_or_default();
        let outcome = coloured(rule.outcome, style.colours);
        let _ = writeln!(out, "{:name_width$}  {first:middle$}  {outcome}", rule.name);
        for line in lines.iter().skip(1) {
            let _ = writeln!(out, "{:name_width$}  {line}", "");
        }
        if rule.outcome == Outcome::Pass {
            return;
        }
        let shown = match rule.outcome {
            // What was not seen matters less than what was found.
            Outcome::NotObserved => 1,
            _ => rule.findings.len(),
        };
        if rule.findings.is_empty() {
            indented(out, &format!("because: {}", rule.found), style.width);
        }
        let mut told = 0;
        for finding in rule.findings.iter().take(shown) {
            told += finding.times;
            self.finding(out, finding, rule.outcome, style.width);
        }
        if rule.count > told && !rule.findings.is_empty() {
            indented(out, &format!("and {} more like it", rule.count - told), style.width);
        }
    }

    fn finding(&self, out: &mut String, finding: &Finding, outcome: Outcome, width: usize) {
        let label = match finding.outcome {
            Outcome::NotObserved if outcome != Outcome::NotObserved => "not observed: ",
            Outcome::NotObserved => "because: ",
            Outcome::Advice if outcome == Outcome::Fail => "advice: ",
            _ => "found: ",
        };
        indented(out, &format!("{label}{}", finding.found), width);
        let place = finding.place.text(self.manifests.len() > 1);
        let more = finding.times.saturating_sub(1);
        match (place.is_empty(), more) {
            (true, _) => {}
            (false, 0) => indented(out, &format!("where: {place}"), width),
            (false, _) => indented(out, &format!("where: {place}, and {more} more"), width),
        }
    }
}

impl Place {
    /// The place in words; the manifest only where there are several.
    pub(super) fn text(&self, several: bool) -> String {
        let mut parts = Vec::new();
        if let Some(source) = &self.source {
            parts.push(format!("source {source}"));
        }
        if let Some(manifest) = self.manifest.filter(|_| several) {
            parts.push(format!("manifest {manifest}"));
        }
        if let Some(path) = &self.path {
            parts.push(path.clone());
        }
        if let Some(topic) = &self.topic {
            parts.push(format!("topic {topic}"));
        }
        if let Some(message) = self.message {
            parts.push(format!("message {message}"));
        }
        if let Some(byte) = self.byte {
            parts.push(format!("byte {byte}"));
        }
        if let Some(time) = &self.time {
            parts.push(time.clone());
        }
        parts.join(", ")
    }
}

/// Wrapped below its rule, further lines under the text of the first.
fn indented(out: &mut String, text: &str, width: usize) {
    let hang = text.find(": ").filter(|at| *at < 14).map_or(0, |at| at + 2);
    let room = width.saturating_sub(INDENT.len() + hang).max(20);
    let (label, rest) = text.split_at(hang);
    for (number, line) in wrapped(rest, room).iter().enumerate() {
        let before = if number == 0 { label } else { &" ".repeat(hang) };
        let _ = writeln!(out, "{INDENT}{before}{line}");
    }
}

/// Lines of at most `width` letters, broken between words; a longer word stays whole.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let fits = |line: &String| line.chars().count() + 1 + word.chars().count() <= width;
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if fits(line) => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn coloured(outcome: Outcome, colours: bool) -> String {
    let colour = match outcome {
        Outcome::Pass => "32",
        Outcome::Fail => "1;31",
        Outcome::Advice => "33",
        Outcome::NotObserved => "2",
    };
    let text = outcome.as_str();
    if colours { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(
            wrapped("https://a.very.long/url is it", 10),
            ["https://a.very.long/url", "is it"]
        );
        assert_eq!(wrapped("", 10), [""]);
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        assert_eq!(coloured(Outcome::Fail, false), "fail");
        assert!(coloured(Outcome::Fail, true).contains("\u{1b}[1;31mfail"));
    }
}
