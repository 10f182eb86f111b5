//! Small files of each kind.

use std::path::Path;
use vincie_dit::weights;
use vincie_tensor::Tensor;

/// Frames a second of [`video`].
const RATE: usize = 8;

/// Four seconds of Y4M, 96 x 64 and 4:4:4: grain that stands still, and a bright square that
/// appears in the third second.
pub(crate) fn video() -> Vec<u8> {
    let (width, height) = (96, 64);
    let mut bytes = format!("YUV4MPEG2 W{width} H{height} F{RATE}:1 Ip A1:1 C444\n").into_bytes();
    for frame in 0..4 * RATE {
        bytes.extend_from_slice(b"FRAME\n");
        let has_square = frame >= 5 * RATE / 2;
        for y in 0..height {
            for x in 0..width {
                let is_square = has_square && (30..54).contains(&x) && (20..44).contains(&y);
                let grain = (x * 7 + y * 13 + x * y) % 32;
                bytes.push(if is_square { 220 } else { 60 + grain as u8 });
            }
        }
        bytes.resize(bytes.len() + 2 * width * height, 128);
    }
    bytes
}

/// Writes a safetensors file of rows of numbers.
pub(crate) fn tensors(path: &Path, tensors: &[(&str, &[f32])]) {
    let tensors: Vec<(String, Tensor)> = tensors
        .iter()
        .map(|(name, values)| {
            let tensor = Tensor::from_slice(values, [1, values.len()]);
            ((*name).to_owned(), tensor.expect("a row is a tensor"))
        })
        .collect();
    let named = tensors.iter().map(|(name, tensor)| (name.clone(), tensor));
    weights::save(path, named).expect("a file can be written");
}

/// A manifest with one case of a kind, whose file is `io.safetensors`.
pub(crate) fn manifest(name: &str, kind: &str) -> String {
    format!(
        "{{\"cases\": [{{\"name\": \"{name}\", \"kind\": \"{kind}\", \"config\": {{}}, \
         \"files\": {{\"io\": \"io.safetensors\"}}, \
         \"tolerances\": [{{\"tensors\": \"*\", \"rule\": \"max_abs\", \"value\": 1e-5}}]}}]}}"
    )
}

/// Writes a golden folder with a SwiGLU layer of width 1, `w_out silu(w_gate x) w_in x`, with its
/// gradients, and says that its output is `y`. Its weights are 1, 2 and 3 and its input is 1.
pub(crate) fn golden(folder: &Path, y: f32) {
    std::fs::create_dir_all(folder).expect("a folder can be made");
    std::fs::write(folder.join("manifest.json"), manifest("layer", "swiglu"))
        .expect("a file can be written");
    let (silu, slope) = silu_of_one();
    tensors(
        &folder.join("io.safetensors"),
        &[
            ("in.x", &[1.0]),
            ("in.cotangent", &[1.0]),
            ("weight.proj_in_gate.weight", &[1.0]),
            ("weight.proj_in.weight", &[2.0]),
            ("weight.proj_out.weight", &[3.0]),
            ("out.y", &[y]),
            ("grad.x", &[6.0 * (silu + slope)]),
            ("grad.weight.proj_in_gate.weight", &[6.0 * slope]),
            ("grad.weight.proj_in.weight", &[3.0 * silu]),
            ("grad.weight.proj_out.weight", &[2.0 * silu]),
        ],
    );
}

/// What the layer of [`golden`] gives.
pub(crate) fn golden_output() -> f32 {
    6.0 * silu_of_one().0
}

/// `silu(x) = x sigmoid(x)` and its derivative, both at 1.
fn silu_of_one() -> (f32, f32) {
    let sigmoid = 1.0 / (1.0 + (-1f64).exp());
    (sigmoid as f32, (sigmoid + sigmoid * (1.0 - sigmoid)) as f32)
}
