//! Launches: what is checked before the call, clusters and tensor maps.

use super::{device, refused, scale};
use vincie_gpu::{DeviceSpec, ErrorKind, Swizzle, TensorMap, TileLayout};

#[test]
fn odd_sizes_give_exact_results() {
    let device = device();
    let (stream, kernel) = (device.stream().expect("a stream"), scale(&device));
    for count in [1usize, 2, 63, 64, 65, 127, 1000] {
        let values: Vec<f32> = (0..count).map(|value| value as f32).collect();
        let x = stream.upload(&values, "x").expect("it fits");
        let out = stream.allocate::<f32>(count, "out").expect("it fits");
        let launch = kernel.launch().buffer(&x).buffer(&out).scalar(2.5f32).scalar(count as u32);
        launch.dim("rows", 1).dim("cols", count).submit(&stream).expect("it fits the contract");
        let want: Vec<f32> = values.iter().map(|value| value * 2.5).collect();
        assert_eq!(stream.download(&out).expect("no fault"), want, "{count}");
    }
}

#[test]
fn an_empty_tensor_launches_nothing() {
    let device = device();
    let (stream, kernel) = (device.stream().expect("a stream"), scale(&device));
    let empty = stream.upload::<f32>(&[], "x").expect("it takes no memory");
    let launch = kernel.launch().buffer(&empty).buffer(&empty).scalar(1.0f32).scalar(0u32);
    launch.dim("rows", 0).dim("cols", 9).submit(&stream).expect("there is nothing to do");
    assert!(device.last_launches().is_empty());
    assert_eq!(stream.download(&empty).expect("no fault"), Vec::<f32>::new());
}

#[test]
fn arguments_that_do_not_fit_are_refused_by_name() {
    let device = device();
    let (stream, kernel) = (device.stream().expect("a stream"), scale(&device));
    let x = stream.upload(&[1.0f32; 12], "x").expect("it fits");
    let bytes = stream.upload(&[1.0f64; 12], "wide").expect("it fits");
    let launch = || kernel.launch().buffer(&x).buffer(&x);
    let kind = ErrorKind::Argument;
    refused(launch().scalar(1.0f32).submit(&stream), kind, "3 arguments, 4 are expected: x, out");
    let wide = launch().scalar(1.0f64).scalar(12u32).submit(&stream);
    refused(wide, kind, "argument factor: a number of 8 bytes; the kernel takes 4");
    let whole = launch().scalar(1u32).scalar(12u32).submit(&stream);
    refused(whole, kind, "argument factor: of u32; the contract says f32");
    let swapped = kernel.launch().scalar(1u64).buffer(&x).scalar(1.0f32).scalar(12u32);
    refused(swapped.submit(&stream), kind, "argument x: a number; the contract says ptr f32");
    let other = kernel.launch().buffer(&bytes).buffer(&x).scalar(1.0f32).scalar(12u32);
    refused(other.submit(&stream), kind, "argument x: buffer `wide` of f64; the contract says f32");
    let short = launch().scalar(1.0f32).scalar(12u32).dim("rows", 2).dim("cols", 7);
    refused(short.submit(&stream), kind, "buffer `x` has 48 bytes; [rows, cols] of f32 needs 56");
}

#[test]
fn shapes_that_do_not_fit_are_refused_by_value() {
    let device = device();
    let (stream, kernel) = (device.stream().expect("a stream"), scale(&device));
    let x = stream.upload(&[1.0f32; 65], "x").expect("it fits");
    let launch = || kernel.launch().buffer(&x).buffer(&x).scalar(1.0f32).scalar(65u32);
    let kind = ErrorKind::Argument;
    let grid = launch().grid([3, 1, 1]).submit(&stream);
    refused(grid, kind, "grid [3, 1, 1]; the contract says ceil(count/64) = 2");
    refused(launch().grid([0, 1, 1]).submit(&stream), kind, "grid [0, 1, 1]; each is 1 to");
    refused(launch().block([65, 1, 1]).submit(&stream), kind, "the kernel requires [64, 1, 1]");
    refused(launch().block([2048, 1, 1]).submit(&stream), kind, "2048 threads; 1 to 1024");
    let shared = launch().dynamic_shared(228 << 10).submit(&stream);
    refused(shared, kind, "233472 bytes of shared memory; at most 232448");
    refused(launch().cluster([3, 1, 1]).submit(&stream), kind, "cluster [3, 1, 1]; it divides");
    let limit = launch().dim("rows", 0).dim("cols", 1025).submit(&stream);
    refused(limit, kind, "the limit cols <= 1024 does not hold");
    let elsewhere = super::device().stream().expect("a stream");
    refused(launch().submit(&elsewhere), kind, "not loaded on");
    assert!(device.last_launches().is_empty());
    launch().cluster([2, 1, 1]).submit(&stream).expect("two CTAs are a cluster");
    stream.synchronize().expect("no fault");
    assert_eq!(device.last_launches()[0].cluster, [2, 1, 1]);
}

