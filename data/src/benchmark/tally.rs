//! Scores of turns to rates with their intervals.

use super::PASS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Scores of one turn, 0 to 10.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnScores {
    /// Kind of the edit.
    pub category: String,
    /// How well the instruction was followed.
    pub prompt_following: f64,
    /// How well everything else was kept.
    pub consistency: f64,
}

impl TurnScores {
    /// Whether both scores are above the threshold.
    pub fn passes(&self) -> bool {
        self.prompt_following > PASS && self.consistency > PASS
    }
}

/// Lower and upper end, 0 to 1.
pub type Interval = [f64; 2];

/// What a benchmark reports, one entry a turn where it is a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Sessions.
    pub sessions: usize,
    /// Share of all sessions that passed this turn and all before it.
    pub success: Vec<f64>,
    /// 95 % intervals of `success` (Wilson).
    pub interval: Vec<Interval>,
    /// Mean over all sessions; turns that were not judged count as 0.
    pub prompt_following: Vec<f64>,
    /// The same.
    pub consistency: Vec<f64>,
    /// Root of the product of both, then averaged likewise.
    pub overall: Vec<f64>,
    /// By kind of the edit, over the turns that were judged.
    pub categories: BTreeMap<String, CategoryTally>,
}

/// Turns of one category.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CategoryTally {
    /// Turns that were judged.
    pub judged: usize,
    /// Turns of them that passed.
    pub passed: usize,
    /// `passed / judged`.
    pub success: f64,
    /// Its 95 % interval (Wilson).
    pub interval: Interval,
}

impl Tally {
    /// Counts sessions of `turns` turns. A session's scores may stop at the first turn that fails;
    /// what is behind it does not count.
    pub fn new(sessions: &[Vec<TurnScores>], turns: usize) -> Self {
        let count = sessions.len();
        let mut tally = Self { sessions: count, ..Self::default() };
        let mut passed = vec![0; turns];
        let mut sums = vec![[0.0; 3]; turns];
        for session in sessions {
            for (turn, scores) in session.iter().take(turns).enumerate() {
                let (prompt, kept) = (scores.prompt_following, scores.consistency);
                let added = [prompt, kept, (prompt * kept).sqrt()];
                sums[turn].iter_mut().zip(added).for_each(|(sum, value)| *sum += value);
                let category = tally.categories.entry(scores.category.clone()).or_default();
                category.judged += 1;
                if !scores.passes() {
                    break;
                }
                category.passed += 1;
                passed[turn] += 1;
            }
        }
        let share = |value: f64| if count == 0 { 0.0 } else { value / count as f64 };
        for (passed, [prompt, kept, overall]) in passed.into_iter().zip(sums) {
            tally.success.push(share(passed as f64));
            tally.interval.push(wilson(passed, count));
            tally.prompt_following.push(share(prompt));
            tally.consistency.push(share(kept));
            tally.overall.push(share(overall));
        }
        for category in tally.categories.values_mut() {
            category.success = category.passed as f64 / category.judged.max(1) as f64;
            category.interval = wilson(category.passed, category.judged);
        }
        tally
    }
}

/// 95 % interval of a share of `passed` in `of` (E. B. Wilson, "Probable inference, the law of
/// succession, and statistical inference", JASA 22, 1927). All of 0 to 1 for nothing.
pub fn wilson(passed: usize, of: usize) -> Interval {
    /// Standard deviations that 95 % of a normal distribution lie within.
    const Z: f64 = 1.959_963_984_540_054;
    if of == 0 {
        return [0.0, 1.0];
    }
    let (n, share) = (of as f64, passed as f64 / of as f64);
    let centre = share + Z * Z / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    // At the ends both terms are equal up to rounding.
    let low = if passed == 0 { 0.0 } else { (centre - half) / scale };
    let high = if passed == of { 1.0 } else { (centre + half) / scale };
    [low.max(0.0), high.min(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(prompt_following: f64, consistency: f64) -> TurnScores {
        TurnScores { category: "add".into(), prompt_following, consistency }
    }

    #[test]
    fn the_first_failure_ends_a_session() {
        let good = || scores(9.0, 9.0);
        let sessions = [
            vec![good(), good()],
            vec![scores(6.0, 9.0), good()],
            vec![good(), scores(8.0, 2.0)],
            vec![scores(0.0, 10.0)],
        ];
        let tally = Tally::new(&sessions, 2);
        assert_eq!(tally.success, [0.5, 0.25]);
        assert_eq!(tally.prompt_following, [(9.0 + 6.0 + 9.0) / 4.0, (9.0 + 8.0) / 4.0]);
        assert_eq!(tally.consistency, [(9.0 + 9.0 + 9.0 + 10.0) / 4.0, (9.0 + 2.0) / 4.0]);
        let overall = (9.0 + 54f64.sqrt() + 9.0 + 0.0) / 4.0;
        assert!((tally.overall[0] - overall).abs() < 1e-12);
        let add = tally.categories["add"];
        assert_eq!((add.judged, add.passed), (6, 3));
    }

    /// Values of the formula worked out elsewhere: 0 of 10, 5 of 10, 81 of 263.
    #[test]
    fn intervals_are_wilsons() {
        let expected =
            [(0, 10, 0.0, 0.277_5), (5, 10, 0.236_6, 0.763_4), (81, 263, 0.255_3, 0.366_2)];
        for (passed, of, low, high) in expected {
            let [l, h] = wilson(passed, of);
            assert!((l - low).abs() < 1e-3 && (h - high).abs() < 1e-3, "{passed} of {of}: {l} {h}");
        }
        assert_eq!(wilson(0, 0), [0.0, 1.0]);
        assert_eq!((wilson(0, 3)[0], wilson(3, 3)[1]), (0.0, 1.0));
        assert_eq!(Tally::new(&[], 3).success, [0.0; 3]);
    }
}
