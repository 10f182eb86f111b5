//! Sizes as contracts write them: `ceil(count/256)`, `rows`, `2*cols + 1`, and limits such as
//! `cols <= 8192` or `cols % 8 = 0`, evaluated with the values that a launch gives to names.

use std::collections::BTreeMap;

/// Values of names.
pub(crate) type Values = BTreeMap<String, i64>;

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 16;

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoValue {
    /// A name that the launch gives no value to.
    Unbound(String),
    /// The text is none of ours, or its value is no whole number or too large.
    Unreadable(String),
}

/// The whole value of an expression.
pub(crate) fn evaluate(text: &str, values: &Values) -> Result<i64, NoValue> {
    let mut reader = Reader { rest: text.trim(), text, values };
    let value = reader.sum(0)?;
    if !reader.rest.is_empty() {
        return Err(reader.unreadable());
    }
    reader.whole(value)
}

/// Whether a limit holds.
pub(crate) fn holds(limit: &str, values: &Values) -> Result<bool, NoValue> {
    type Compare = fn(&i64, &i64) -> bool;
    const SIGNS: [(&str, Compare); 5] =
        [("<=", i64::le), (">=", i64::ge), ("<", i64::lt), (">", i64::gt), ("=", i64::eq)];
    let sign = SIGNS.iter().find_map(|(sign, compare)| Some((limit.split_once(sign)?, compare)));
    let Some(((left, right), compare)) = sign else {
        return Err(NoValue::Unreadable(limit.to_owned()));
    };
    Ok(compare(&evaluate(left, values)?, &evaluate(right, values)?))
}

/// A fraction; its lower part is positive.
type Fraction = (i64, i64);

struct Reader<'a> {
    rest: &'a str,
    text: &'a str,
    values: &'a Values,
}

impl Reader<'_> {
    fn unreadable(&self) -> NoValue {
        NoValue::Unreadable(self.text.trim().to_owned())
    }

    fn whole(&self, (upper, lower): Fraction) -> Result<i64, NoValue> {
        if upper % lower == 0 { Ok(upper / lower) } else { Err(self.unreadable()) }
    }

    fn accept(&mut self, sign: char) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn sum(&mut self, depth: usize) -> Result<Fraction, NoValue> {
        let mut value = self.product(depth)?;
        loop {
            let factor = if self.accept('+') {
                1
            } else if self.accept('-') {
                -1
            } else {
                return Ok(value);
            };
            let (upper, lower) = self.product(depth)?;
            let left = value.0.checked_mul(lower);
            let right = upper.checked_mul(value.1).and_then(|right| right.checked_mul(factor));
            value = self.fraction(
                left.zip(right).and_then(|(l, r)| l.checked_add(r)),
                value.1.checked_mul(lower),
            )?;
        }
    }

    fn product(&mut self, depth: usize) -> Result<Fraction, NoValue> {
        let mut value = self.atom(depth)?;
        loop {
            if self.accept('*') {
                let other = self.atom(depth)?;
                value =
                    self.fraction(value.0.checked_mul(other.0), value.1.checked_mul(other.1))?;
            } else if self.accept('/') {
                let other = self.atom(depth)?;
                value =
                    self.fraction(value.0.checked_mul(other.1), value.1.checked_mul(other.0))?;
            } else if self.accept('%') {
                let other = self.atom(depth)?;
                let (left, right) = (self.whole(value)?, self.whole(other)?);
                value = self.fraction(left.checked_rem_euclid(right), Some(1))?;
            } else {
                return Ok(value);
            }
        }
    }

    fn fraction(&self, upper: Option<i64>, lower: Option<i64>) -> Result<Fraction, NoValue> {
        match (upper, lower) {
            (Some(upper), Some(lower)) if lower > 0 => Ok((upper, lower)),
            _ => Err(self.unreadable()),
        }
    }

    fn atom(&mut self, depth: usize) -> Result<Fraction, NoValue> {
        if depth > MAX_DEPTH {
            return Err(self.unreadable());
        }
        if self.accept('(') {
            let value = self.sum(depth + 1)?;
            return if self.accept(')') { Ok(value) } else { Err(self.unreadable()) };
        }
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.trim_start();
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            let digits = word.replace('_', "");
            return digits.parse().map(|value| (value, 1)).map_err(|_| self.unreadable());
        }
        if matches!(word, "ceil" | "floor" | "min" | "max") && self.accept('(') {
            return self.call(word, depth + 1);
        }
        if word.is_empty() {
            return Err(self.unreadable());
        }
        let value = self.values.get(word).map(|value| (*value, 1));
        value.ok_or_else(|| NoValue::Unbound(word.to_owned()))
    }

    fn call(&mut self, function: &str, depth: usize) -> Result<Fraction, NoValue> {
        let (upper, lower) = self.sum(depth)?;
        let value = match function {
            "ceil" => (upper.div_euclid(lower) + i64::from(upper.rem_euclid(lower) > 0), 1),
            "floor" => (upper.div_euclid(lower), 1),
            _ => {
                if !self.accept(',') {
                    return Err(self.unreadable());
                }
                let other = self.sum(depth)?;
                let (left, right) = (self.whole((upper, lower))?, self.whole(other)?);
                (if function == "min" { left.min(right) } else { left.max(right) }, 1)
            }
        };
        if self.accept(')') { Ok(value) } else { Err(self.unreadable()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> Values {
        [("rows".to_owned(), 7), ("cols".to_owned(), 24)].into()
    }

    #[test]
    fn expressions_have_values() {
        for (text, want) in [
            ("1", 1),
            ("1_024", 1024),
            ("rows", 7),
            ("ceil(rows/4)", 2),
            ("ceil((rows + 1)/4)", 2),
            ("floor(rows/4) * 3", 3),
            ("rows*cols - 2*3", 162),
            ("cols/2", 12),
            ("cols % 8", 0),
            ("max(rows, min(cols, 9))", 9),
        ] {
            assert_eq!(evaluate(text, &values()), Ok(want), "{text}");
        }
        assert_eq!(evaluate("heads*2", &values()), Err(NoValue::Unbound("heads".into())));
        for text in ["", "rows/2", "1/0", "rows +", "(1", "1 2", "ceil(1", "9999999999999999999"] {
            assert!(matches!(evaluate(text, &values()), Err(NoValue::Unreadable(_))), "{text}");
        }
    }

    #[test]
    fn limits_hold_or_not() {
        for (limit, want) in [
            ("cols <= 24", true),
            ("cols < 24", false),
            ("rows >= 8", false),
            ("rows >= 7", true),
            ("cols % 8 = 0", true),
            ("rows % 2 = 0", false),
        ] {
            assert_eq!(holds(limit, &values()), Ok(want), "{limit}");
        }
        assert!(holds("cols is even", &values()).is_err());
        assert_eq!(holds("heads <= 8", &values()), Err(NoValue::Unbound("heads".into())));
    }

    proptest! {
        #[test]
        fn any_text_has_a_value_or_none(text in "[a-z0-9+*/%(), <=>-]{0,40}") {
            let _ = evaluate(&text, &values());
            let _ = holds(&text, &values());
        }

        #[test]
        fn sums_and_products_agree_with_arithmetic(a in 0i64..999, b in 0i64..999, c in 1i64..99) {
            let text = format!("ceil(({a} + {b}*{c})/{c})");
            prop_assert_eq!(evaluate(&text, &Values::new()), Ok((a + b * c + c - 1) / c));
        }
    }
}
