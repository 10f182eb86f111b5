//! Rows of what autoencoders are made of: convolutions, norms of groups of channels, depth to space.

use super::{BF16, Rows, bf16};
use crate::ops::{Convolution, DepthToSpace, GroupNorm};

pub(super) fn convolutions(rows: &mut Rows) {
    let plain = Convolution { stride: [1; 3], front: 0, padding: [[1; 2]; 2], has_bias: true };
    let sparse = Convolution { stride: [1, 2, 2], ..plain };
    let behind = Convolution { stride: [2; 3], front: 2, padding: [[0, 1]; 2], has_bias: false };
    // x [B, T, H, W, C], filters, kernel.
    let shapes = [
        ("picture", plain, [1, 1, 5, 6, 8], 16, [1, 3, 3]),
        ("odd sizes", plain, [2, 1, 3, 7, 3], 5, [1, 3, 3]),
        ("causal clip", Convolution { front: 2, ..plain }, [2, 3, 4, 5, 4], 9, [3; 3]),
        ("down in time and space", behind, [1, 5, 6, 4, 8], 8, [3; 3]),
        (
            "down, picture",
            Convolution { stride: [1, 2, 2], front: 0, ..behind },
            [2, 1, 4, 6, 16],
            8,
            [1, 3, 3],
        ),
        ("down by 4 x 4", Convolution { front: 2, ..sparse }, [1, 2, 6, 4, 8], 24, [3, 4, 4]),
        (
            "down by 4 x 4 and in time",
            Convolution { stride: [2; 3], front: 2, ..plain },
            [1, 5, 4, 4, 3],
            4,
            [3, 4, 4],
        ),
        ("1 x 1 x 1", Convolution { padding: [[0; 2]; 2], ..plain }, [1, 2, 3, 3, 24], 40, [1; 3]),
        (
            "kernel below the stride",
            Convolution { padding: [[0; 2]; 2], ..sparse },
            [1, 1, 5, 5, 4],
            3,
            [1; 3],
        ),
        (
            "two in front of a kernel of one",
            Convolution { front: 2, ..plain },
            [1, 2, 2, 3, 2],
            2,
            [1, 3, 3],
        ),
        ("no channels", plain, [1, 1, 2, 2, 0], 3, [1, 3, 3]),
        ("no clips", plain, [0, 1, 4, 4, 2], 3, [1, 3, 3]),
        ("past a tile", plain, [1, 1, 5, 17, 40], 72, [1, 3, 3]),
    ];
    for (what, op, x, filters, [t, h, w]) in shapes {
        let mut inputs = vec![rows.normal(x), rows.normal([filters, t, h, w, x[4]])];
        if op.has_bias {
            inputs.push(rows.normal([filters]));
        }
        rows.add(what, op, inputs);
    }
    let inputs = [rows.normal([1, 2, 4, 5, 16]), rows.normal([8, 3, 3, 3, 16]), rows.normal([8])];
    let op = Convolution { front: 2, ..plain };
    let case = rows.add("bf16", op, inputs.iter().map(bf16).collect());
    (case.tolerance, case.differentiable) = (BF16, Vec::new());
    let x = rows.normal([1, 1, 4, 8, 5]).permute(&[0, 1, 3, 4, 2]).expect("an order");
    let inputs = vec![x, rows.normal([3, 1, 3, 3, 4]), rows.normal([3])];
    rows.add("of a view", plain, inputs);
}

pub(super) fn pictures(rows: &mut Rows) {
    for (frames, pixels, channels, groups, silu) in [
        (1, 6, 8, 2, false),
        (2, 37, 12, 3, true),
        (3, 2, 8, 4, true),
        (2, 1, 8, 2, true),
        (0, 5, 4, 2, false),
        (1, 0, 4, 2, true),
        (1, 300, 32, 32, true),
        (2, 140, 96, 4, false),
    ] {
        let inputs = vec![
            rows.normal([frames, pixels, channels]),
            rows.normal([channels]),
            rows.normal([channels]),
        ];
        let what = format!("{frames} x {pixels} x {channels} in {groups}, silu {silu}");
        rows.add(&what, GroupNorm { groups, epsilon: 1e-6, silu }, inputs);
    }
    for silu in [true, false] {
        let inputs = [rows.normal([1, 50, 32]), rows.normal([32]), rows.normal([32])];
        let op = GroupNorm { groups: 8, epsilon: 1e-6, silu };
        let case = rows.add(&format!("bf16, silu {silu}"), op, inputs.iter().map(bf16).collect());
        (case.tolerance, case.differentiable) = (BF16, Vec::new());
    }
    for (factor, time_first, x) in [
        ([1, 2, 2], false, [2, 3, 2, 3, 16]),
        ([2, 2, 2], false, [1, 3, 2, 2, 24]),
        ([2, 2, 2], true, [2, 2, 3, 2, 8]),
        ([2, 2, 2], true, [1, 1, 2, 2, 16]),
        ([3, 1, 2], false, [1, 2, 2, 1, 12]),
        ([2, 2, 2], false, [0, 1, 2, 2, 8]),
        ([2, 2, 2], true, [1, 0, 2, 2, 8]),
    ] {
        let x = rows.normal(x);
        rows.add(&format!("{factor:?} {time_first}"), DepthToSpace { factor, time_first }, vec![x]);
    }
    let x = bf16(&rows.normal([1, 2, 2, 2, 32]));
    let op = DepthToSpace { factor: [2; 3], time_first: false };
    let case = rows.add("bf16", op, vec![x]);
    (case.tolerance, case.differentiable) = (BF16, Vec::new());
}
