//! Sessions and folders for tests.

use super::{Frame, Provenance, Session, Source, Transition};
use crate::{Image, Mask};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that goes away with the value.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("vincie-data-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary folder can be made");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A session with smooth frames that depend on `seed`; every kind of field is in use when it has
/// three frames or more.
pub(crate) fn session(key: &str, seed: u32, frames: usize, width: usize, height: usize) -> Session {
    let frame = |index: usize| {
        let rgb = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .flat_map(|(x, y)| {
                let tint = seed as usize * 37 + index * 11;
                [(4 * x + tint) as u8, (3 * y + 5 * index) as u8, (x + y + 2 * tint) as u8]
            })
            .collect();
        Frame { image: Image { width, height, rgb }, time: index as f64 * 0.1 + 1.0 / 3.0 }
    };
    let mask = |index: usize| {
        let data = (0..width * height).map(|at| if at.is_multiple_of(index + 3) { 255 } else { 0 });
        Mask { width, height, data: data.collect() }
    };
    let transition = |index: usize| Transition {
        instruction: match index {
            0 => format!("add a kite \u{1f3e1} no. {seed}, \"quickly\"\nand quietly"),
            1 => String::new(),
            _ => "make it snow".to_owned(),
        },
        current_mask: index.is_multiple_of(2).then(|| mask(index)),
        next_mask: (!index.is_multiple_of(3)).then(|| mask(index + 1)),
        facts: match index {
            0 => json!({"event": "cut", "z": 1, "a": [0.1, -1e-300, 18446744073709551615u64]}),
            _ => Value::Null,
        },
        provenance: match index {
            0 => vec![Provenance {
                field: "instruction".to_owned(),
                backend: "http".to_owned(),
                version: "1".to_owned(),
                model: Some("describer".to_owned()),
                prompt_hash: Some("ab".repeat(32)),
                parameters: json!({"threshold": 0.3}),
                seed: Some(u64::MAX),
            }],
            _ => Vec::new(),
        },
    };
    Session {
        key: key.to_owned(),
        frames: (0..frames).map(frame).collect(),
        transitions: (0..frames - 1).map(transition).collect(),
        source: Source {
            name: format!("video-{}.mp4", seed % 7),
            sha256: "cd".repeat(32),
            decoder: "ffmpeg 7".to_owned(),
            sampling: "interval".to_owned(),
            shot: Some(seed as usize % 3),
        },
    }
}
