//! Expressions of templates: whole numbers and words, with the operators of C.

use std::collections::BTreeMap;
use std::fmt;

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 32;

/// Operators of two operands by precedence, the loosest first.
const OPERATORS: [&[&str]; 6] = [
    &["||"],
    &["&&"],
    &["==", "!=", "<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Number(i64),
    Word(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Word(word) => f.write_str(word),
        }
    }
}

/// Values of names. A word without one stands for itself.
pub(crate) type Names = BTreeMap<String, Value>;

/// The value of an expression, or what is wrong with it.
pub(crate) fn evaluate(text: &str, names: &Names) -> Result<Value, String> {
    let mut reader = Reader { rest: text.trim(), names };
    let value = reader.choice(0)?;
    match reader.rest {
        "" => Ok(value),
        rest => Err(format!("`{text}`: `{rest}` stands behind the expression")),
    }
}

/// Whether a condition holds.
pub(crate) fn holds(text: &str, names: &Names) -> Result<bool, String> {
    match evaluate(text, names)? {
        Value::Number(number) => Ok(number != 0),
        Value::Word(word) => Err(format!("`{text}` is `{word}`; expected a condition")),
    }
}

/// The number that an expression has to be.
pub(crate) fn number(text: &str, names: &Names) -> Result<i64, String> {
    match evaluate(text, names)? {
        Value::Number(number) => Ok(number),
        Value::Word(word) => Err(format!("`{text}` is `{word}`; expected a number")),
    }
}

struct Reader<'a> {
    rest: &'a str,
    names: &'a Names,
}

impl<'a> Reader<'a> {
    fn accept(&mut self, sign: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(sign) else { return false };
        self.rest = rest.trim_start();
        true
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.accept(sign) {
            return Ok(());
        }
        Err(format!("`{}`; expected `{sign}`", self.rest))
    }

    /// `condition ? value : value`
    fn choice(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} levels of brackets"));
        }
        let condition = self.binary(0, depth)?;
        if !self.accept("?") {
            return Ok(condition);
        }
        let yes = self.choice(depth + 1)?;
        self.expect(":")?;
        let no = self.choice(depth + 1)?;
        Ok(if condition == Value::Number(0) { no } else { yes })
    }

    fn binary(&mut self, level: usize, depth: usize) -> Result<Value, String> {
        let Some(operators) = OPERATORS.get(level) else { return self.atom(depth) };
        let mut left = self.binary(level + 1, depth)?;
        // `<` begins `<<` too, which binds tighter and was met before.
        while let Some(operator) = operators.iter().copied().find(|sign| self.accept(sign)) {
            let right = self.binary(level + 1, depth)?;
            left = apply(operator, &left, &right)?;
        }
        Ok(left)
    }

    fn atom(&mut self, depth: usize) -> Result<Value, String> {
        if self.accept("(") {
            let value = self.choice(depth + 1)?;
            self.expect(")")?;
            return Ok(value);
        }
        if self.accept("!") {
            let value = self.atom(depth + 1)?;
            return Ok(Value::Number(i64::from(value == Value::Number(0))));
        }
        if self.accept("-") {
            let value = self.atom(depth + 1)?;
            return apply("-", &Value::Number(0), &value);
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (word, rest): (&'a str, &'a str) = self.rest.split_at(end);
        if word.is_empty() {
            return Err(format!("`{}`; expected a value", self.rest));
        }
        self.rest = rest.trim_start();
        if matches!(word, "min" | "max" | "ceil_div" | "log2" | "f32") && self.accept("(") {
            return self.call(word, depth + 1);
        }
        if let Ok(number) = word.replace('_', "").parse() {
            return Ok(Value::Number(number));
        }
        Ok(self.names.get(word).cloned().unwrap_or_else(|| Value::Word(word.to_owned())))
    }

    fn call(&mut self, function: &str, depth: usize) -> Result<Value, String> {
        if function == "f32" {
            let end = self.rest.find(')').ok_or("f32 without `)`")?;
            let text = self.rest[..end].trim();
            let value: f32 = text.parse().map_err(|_| format!("f32({text}): not a number"))?;
            self.rest = self.rest[end + 1..].trim_start();
            return Ok(Value::Word(format!("0f{:08X}", value.to_bits())));
        }
        let first = self.choice(depth)?;
        if function == "log2" {
            self.expect(")")?;
            return match first {
                Value::Number(n) if n > 0 && n & (n - 1) == 0 => {
                    Ok(Value::Number(i64::from(n.trailing_zeros())))
                }
                other => Err(format!("log2({other}); expected a power of two")),
            };
        }
        self.expect(",")?;
        let second = self.choice(depth)?;
        self.expect(")")?;
        let (Value::Number(a), Value::Number(b)) = (&first, &second) else {
            return Err(format!("{function}({first}, {second}); expected numbers"));
        };
        match (function, *b) {
            ("min", b) => Ok(Value::Number(*a.min(&b))),
            ("max", b) => Ok(Value::Number(*a.max(&b))),
            (_, 0) => Err("division by zero".to_owned()),
            (_, b) => Ok(Value::Number(a.div_euclid(b) + i64::from(a.rem_euclid(b) > 0))),
        }
    }
}

