//! Every measurement of a pair as JSON, rounded so that records are short and stable.

use super::analysis::Analysis;
use super::event::{CameraMove, Event, Light, camera_move};
use super::measure::Camera;
use super::parts::Part;
use crate::annotate::seams::{Pair, Side};
use crate::sample::motion::Similarity;
use serde_json::{Map, Value, json};

/// Most events in a record; a picture full of specks has more.
const MOST_EVENTS: usize = 16;

/// The record of a pair. `event` is the most important event, `unchanged` when there is none.
pub(crate) fn facts(pair: &Pair<'_>, analysis: &Analysis) -> Value {
    let measured = &analysis.measured;
    let event = analysis.events.first().map_or("unchanged", Event::name);
    let events: Vec<Value> =
        analysis.events.iter().take(MOST_EVENTS).map(|e| event_facts(pair, analysis, e)).collect();
    let changed =
        analysis.regions.changed.count() as f32 / analysis.regions.changed.data.len() as f32;
    let mean = analysis.regions.difference.data.iter().sum::<f32>()
        / analysis.regions.difference.data.len() as f32;
    json!({
        "event": event,
        "scope": analysis.scope,
        "events": events,
        "events_total": analysis.events.len(),
        "events_told": analysis.told,
        "seconds": rounded((pair.next.time - pair.current.time) as f32),
        "boundary": pair.context.boundary.map(|b| json!({
            "kind": b.kind.name(),
            "score": rounded(b.score),
        })),
        "camera": camera_facts(measured.camera, &analysis.measured.undone),
        "motion": {
            "explained": rounded(measured.motion.explained),
            "explained_still": rounded(measured.motion.still),
            "blocks": measured.motion.blocks,
            "cells_better": rounded(measured.motion.cells_won),
            "cells_worse": rounded(measured.motion.cells_lost),
            "phase_peak": rounded(measured.motion.peak),
        },
        "path": pair.context.camera.map(|path| motion_facts(&path)),
        "light": light_facts(&analysis.light),
        "difference": {
            "mean": rounded(mean),
            "share": rounded(changed),
            "threshold": rounded(analysis.regions.threshold),
        },
        "background": measured.background.as_ref().map(|b| b.samples).unwrap_or(0),
    })
}

/// Four digits after the point.
pub(crate) fn rounded(value: f32) -> Value {
    json!((f64::from(value) * 1e4).round() / 1e4)
}

fn rounded_all(values: &[f32]) -> Value {
    values.iter().map(|&v| rounded(v)).collect()
}

fn motion_facts(motion: &Similarity) -> Value {
    json!({
        "x": rounded(motion.x),
        "y": rounded(motion.y),
        "zoom": rounded(motion.zoom()),
        "rotation_degrees": rounded(motion.rotation_degrees()),
    })
}

fn camera_facts(camera: Camera, undone: &Similarity) -> Value {
    let (state, motion) = match camera {
        Camera::Still => ("still", *undone),
        Camera::Compensated(motion) => ("compensated", motion),
        Camera::Travels(motion) => ("travels", motion),
        Camera::Unknown => ("unknown", Similarity::IDENTITY),
    };
    json!({ "state": state, "motion": motion_facts(&motion) })
}

fn light_facts(light: &Light) -> Value {
    json!({
        "brightness": rounded(light.brightness),
        "contrast": rounded(light.contrast),
        "tint": rounded_all(&light.tint),
    })
}

fn event_facts(pair: &Pair<'_>, analysis: &Analysis, event: &Event) -> Value {
    let mut record = Map::new();
    record.insert("event".into(), event.name().into());
    if let Some(i) = event.current() {
        record.insert("current".into(), part_facts(pair, analysis, Side::Current, i));
    }
    if let Some(j) = event.next() {
        record.insert("next".into(), part_facts(pair, analysis, Side::Next, j));
    }
    let aspect = pair.current.image.height as f32 / pair.current.image.width as f32;
    match *event {
        Event::Move { shift, ratio, .. } => {
            // Shares of width and height, as the centroids are.
            record.insert("shift".into(), rounded_all(&[shift.0, shift.1 / aspect]));
            record.insert("area_ratio".into(), rounded(ratio));
        }
        Event::Resize { ratio, .. } => {
            record.insert("area_ratio".into(), rounded(ratio));
        }
        Event::Camera { motion, is_compensated } => {
            let name = match camera_move(&motion) {
                CameraMove::Pan(direction, _) => format!("pan {}", direction.words()),
                CameraMove::Zoom(zoom) if is_compensated => {
                    if zoom > 1.0 { "zoom in" } else { "zoom out" }.to_owned()
                }
                CameraMove::Zoom(zoom) => {
                    if zoom > 1.0 { "forward" } else { "backward" }.to_owned()
                }
                CameraMove::Turn(degrees) => {
                    if degrees > 0.0 { "turn clockwise" } else { "turn counterclockwise" }
                        .to_owned()
                }
            };
            record.insert("move".into(), name.into());
            record.insert("motion".into(), motion_facts(&motion));
            record.insert("compensated".into(), is_compensated.into());
        }
        Event::Light(light) => {
            record.insert("light".into(), light_facts(&light));
        }
        Event::Scene { colour, .. } => {
            record.insert("color".into(), colour.words().into());
        }
        Event::Add { .. } | Event::Remove { .. } | Event::Recolour { .. } | Event::Alter { .. } => {
        }
    }
    Value::Object(record)
}

fn part_facts(pair: &Pair<'_>, analysis: &Analysis, side: Side, part: usize) -> Value {
    let Part { share, centre, bounds, colours, strength, .. } = &analysis.parts(side)[part];
    let image = &pair.frame(side).image;
    let (width, height) = (image.width as f32, image.height as f32);
    let [left, top, right, bottom] = *bounds;
    let corners = [left * width, top * height, right * width, bottom * height];
    json!({
        "phrase": analysis.phrases(side)[part],
        "box": corners.map(|v| v.round() as i64),
        "share": rounded(*share),
        "centroid": rounded_all(&[centre.0, centre.1]),
        "color": colours.words(),
        "mean_rgb": colours.mean.map(|v| v.round() as i64),
        "difference": rounded(*strength),
    })
}