/// Ranks of a cluster's CTAs, by CTA.
const RANKS: &str = ".version 8.0
.target sm_90
.address_size 64
.visible .entry ranks(.param .u64 out)
{
    .reg .b32 %r<3>; .reg .b64 %d<4>;
    ld.param.u64 %d1, [out];
    mov.u32 %r1, %ctaid.x; mov.u32 %r2, %cluster_ctarank;
    mul.wide.u32 %d2, %r1, 4; add.u64 %d3, %d1, %d2;
    st.global.u32 [%d3], %r2;
    ret;
}
";

#[test]
fn clusters_reach_the_lanes() {
    let device = device();
    let stream = device.stream().expect("a stream");
    let module = device.load(RANKS, "ranks.ptx").expect("it loads");
    let kernel = module.kernel("ranks").expect("it is there");
    for cluster in [1u32, 2, 4, 16] {
        let out = stream.allocate::<u32>(16, "ranks").expect("it fits");
        let launch = kernel.launch().buffer(&out).grid([16, 1, 1]).block([1, 1, 1]);
        launch.cluster([cluster, 1, 1]).submit(&stream).expect("it divides the grid");
        let want: Vec<u32> = (0..16).map(|rank| rank % cluster).collect();
        assert_eq!(stream.download(&out).expect("no fault"), want);
    }
    let out = stream.allocate::<u32>(1, "ranks").expect("it fits");
    let shapeless = kernel.launch().buffer(&out).submit(&stream);
    refused(shapeless, ErrorKind::Argument, "ranks: the launch gives no grid");
}

/// Copies an 8 x 4 tile from column 8, row 1 of a tensor, and its rows beyond the end as zeros.
const TILE: &str = ".version 8.0
.target sm_90
.address_size 64
.visible .entry tile(.param .align 64 .b8 map[128], .param .u64 out)
{
    .reg .pred %p; .reg .f32 %f; .reg .b32 %r<8>; .reg .b64 %d<6>;
    .shared .align 128 .b8 data[128];
    .shared .align 8 .b64 bar;
    mov.u32 %r1, %tid.x;
    mov.u32 %r2, data; mov.u32 %r3, bar;
    mov.b64 %d1, map; cvta.param.u64 %d1, %d1;
    ld.param.u64 %d2, [out];
    setp.ne.u32 %p, %r1, 0;
    @%p bra wait;
    mbarrier.init.shared.b64 [%r3], 1;
    fence.mbarrier_init.release.cluster;
    fence.proxy.async.shared::cta;
    mbarrier.arrive.expect_tx.shared.b64 %d3, [%r3], 128;
    mov.b32 %r4, 8; mov.b32 %r5, 1;
    cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r2], [%d1, {%r4, %r5}], [%r3];
wait:
    bar.sync 0;
again:
    mbarrier.try_wait.parity.shared.b64 %p, [%r3], 0;
    @!%p bra again;
    shl.b32 %r6, %r1, 2; add.u32 %r7, %r2, %r6;
    ld.shared.f32 %f, [%r7];
    mul.wide.u32 %d4, %r1, 4; add.u64 %d5, %d2, %d4;
    st.global.f32 [%d5], %f;
    ret;
}
";

#[test]
fn tensor_maps_move_tiles() {
    let device = device();
    let stream = device.stream().expect("a stream");
    let module = device.load(TILE, "tile.ptx").expect("it loads");
    let kernel = module.kernel("tile").expect("it is there");
    let (rows, cols) = (4usize, 20usize);
    let values: Vec<f32> = (0..rows * cols).map(|value| value as f32).collect();
    let tensor = stream.upload(&values, "tensor").expect("it fits");
    let layout = TileLayout {
        dims: vec![cols as u64, rows as u64],
        strides: vec![cols as u64 * 4],
        tile: vec![8, 4],
        swizzle: Swizzle::None,
    };
    let map = TensorMap::new(&tensor, &layout).expect("a legal map");
    drop(tensor);
    let out = stream.allocate::<f32>(32, "tile").expect("it fits");
    let launch = kernel.launch().tensor_map(&map).buffer(&out);
    launch.grid([1, 1, 1]).block([32, 1, 1]).submit(&stream).expect("it fits");
    let want: Vec<f32> = (0..32)
        .map(|index| (1 + index / 8, 8 + index % 8))
        .map(|(row, col)| if row < rows { (row * cols + col) as f32 } else { 0.0 })
        .collect();
    assert_eq!(stream.download(&out).expect("no fault"), want);
    let short = stream.allocate::<f32>(rows * cols - 1, "short").expect("it fits");
    refused(TensorMap::new(&short, &layout), ErrorKind::Argument, "does not fit 316 bytes");
    let odd = TileLayout { tile: vec![3, 4], ..layout.clone() };
    refused(TensorMap::new(&out.view(0..0).expect("empty"), &layout), ErrorKind::Argument, "fit 0");
    let tensor = stream.upload(&values, "tensor").expect("it fits");
    refused(TensorMap::new(&tensor, &odd), ErrorKind::Driver, "inner box of 12 bytes");
    assert_eq!(map.layout(), &layout);
    assert!(matches!(device.spec(), DeviceSpec::Emulated(_)));
}
