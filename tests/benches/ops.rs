//! Micro-benches over the table of op cases: `cargo bench -p vincie-tests`, or with a part of a
//! case's name behind `--`. Most cases are tiny, so they show what a call costs beside its work;
//! `call/add [1]` is the floor.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::time::Duration;
use vincie_tensor::Tensor;
use vincie_tensor::cases::cases;
use vincie_tensor::ops::{Binary, Op};

fn call(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("call");
    let one = Tensor::scalar(1.0).expect("small tensors fit");
    let add = Op::from(Binary::Add);
    group.bench_function("add [1]", |b| b.iter(|| add.forward(&[&one, &one])));
    group.finish();
}

fn forward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward");
    group.sample_size(20).warm_up_time(Duration::from_millis(50));
    group.measurement_time(Duration::from_millis(200));
    for case in cases() {
        let inputs: Vec<&Tensor> = case.inputs.iter().collect();
        let cost = case.op.cost(&inputs).expect("the table's cases are valid");
        group.throughput(Throughput::Bytes(cost.bytes.max(1)));
        group.bench_function(&case.name, |b| b.iter(|| case.op.forward(&inputs)));
    }
    group.finish();
}

criterion_group!(benches, call, forward);
criterion_main!(benches);
