//! Numbers on the command line.

use std::ops::RangeInclusive;

/// A parser of numbers within a range, whose ends it names when it refuses.
pub(crate) fn within(
    range: RangeInclusive<f64>,
) -> impl Fn(&str) -> Result<f64, String> + Clone + Send + Sync + 'static {
    move |text| match text.trim().parse::<f64>() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("expected a number from {} to {}", range.start(), range.end())),
    }
}

/// A number of bytes in the largest unit that leaves a whole part.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = usize::from(unit > 0 && value < 100.0 && value.fract() > 0.05);
    format!("{value:.decimals$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_within_the_range_pass() {
        let parse = within(0.5..=10.0);
        assert_eq!(parse("0.5"), Ok(0.5));
        assert_eq!(parse(" 1e1 "), Ok(10.0));
        for text in ["0.49", "10.1", "NaN", "inf", "", "1,5", "-1"] {
            let problem = parse(text).expect_err(text);
            assert_eq!(problem, "expected a number from 0.5 to 10");
        }
    }

    #[test]
    fn byte_counts_are_readable() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (16 << 10, "16 KiB"),
            (3 << 29, "1.5 GiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
