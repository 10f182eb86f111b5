//! What a run measured of itself, as plots.

use super::{Axis, Curve, Plot};
use std::collections::BTreeMap;
use vincie_dit::train::metrics::StepMetrics;

/// Tasks in the order of the legend: their names in metrics, and in words.
const TASKS: [(&str, &str); 3] =
    [("NIP", "next image"), ("CSP", "current mask"), ("NSP", "next mask")];

/// The loss of each task over the steps, with what evaluations on held-out sessions found as dots.
pub(crate) fn losses(steps: &[StepMetrics]) -> Plot {
    let mut curves: BTreeMap<(usize, &str), Curve> = BTreeMap::new();
    for step in steps {
        let at = step.step as f64;
        for (task, &loss) in &step.losses {
            curve(&mut curves, task).points.push([at, loss]);
        }
        // The weighted sum of all tasks, `loss`, is on another scale.
        for (task, &loss) in step.evaluation.iter().filter(|(name, _)| *name != "loss") {
            curve(&mut curves, task).held_out.push([at, loss]);
        }
    }
    Plot {
        title: "Loss of each task".to_owned(),
        x: Axis::linear("step"),
        y: Axis::log("mean squared error"),
        curves: curves.into_values().collect(),
    }
}

/// One number of each step over the steps.
pub(crate) fn course(
    steps: &[StepMetrics],
    title: &str,
    y: Axis,
    of: fn(&StepMetrics) -> f64,
) -> Plot {
    let points = steps.iter().map(|step| [step.step as f64, of(step)]).collect();
    let curve = Curve::new(y.label.clone(), points);
    Plot { title: title.to_owned(), x: Axis::linear("step"), y, curves: vec![curve] }
}

fn curve<'m, 's>(
    curves: &'m mut BTreeMap<(usize, &'s str), Curve>,
    task: &'s str,
) -> &'m mut Curve {
    let place = TASKS.iter().position(|(name, _)| *name == task).unwrap_or(TASKS.len());
    let name = TASKS.get(place).map_or(task, |(_, words)| words);
    curves.entry((place, task)).or_insert_with(|| Curve::new(name, Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_out_values_belong_to_their_task() {
        let named = |pairs: &[(&str, f64)]| -> BTreeMap<String, f64> {
            pairs.iter().map(|&(name, value)| (name.to_owned(), value)).collect()
        };
        let steps = [
            StepMetrics { step: 1, losses: named(&[("NIP", 2.0)]), ..StepMetrics::default() },
            StepMetrics {
                step: 2,
                losses: named(&[("CSP", 3.0), ("NIP", 1.0)]),
                evaluation: named(&[("NIP", 4.0), ("loss", 9.0)]),
                ..StepMetrics::default()
            },
        ];
        let plot = losses(&steps);
        let names: Vec<&str> = plot.curves.iter().map(|curve| curve.name.as_str()).collect();
        assert_eq!(names, ["next image", "current mask"]);
        assert_eq!(plot.curves[0].points, [[1.0, 2.0], [2.0, 1.0]]);
        assert_eq!(plot.curves[0].held_out, [[2.0, 4.0]]);
        assert!(losses(&[]).large().to_string().contains("Nothing to show"));
    }
}
