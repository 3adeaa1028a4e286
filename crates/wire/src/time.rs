//! Declared times: RFC 3339 with years of any length, because the least and the greatest date of
//! the programming languages that backends are written in are sent to say "unknown".

use rdl_model::Nanos;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// A declared time as it was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Printed {
    year: i64,
    /// Since the Unix epoch.
    nanos: i128,
    /// How much time the last digit printed stands for: a second, a tenth, …
    unit_nanos: i128,
}

/// What a declared time comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Known(Nanos),
    /// The first or the last year of a calendar: chrono's, Go's and Python's least and greatest
    /// dates. Its writer means "unknown", so it is no problem.
    Unknown,
    /// A real date that unsigned 64-bit nanoseconds cannot hold; counts as unknown.
    OutOfRange,
}

impl Printed {
    /// `None` when `text` is not RFC 3339 (RFC 3339 section 5.6; longer and signed years allowed).
    pub(crate) fn parse(text: &str) -> Option<Printed> {
        let mut rest = text.as_bytes();
        let negative = match rest.first()? {
            b'-' => Some(true),
            b'+' => Some(false),
            _ => None,
        };
        rest = &rest[usize::from(negative.is_some())..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        // Six digits is the longest year that any known library prints.
        if !(4..=9).contains(&digits) || (negative.is_none() && digits != 4) {
            return None;
        }
        let mut year = number(&mut rest, digits)?;
        if negative == Some(true) {
            year = -year;
        }
        expect(&mut rest, b"-")?;
        let month = number(&mut rest, 2).filter(|month| (1..=12).contains(month))?;
        expect(&mut rest, b"-")?;
        let day = number(&mut rest, 2)?;
        if !(1..=days_in(year, month)).contains(&day) {
            return None;
        }
        expect(&mut rest, b"Tt ")?;
        let hour = number(&mut rest, 2).filter(|hour| *hour < 24)?;
        expect(&mut rest, b":")?;
        let minute = number(&mut rest, 2).filter(|minute| *minute < 60)?;
        expect(&mut rest, b":")?;
        // 60 is a leap second.
        let second = number(&mut rest, 2).filter(|second| *second <= 60)?;
        let (fraction_nanos, unit_nanos) = fraction(&mut rest)?;
        let offset_minutes = offset(&mut rest)?;
        if !rest.is_empty() {
            return None;
        }
        let minutes = (days_since_epoch(year, month, day) * 24 + hour) * 60 + minute;
        let seconds = i128::from((minutes - offset_minutes) * 60 + second);
        Some(Printed { year, nanos: seconds * NANOS_PER_SECOND + fraction_nanos, unit_nanos })
    }

    /// The time as a start: the first nanosecond of the unit printed.
    pub(crate) fn start(self) -> Bound {
        self.bound(|nanos| nanos)
    }

    /// The time as an end: the last nanosecond of the unit printed, so that a backend that prints
    /// whole seconds does not lose the last of them.
    pub(crate) fn end(self) -> Bound {
        self.bound(|nanos| nanos + (self.unit_nanos - 1))
    }

    fn bound(self, within_unit: impl Fn(i128) -> i128) -> Bound {
        match u64::try_from(self.nanos) {
            Ok(_) => {
                let nanos = within_unit(self.nanos).min(i128::from(u64::MAX));
                Bound::Known(Nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
            }
            Err(_) if self.year <= 1 || self.year >= 9999 => Bound::Unknown,
            Err(_) => Bound::OutOfRange,
        }
    }
}

fn number(rest: &mut &[u8], digits: usize) -> Option<i64> {
    let (head, tail) = rest.split_at_checked(digits)?;
    let mut value = 0;
    for byte in head {
        value = value * 10 + i64::from(byte.is_ascii_digit().then(|| byte - b'0')?);
    }
    *rest = tail;
    Some(value)
}

fn expect(rest: &mut &[u8], any_of: &[u8]) -> Option<u8> {
    let (first, tail) = rest.split_first()?;
    any_of.contains(first).then_some(())?;
    *rest = tail;
    Some(*first)
}

/// The fraction of a second and the unit of its last digit. Digits after the ninth are dropped.
fn fraction(rest: &mut &[u8]) -> Option<(i128, i128)> {
    if rest.first() != Some(&b'.') {
        return Some((0, NANOS_PER_SECOND));
    }
    *rest = &rest[1..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let counted = digits.min(9);
    let value = i128::from(number(rest, counted)?);
    *rest = &rest[digits - counted..];
    let unit = (counted..9).fold(1, |unit, _| unit * 10);
    Some((value * unit, unit))
}

fn offset(rest: &mut &[u8]) -> Option<i64> {
    let sign = match expect(rest, b"Zz+-")? {
        b'+' => 1,
        b'-' => -1,
        _ => return Some(0),
    };
    let hours = number(rest, 2).filter(|hours| *hours < 24)?;
    expect(rest, b":")?;
    let minutes = number(rest, 2).filter(|minutes| *minutes < 60)?;
    Some(sign * (hours * 60 + minutes))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March put the leap day last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start(text: &str) -> Bound {
        Printed::parse(text).unwrap().start()
    }

    fn end(text: &str) -> Bound {
        Printed::parse(text).unwrap().end()
    }

    #[test]
    fn an_end_covers_the_unit_it_was_printed_in() {
        let known = |nanos| Bound::Known(Nanos(nanos));
        assert_eq!(start("1970-01-01T00:00:10Z"), known(10_000_000_000));
        assert_eq!(end("1970-01-01T00:00:10Z"), known(10_999_999_999));
        assert_eq!(end("1970-01-01T00:00:10.5Z"), known(10_599_999_999));
        assert_eq!(end("1970-01-01T00:00:10.500Z"), known(10_500_999_999));
        assert_eq!(end("1970-01-01T00:00:10.123456789Z"), known(10_123_456_789));
        assert_eq!(end("1970-01-01T00:00:10.1234567891Z"), known(10_123_456_789));
        assert_eq!(end("1970-01-01t01:00:10+01:00"), known(10_999_999_999));
        assert_eq!(start("1970-01-01T00:00:60z"), known(60_000_000_000));
    }

    #[test]
    fn what_64_bits_cannot_hold_is_unknown() {
        assert_eq!(end("2554-07-21T23:34:33Z"), Bound::Known(Nanos::MAX));
        assert_eq!(start("2554-07-21T23:34:34Z"), Bound::OutOfRange);
        assert_eq!(start("1969-12-31T23:59:59Z"), Bound::OutOfRange);
        for sentinel in [
            "-262143-01-01T00:00:00Z",
            "+262142-12-31T23:59:59.999999999Z",
            "0001-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999+00:00",
        ] {
            assert_eq!(start(sentinel), Bound::Unknown, "{sentinel}");
            assert_eq!(end(sentinel), Bound::Unknown, "{sentinel}");
        }
    }

    #[test]
    fn refuses_what_is_not_rfc_3339() {
        for text in [
            "",
            "0",
            "yesterday",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-1-01T00:00:00Z",
            "1970-13-01T00:00:00Z",
            "1970-02-29T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:00:61Z",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00+0100",
            "1970-01-01T00:00:00Z ",
            "12345-01-01T00:00:00Z",
            "+99999999999999999999-01-01T00:00:00Z",
        ] {
            assert_eq!(Printed::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_nanos_print(nanos in any::<u64>()) {
            prop_assert_eq!(start(&Nanos(nanos).to_string()), Bound::Known(Nanos(nanos)));
        }

        #[test]
        fn never_panics(text in "[-+]?[0-9]{0,12}-?[0-9:TtZz. +-]{0,30}") {
            if let Some(printed) = Printed::parse(&text) {
                let _ = (printed.start(), printed.end());
            }
        }
    }
}
