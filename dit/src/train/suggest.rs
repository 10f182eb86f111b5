//! The known word that is nearest to a mistyped one.

/// The word of `known` that `word` was probably meant to be, the first of several equally near
/// ones;
/// `None` where all are too far away to be worth naming.
///
/// A word is near when at most a third of its letters have to change, or when one of the two
/// consists of some of the other's parts between underscores: `learing_rate` is near to `rate`.
pub(crate) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let cost = |candidate: &str| spelling(word, candidate).or_else(|| parts(word, candidate));
    let costs = known.into_iter().filter_map(|candidate| Some((cost(candidate)?, candidate)));
    costs.min_by_key(|&(cost, _)| cost).map(|(_, candidate)| candidate)
}

/// Edits between the words, where they are few enough for a slip of the fingers.
fn spelling(a: &str, b: &str) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let allowed = (a.len().max(b.len()) / 3).max(1);
    // Far longer words are not compared letter by letter: what is typed has no length limit.
    if a.len().abs_diff(b.len()) > allowed {
        return None;
    }
    Some(distance(&a, &b)).filter(|&edits| edits <= allowed && edits < a.len().max(b.len()))
}

/// More than any spelling mistake, plus the parts too many; for words of which one has all the
/// parts of the other.
fn parts(a: &str, b: &str) -> Option<usize> {
    const MANY: usize = 1 << 16;
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split('_').collect(), b.split('_').collect());
    let holds = |many: &[&str], few: &[&str]| {
        few.iter().all(|part| many.iter().any(|other| spelling(part, other).is_some()))
    };
    (holds(&a, &b) || holds(&b, &a)).then(|| MANY + a.len().abs_diff(b.len()))
}

/// Fewest insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`, no
/// place being edited twice (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before_last[j - 2] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_the_fewest_edits() {
        let between = |a: &str, b: &str| {
            let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            assert_eq!(distance(&a, &b), distance(&b, &a));
            distance(&a, &b)
        };
        for (a, b, edits) in [
            ("", "", 0),
            ("", "rate", 4),
            ("rate", "rate", 0),
            ("rat", "rate", 1),
            ("raet", "rate", 1),
            ("kitten", "sitting", 3),
            ("größe", "grösse", 2),
        ] {
            assert_eq!(between(a, b), edits, "{a} {b}");
        }
    }

    #[test]
    fn finds_what_was_meant_and_nothing_else() {
        let known =
            ["rate", "betas", "weight_decay", "clip_norm", "warmup", "decay", "decay_share"];
        for (word, meant) in [
            ("learing_rate", Some("rate")),
            ("raet", Some("rate")),
            ("beta", Some("betas")),
            ("weigth_decay", Some("weight_decay")),
            ("clip", Some("clip_norm")),
            ("warmup_steps", Some("warmup")),
            ("share_decay", Some("decay_share")),
            ("lr", None),
            ("x", None),
            ("", None),
            ("momentum", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(nearest(&"rate".repeat(100_000), known), None);
        assert_eq!(nearest("rate", []), None);
    }
}
