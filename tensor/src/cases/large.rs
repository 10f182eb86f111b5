//! Rows at the sizes of a model, for devices: a reference in f64 would take minutes, so these are held
//! to the host's kernels in f32.

use super::{Case, F32, Rows, indices};
use crate::Tensor;
use crate::ops::{
    Attention, AttentionMask, Convolution, GateResidual, Gather, GroupNorm, Matmul, Mse,
    QkNormRotary, Reduce, Reduction, RmsNorm, Swiglu, Unary,
};
use std::sync::Arc;

/// A row that is made when it is wanted.
pub struct Large {
    /// What it is.
    pub name: &'static str,
    make: fn(&mut Rows),
}

impl Large {
    /// The row, in f32.
    pub fn case(&self) -> Case {
        let mut rows = Rows { all: Vec::new(), draws: 1 << 20 };
        (self.make)(&mut rows);
        let mut case = rows.all.pop().expect("every entry makes a row");
        case.name = self.name.to_owned();
        case.tolerance = F32 * 4.0;
        case
    }
}

/// Kernels that are launched at such sizes only: those of convolutions with large tiles.
pub const ONLY_LARGE: &[&str] = &[
    "convolution_gather_forward_bf16_128x128",
    "convolution_gather_forward_bf16_128x256",
    "convolution_gather_backward_bf16_128x128",
    "convolution_gather_backward_bf16_128x256",
    "convolution_gather_forward_f32_128x128",
    "convolution_gather_backward_f32_128x128",
    "convolution_weight_bf16_128x128",
    "convolution_weight_f32_128x128",
];

