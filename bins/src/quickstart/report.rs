//! The quickstart's page.

use super::Outcome;
use crate::command::VERSION;
use crate::edit::strip;
use crate::failure::Failure;
use crate::inspect::transition_figures;
use crate::report::{Axis, Curve, Figure, Page, Picture, Plot};
use crate::table::{Align, Table};
use std::path::Path;
use vincie_data::decode;

/// Transitions shown of each session.
const SHOWN: usize = 4;

pub(super) fn write(outcome: &Outcome, folder: &Path) -> Result<(), Failure> {
    let Outcome { steps, samples, parameters, minutes, .. } = outcome;
    let mut page = Page::new("From two real clips to a five-turn edit")
        .paragraph(&format!(
            "A model of {:.1} million parameters, with random weights {minutes} minutes ago, saw {samples} \
             sessions ({steps} steps) of two short clips. It has learned what these two scenes look like and \
             a little of what an instruction asks for; it knows no other scene and no nouns.",
            *parameters as f64 / 1e6
        ))
        .section("Edit")
        .paragraph(&format!(
            "The first picture is the frame at {:.2} s of parking_cars.avi, which no session holds. Every \
             further picture is the model's, made from its own earlier outputs and all instructions so far.",
            outcome.source_time
        ));
    let mut figures = vec![figure(&outcome.source, "source".into(), String::new())?];
    for turn in &outcome.turns {
        figures.push(figure(&turn.image, turn.prompt.clone(), format!("{:.2} s", turn.seconds))?);
    }
    page = page.image_strip(&figures).section("Loss").plot(&losses(outcome)).section("Sessions").paragraph(
        "What the built-in annotator made of the clips. Orange is what will change, blue what has changed; \
         it measures and names no objects.",
    );
    for session in &outcome.sessions {
        let figures = transition_figures(session)?;
        let facts =
            [("session", session.key.clone()), ("frames", session.frames.len().to_string())];
        page = page.facts(facts).image_strip(figures.iter().take(SHOWN));
    }
    page = page.section("Time").table(&times(outcome)).facts([
        ("device", format!("cpu, {} threads", rayon::current_num_threads())),
        ("version", VERSION.clone()),
    ]);
    let name = folder.display();
    page = page
        .section("What to run next")
        .paragraph("Train longer, then talk to the model; annotate your own video; look at everything.")
        .code(&format!(
            "vincie quickstart --minutes 20 --out longer\n\
             vincie train --resume {name}/run --steps 20000\n\
             vincie edit --model {name}/run --image photo.png --prompt \"add a red region at the left\" --out edited\n\
             vincie annotate my_video.mp4 --out sessions --sheets\n\
             vincie inspect {name}/sessions --html sessions.html"
        ));
    let images: Vec<_> = std::iter::once(outcome.source.clone())
        .chain(outcome.turns.iter().map(|turn| turn.image.clone()))
        .collect();
    decode::write_png(folder.join("strip.png"), &strip(&images))?;
    page.write(&folder.join("report.html"))
}

fn figure(image: &vincie_data::Image, caption: String, note: String) -> Result<Figure, Failure> {
    Ok(Figure { pictures: vec![Picture::new(image, "")?], caption, note })
}

/// Training loss of every task, and the held-out sessions' as dots.
fn losses(outcome: &Outcome) -> Plot {
    let names = [("NIP", "next image"), ("CSP", "current mask"), ("NSP", "next mask")];
    let curves = names.map(|(short, name)| {
        let points = |of: fn(
            &vincie_dit::train::metrics::StepMetrics,
        ) -> &std::collections::BTreeMap<String, f64>| {
            let steps = outcome.metrics.iter();
            steps.filter_map(|m| Some([m.step as f64, *of(m).get(short)?])).collect::<Vec<_>>()
        };
        Curve {
            name: name.into(),
            points: points(|m| &m.losses),
            held_out: points(|m| &m.evaluation),
        }
    });
    Plot {
        title: "mean squared error by task; dots are held-out sessions".into(),
        x: Axis::linear("step"),
        y: Axis::log("error"),
        curves: curves.into(),
    }
}

fn times(outcome: &Outcome) -> Table {
    let mut table = Table::new([("part", Align::Left), ("seconds", Align::Right)]);
    for (what, time) in &outcome.times {
        table.row([(*what).to_owned(), format!("{:.1}", time.as_secs_f64())]);
    }
    table
}
