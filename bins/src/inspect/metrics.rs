//! What a run wrote about itself while it trained, as a table and on a page.

use crate::report::{Axis, Page, course, losses};
use crate::table::{Align, Table};
use serde::Serialize;
use std::collections::BTreeMap;
use vincie_dit::train::metrics::StepMetrics;

/// One number over the steps that have it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Course {
    name: String,
    values: usize,
    last_step: u64,
    first: f64,
    least: f64,
    last: f64,
}

/// Every number of the steps, by name.
pub(super) fn courses(steps: &[StepMetrics]) -> Vec<Course> {
    let mut courses: BTreeMap<String, Course> = BTreeMap::new();
    for step in steps {
        for (name, value) in step.scalars() {
            let course = courses.entry(name.clone()).or_insert(Course {
                name,
                values: 0,
                last_step: 0,
                first: value,
                least: value,
                last: value,
            });
            course.values += 1;
            course.last_step = step.step;
            course.least = course.least.min(value);
            course.last = value;
        }
    }
    courses.into_values().collect()
}

/// A row a number.
pub(super) fn table(courses: &[Course]) -> Table {
    let columns = [
        ("metric", Align::Left),
        ("values", Align::Right),
        ("last step", Align::Right),
        ("first", Align::Right),
        ("least", Align::Right),
        ("last", Align::Right),
    ];
    let mut table = Table::new(columns);
    for course in courses {
        let numbers = [course.first, course.least, course.last].map(number);
        let mut cells =
            vec![course.name.clone(), course.values.to_string(), course.last_step.to_string()];
        cells.extend(numbers);
        table.row(cells);
    }
    table
}

/// Adds curves and the table to a page.
pub(super) fn blocks(page: Page, steps: &[StepMetrics]) -> Page {
    let gradient =
        course(steps, "Gradient norm", Axis::log("norm before clipping"), |s| s.gradient_norm);
    let rate = course(steps, "Learning rate", Axis::linear("learning rate"), |s| s.learning_rate);
    let speed = course(steps, "Speed", Axis::linear("sessions per second"), |step| {
        step.sessions_per_second
    });
    page.plot(&losses(steps)).plots([&gradient, &rate, &speed]).table(&table(&courses(steps)))
}

/// Five digits, in powers of ten where that is shorter.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if (1e-3..1e6).contains(&size) => format!("{value:.5}"),
        _ => format!("{value:.4e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_followed_by_name() {
        let step = |step, loss| StepMetrics { step, loss, ..StepMetrics::default() };
        let courses = courses(&[step(1, 3.0), step(2, 1.0), step(5, 2.0)]);
        let loss = courses.iter().find(|course| course.name == "loss").expect("every step has it");
        assert_eq!((loss.values, loss.last_step), (3, 5));
        assert_eq!((loss.first, loss.least, loss.last), (3.0, 1.0, 2.0));
        assert_eq!(table(&courses).rows().len(), courses.len());
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [(0.0, "0"), (0.25, "0.25000"), (1e-5, "1.0000e-5"), (1e9, "1.0000e9")]
        {
            assert_eq!(number(value), text);
        }
    }
}
