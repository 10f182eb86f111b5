//! The plan of a run's memory as a table.

use crate::console::Console;
use crate::failure::Failure;
use crate::table::{Align, Table};
use serde::Serialize;
use vincie_dit::train::Plan;
use vincie_tensor::Accelerator;

/// A plan as JSON.
#[derive(Serialize)]
pub(crate) struct Answer {
    device: String,
    rows: Vec<Row>,
    total_bytes: usize,
    allocations: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    free_bytes: Option<usize>,
}

#[derive(Serialize)]
struct Row {
    what: &'static str,
    bytes: usize,
    allocations: usize,
}

impl Answer {
    pub(crate) fn new(plan: &Plan, place: Option<&Accelerator>) -> Self {
        let rows = plan.rows.iter().map(|row| Row {
            what: row.what,
            bytes: row.bytes,
            allocations: row.allocations,
        });
        Self {
            device: place.map_or("cpu".to_owned(), |place| place.device().spec().to_string()),
            rows: rows.collect(),
            total_bytes: plan.total(),
            allocations: plan.allocations(),
            free_bytes: plan.free,
        }
    }
}

/// Prints a plan; `Err` where the device has no room for it.
pub(crate) fn print(
    plan: &Plan,
    place: Option<&Accelerator>,
    console: &Console,
) -> Result<(), Failure> {
    let right = |name| (name, Align::Right);
    let mut table = Table::new([("memory", Align::Left), right("bytes"), right("allocations")]);
    let with_next = |allocations: usize| match allocations {
        0 => "with the next".to_owned(),
        allocations => allocations.to_string(),
    };
    for row in &plan.rows {
        table.row([row.what.to_owned(), row.bytes.to_string(), with_next(row.allocations)]);
    }
    table.row(["total".to_owned(), plan.total().to_string(), plan.allocations().to_string()]);
    let Answer { device, .. } = Answer::new(plan, place);
    if let Some(free) = plan.free {
        table.row([format!("free on {device}"), free.to_string(), String::new()]);
    }
    console.line(table)?;
    if plan.fits() {
        return Ok(());
    }
    let (total, free) = (plan.total(), plan.free.unwrap_or_default());
    Err(Failure::new(format!(
        "the plan does not fit: {total} bytes, and {device} has {free} free; a smaller batch or model \
         takes less, and so do blocks that are computed again"
    )))
}
