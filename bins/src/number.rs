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
}