fn apply(operator: &str, left: &Value, right: &Value) -> Result<Value, String> {
    let truth = |value: bool| Ok(Value::Number(i64::from(value)));
    match operator {
        "==" => return truth(left == right),
        "!=" => return truth(left != right),
        _ => {}
    }
    let (Value::Number(a), Value::Number(b)) = (left, right) else {
        return Err(format!("{left} {operator} {right}: not numbers; a name may be missing"));
    };
    let (a, b) = (*a, *b);
    let value = match operator {
        "||" => return truth(a != 0 || b != 0),
        "&&" => return truth(a != 0 && b != 0),
        "<=" => return truth(a <= b),
        ">=" => return truth(a >= b),
        "<" => return truth(a < b),
        ">" => return truth(a > b),
        "<<" => u32::try_from(b).ok().and_then(|b| a.checked_shl(b)),
        ">>" => u32::try_from(b).ok().and_then(|b| a.checked_shr(b)),
        "+" => a.checked_add(b),
        "-" => a.checked_sub(b),
        "*" => a.checked_mul(b),
        "/" => a.checked_div_euclid(b),
        _ => a.checked_rem_euclid(b),
    };
    value.map(Value::Number).ok_or_else(|| format!("{a} {operator} {b} has no value"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> Names {
        let number = |n| Value::Number(n);
        let word = |w: &str| Value::Word(w.to_owned());
        [("i", number(3)), ("dtype", word("bf16"))].map(|(n, v)| (n.to_owned(), v)).into()
    }

    #[test]
    fn expressions_have_values() {
        for (text, want) in [
            ("2 + i*4", "14"),
            ("(2 + i) * 4 % 7", "6"),
            ("1 << i - 1", "4"),
            ("dtype == bf16 ? 2 : 4", "2"),
            ("dtype != bf16 || i < 2", "0"),
            ("!(i >= 3) && 1", "0"),
            ("max(i, ceil_div(9, 4)) - -1", "4"),
            ("log2(64)", "6"),
            ("f32(0.125)", "0f3E000000"),
            ("f32(-1.5)", "0fBFC00000"),
            ("dtype", "bf16"),
            ("other", "other"),
        ] {
            assert_eq!(evaluate(text, &names()).map(|v| v.to_string()), Ok(want.into()), "{text}");
        }
    }

    #[test]
    fn what_has_no_value_is_said() {
        for text in ["", "1 +", "(1", "1 2", "1/0", "x + 1", "log2(3)", "min(1)", "f32(x)", "1<<64"]
        {
            assert!(evaluate(text, &names()).is_err(), "{text}");
        }
        assert!(holds("dtype", &names()).is_err() && number("dtype", &names()).is_err());
    }

    proptest! {
        #[test]
        fn any_text_has_a_value_or_a_complaint(text in "[a-z0-9+*/%()<>=!&|?:, .-]{0,40}") {
            let _ = evaluate(&text, &names());
        }
    }
}
