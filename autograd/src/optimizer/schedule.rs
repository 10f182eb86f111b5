//! Learning rate by step.

/// How the rate falls after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decay {
    /// It stays.
    Constant,
    /// Straight to the final rate at the last step.
    Linear,
    /// Half a cosine to the final rate at the last step.
    Cosine,
}

/// Linear warm-up, then a decay over the last `decay_share` of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Largest rate.
    pub peak: f64,
    /// Steps over which the rate rises from near 0 to `peak`.
    pub warmup: u64,
    /// Steps of the whole run.
    pub total: u64,
    /// How the rate falls.
    pub decay: Decay,
    /// Share of the run, from its end, over which it falls; 1 falls from the warm-up on.
    pub decay_share: f64,
    /// Rate at the end as a share of `peak`.
    pub final_share: f64,
}

impl Schedule {
    /// The rate of step `step`, counted from 0. Past the end the final rate holds.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / self.warmup as f64;
        }
        let span = (self.total.saturating_sub(self.warmup)) as f64;
        let length = (span * self.decay_share.clamp(0.0, 1.0)).max(1.0);
        let done = (step as f64 + 1.0 - (self.total as f64 - length)).clamp(0.0, length) / length;
        let share = match self.decay {
            Decay::Constant => 1.0,
            Decay::Linear => 1.0 - done * (1.0 - self.final_share),
            Decay::Cosine => {
                let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
                self.final_share + (1.0 - self.final_share) * cosine
            }
        };
        self.peak * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_holds_and_falls() {
        let s = Schedule {
            peak: 2.0,
            warmup: 10,
            total: 110,
            decay: Decay::Linear,
            decay_share: 0.5,
            final_share: 0.1,
        };
        assert_eq!((s.rate(0), s.rate(9), s.rate(10), s.rate(58)), (0.2, 2.0, 2.0, 2.0));
        assert!((s.rate(84) - (2.0 - 0.9)).abs() < 1e-12, "{}", s.rate(84));
        assert!((s.rate(109) - 0.2).abs() < 1e-12 && (s.rate(10_000) - 0.2).abs() < 1e-12);
        let c = Schedule { decay: Decay::Cosine, decay_share: 1.0, ..s };
        assert!((c.rate(59) - (0.1 + 0.9 * 0.5) * 2.0).abs() < 1e-12);
        assert_eq!(Schedule { decay: Decay::Constant, ..s }.rate(109), 2.0);
        assert_eq!(Schedule { warmup: 0, ..s }.rate(0), 2.0);
    }
}