/// All of them.
pub const LARGE: &[Large] = &[
    Large {
        name: "matmul nt 2560 x 2560 x 1024 with bias",
        make: |rows| {
            let inputs = [&[2560, 1024][..], &[2560, 1024], &[2560]].map(|dims| rows.normal(dims));
            rows.add("", Matmul::linear(true), inputs.into());
        },
    },
    Large {
        name: "matmul nn 1536 x 1536 x 2048",
        make: |rows| {
            let inputs = [[1536, 2048], [2048, 1536]].map(|dims| rows.normal(dims));
            rows.add("", Matmul::default(), inputs.into());
        },
    },
    Large {
        name: "matmul tn 6912 x 2560 x 1424",
        make: |rows| {
            let inputs = [[1424, 6912], [1424, 2560]].map(|dims| rows.normal(dims));
            rows.add("", Matmul { transpose_a: true, ..Matmul::default() }, inputs.into());
        },
    },
    Large {
        name: "matmul nt 999 x 1001 x 1003, unaligned",
        make: |rows| {
            let inputs = [[999, 1003], [1001, 1003]].map(|dims| rows.normal(dims));
            rows.add("", Matmul::linear(false), inputs.into());
        },
    },
    Large {
        name: "matmul nt 48 x 2560 x 6912, in parts",
        make: |rows| {
            let inputs = [[48, 6912], [2560, 6912]].map(|dims| rows.normal(dims));
            rows.add("", Matmul::linear(false), inputs.into());
        },
    },
    Large {
        name: "attention full 4096 x 4096, 2 x 128",
        make: |rows| {
            attention(rows, AttentionMask::full(4096, 4096), 4096, 2, 128);
        },
    },
    Large {
        name: "attention block-causal 4 x 1000, 2 x 128",
        make: |rows| {
            attention(rows, AttentionMask::block_causal(&[1000; 4]), 4000, 2, 128);
        },
    },
    Large {
        name: "attention block-causal 3, 700, 1, 1344, 3 x 64",
        make: |rows| {
            attention(rows, AttentionMask::block_causal(&[3, 700, 1, 1344]), 2048, 3, 64);
        },
    },
    Large {
        name: "rms_norm modulated 4096 x 2560",
        make: |rows| {
            let groups: Vec<i32> = (0..4096).map(|row| row / 1000 % 3).collect();
            let mut inputs: Vec<Tensor> =
                [&[4096, 2560][..], &[3, 2560], &[3, 2560], &[2560], &[2560]]
                    .map(|dims| rows.normal(dims))
                    .into();
            inputs.push(indices(&groups));
            let op = RmsNorm { epsilon: 1e-5, has_weight: false, is_modulated: true, result: None };
            rows.add("", op, inputs);
        },
    },
    Large {
        name: "gate_residual 4096 x 2560",
        make: |rows| {
            let groups: Vec<i32> = (0..4096).map(|row| row % 3).collect();
            let mut inputs: Vec<Tensor> = [&[4096, 2560][..], &[3, 2560], &[2560], &[4096, 2560]]
                .map(|dims| rows.normal(dims))
                .into();
            inputs.push(indices(&groups));
            rows.add("", GateResidual, inputs);
        },
    },
    Large {
        name: "qk_norm_rotary 1424 tokens, 20 x 128",
        make: |rows| {
            let (text, all, heads, dim) = (400, 1424, 20, 128);
            let mut inputs = Vec::new();
            for (count, first) in [(text, 0), (all - text, text)] {
                inputs.extend(
                    [&[count, 3 * heads * dim][..], &[dim], &[dim]].map(|d| rows.normal(d)),
                );
                inputs.push(indices(&(0..count).map(|i| (first + i) as i32).collect::<Vec<_>>()));
            }
            let angle = |i: usize| (i % 6151) as f32 / 97.0;
            for f in [f32::cos, f32::sin] {
                let table = Tensor::build([all, dim / 2], |out: &mut [f32]| {
                    out.iter_mut().enumerate().for_each(|(i, out)| *out = f(angle(i)));
                });
                inputs.push(table.expect("memory has room"));
            }
            let op = QkNormRotary { heads, head_dim: dim, rotated: dim, epsilon: 1e-5, streams: 2 };
            let case = rows.add("", op, inputs);
            (case.with_gradient, case.differentiable) = (3, vec![0, 1, 2, 4, 5, 6]);
        },
    },
    Large {
        name: "swiglu 4096 x 6912",
        make: |rows| {
            let inputs = [[4096, 6912]; 2].map(|dims| rows.normal(dims));
            rows.add("", Swiglu, inputs.into());
        },
    },
    Large {
        name: "gelu 4096 x 6912",
        make: |rows| {
            let x = rows.normal([4096, 6912]);
            rows.add("", Unary::GeluTanh, vec![x]);
        },
    },
    Large {
        name: "gather 5000 of 3000 x 2560",
        make: |rows| {
            let table = rows.normal([3000, 2560]);
            let wanted: Vec<i32> = (0..5000).map(|i| i * 7919 % 3000).collect();
            rows.add("", Gather, vec![table, indices(&wanted)]);
        },
    },
    Large {
        name: "mse 4096 x 2560",
        make: |rows| {
            let inputs = [&[4096, 2560][..], &[4096, 2560], &[4096]].map(|dims| rows.normal(dims));
            rows.add("", Mse, inputs.into()).differentiable = vec![0];
        },
    },
    Large {
        name: "convolution 3 x 3, 256 x 256 x 128 to 128",
        make: |rows| convolution(rows, 256, 128, 128),
    },
    Large {
        name: "convolution 3 x 3, 192 x 192 x 256 to 256",
        make: |rows| convolution(rows, 192, 256, 256),
    },
    Large {
        name: "group_norm 65536 x 256 in 32, SiLU",
        make: |rows| {
            let inputs = [&[1, 65536, 256][..], &[256], &[256]].map(|dims| rows.normal(dims));
            rows.add("", GroupNorm { groups: 32, epsilon: 1e-6, silu: true }, inputs.into());
        },
    },
    Large {
        name: "reduce columns of 4096 x 2560",
        make: |rows| {
            let x = rows.normal([4096, 2560]);
            rows.add("", Reduce { reduction: Reduction::Sum, axis: 0 }, vec![x]);
        },
    },
];

/// A convolution of 3 x 3 over one picture.
fn convolution(rows: &mut Rows, side: usize, channels: usize, filters: usize) {
    let inputs = [&[1, 1, side, side, channels][..], &[filters, 1, 3, 3, channels], &[filters]]
        .map(|dims| rows.normal(dims));
    let op = Convolution { stride: [1; 3], front: 0, padding: [[1; 2]; 2], has_bias: true };
    rows.add("", op, inputs.into());
}

fn attention(rows: &mut Rows, mask: AttentionMask, tokens: usize, heads: usize, dim: usize) {
    let inputs = [0; 3].map(|_| rows.normal([tokens, heads * dim]));
    let op = Attention { heads, scale: 1.0 / (dim as f32).sqrt(), mask: Arc::new(mask) };
    rows.add("", op, inputs.into());
}
