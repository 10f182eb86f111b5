//! Sums of the parts of a product that was cut along k.

use crate::coverage;
use crate::device::{Dtype, Rows, noise};
use crate::expect::{Call, dense, in_all_orders, named, near, sum};
use crate::matmul::{OP, TESTS};
use crate::rows::at;
use vincie_ptx::catalogue::{Entry, kernels};

#[test]
fn parts_are_summed_with_bias_and_what_was_there() {
    let entries = kernels().iter().filter(|entry| entry.name.starts_with("matmul_reduce_"));
    let count = entries.inspect(|entry| check(entry)).count();
    assert!(count > 0, "no kernel sums parts");
    coverage::passed(OP, TESTS);
}

fn check(entry: &Entry) {
    let out = named(entry, "out");
    for (count, m, n, epilogue) in [(1, 1, 1, 0), (3, 5, 70, 1), (4, 3, 300, 3), (8, 2, 512, 0)] {
        let parts = noise(count * m * n, 1, Dtype::F32);
        let (bias, old) = (noise(n, 2, Dtype::F32), noise(m * n, 3, out));
        let (counters, got) = in_all_orders(&entry.name, |device| {
            let rows = Rows { rows: m, cols: n, stride: n + 8, offset: 8 };
            let c = device.upload(out, rows, &old);
            let call = Call::new(device, &entry.name).input(Dtype::F32, 0, &parts);
            let call = call.input(Dtype::F32, 0, &bias).arg(crate::device::Arg::U64(c.at()));
            let call = call.size(count).size(m).size(n).size(n + 8).size(epilogue);
            let (counters, _) = call.run([n.div_ceil(256), m, 1]);
            (counters, device.download(&c))
        });
        let want = (0..m * n).map(|i| {
            let parts = (0..count).map(|part| at(&parts, part * m * n + i));
            let bias = (epilogue & 1 != 0).then(|| at(&bias, i % n));
            sum(parts.chain(bias).chain((epilogue & 2 != 0).then(|| at(&old, i))))
        });
        near((&entry.name, count, m, n), out, &got, &want.collect::<Vec<_>>());
        if n == 512 {
            dense(&entry.name, &counters, m * n * (4 * count + out.bytes()), 5);
        }
    }
}
