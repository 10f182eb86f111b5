//! Every kernel of the catalogue is run by the check of its op.

use crate::{
    convolution, elementwise, flow, group_norm, norm, normalise, random, rows, strided, update,
};
use vincie_ptx::catalogue::{Entry, kernels};

/// Ops whose tests stand in modules of their own, and note that every kernel was launched.
const ELSEWHERE: [&str; 2] = ["attention", "matmul"];

/// A test for each op, and the list of them.
macro_rules! checks {
    ($($op:ident: $check:path,)*) => {
        $(#[test]
        fn $op() {
            check(stringify!($op), $check);
        })*

        const CHECKED: &[&str] = &[$(stringify!($op)),*];
    };
}

checks! {
    adamw: update::adamw,
    binary: two_operands,
    cast: strided::cast,
    clip: update::clip,
    convolution: convolution::convolution,
    copy: strided::copy,
    ema: update::ema,
    flow: flow::flow,
    gate_residual: rows::gate_residual,
    gather: rows::gather,
    group_norm: group_norm::group_norm,
    layer_norm: normalise::layer_norm,
    mse: rows::mse,
    qk_norm_rotary: norm::qk_norm_rotary,
    random: random::random,
    reduce: rows::reduce,
    rms_norm: norm::rms_norm,
    softmax: normalise::softmax,
    swiglu: elementwise::swiglu,
    unary: elementwise::unary,
}

fn two_operands(entry: &Entry) {
    match entry.variant.contains_key("rank") {
        true => strided::binary(entry),
        false => elementwise::binary(entry),
    }
}

/// Runs the check on every kernel of an op; it must fail for kernels that it does not know.
fn check(op: &str, check: fn(&Entry)) {
    let entries = kernels().iter().filter(|entry| entry.op == op);
    let count = entries.map(check).count();
    assert!(count > 0, "no kernel of {op}");
}

#[test]
fn every_op_has_a_check() {
    for entry in kernels() {
        let is_checked = CHECKED.contains(&entry.op) || ELSEWHERE.contains(&entry.op);
        assert!(is_checked, "{} is never launched; add a check of {} here", entry.name, entry.op);
    }
}
