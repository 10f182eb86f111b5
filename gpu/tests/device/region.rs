//! Regions: graphs whose buffers lie in one allocation, and what they may not leave behind.

use super::{device, refused, scale};
use vincie_gpu::{Buffer, Error, ErrorKind, Region, Result, Stream};

/// `out = 2^steps x` through a chain of buffers, each of which goes when the next is there.
fn chain(stream: &Stream, x: &Buffer<f32>, out: &Buffer<f32>, steps: usize) -> Result<()> {
    let kernel = scale(&stream.device());
    let double = |from: &Buffer<f32>, to: &Buffer<f32>| {
        let launch = kernel.launch().buffer(from).buffer(to).scalar(2.0f32);
        launch.scalar(from.len() as u32).submit(stream)
    };
    let mut last = x.clone();
    for _ in 1..steps {
        let next = stream.allocate(x.len(), "link")?;
        double(&last, &next)?;
        last = next;
    }
    double(&last, out)
}

#[test]
fn a_chain_of_any_length_needs_two_links_and_gives_the_same_bits_at_every_replay() {
    let device = device();
    let stream = device.stream().expect("a stream");
    let values: Vec<f32> = (0..500).map(|value| (value as f32).sin()).collect();
    let x = stream.upload(&values, "x").expect("it fits");
    let out = stream.allocate::<f32>(500, "out").expect("it fits");
    let link = 2048;
    let need = stream.measure::<Error>(|stream| chain(stream, &x, &out, 9)).expect("it is noted");
    assert_eq!(need, 2 * link);
    let before = device.memory();
    let allocation = stream.allocate::<u8>(need, "workspace").expect("it fits");
    let graph = |steps| {
        let region = Region::over(&allocation);
        stream.capture_in::<Error>(&region, |stream| chain(stream, &x, &out, steps))
    };
    let (nine, five) = (graph(9).expect("it fits"), graph(5).expect("it fits"));
    assert_eq!(device.memory().used, before.used + need, "both lie in the allocation");
    // In turns: neither finds what the other left, or the machine would say so.
    for (graph, factor) in [(&nine, 512.0), (&five, 32.0), (&nine, 512.0), (&five, 32.0)] {
        stream.zero(&out).expect("a buffer");
        graph.launch(&stream).expect("it is ready");
        let expected: Vec<f32> = values.iter().map(|value| value * factor).collect();
        assert_eq!(stream.download(&out).expect("no fault"), expected);
    }
    let address = allocation.address();
    drop(allocation);
    let other = stream.allocate::<u8>(need, "other").expect("it fits");
    assert_ne!(other.address(), address, "graphs keep their region");
    drop((nine, five));
    let freed = stream.allocate::<u8>(need, "freed").expect("it fits");
    assert_eq!(freed.address(), address);
}

#[test]
fn a_measurement_takes_no_more_than_its_largest_buffers() {
    let device = device();
    let stream = device.stream().expect("a stream");
    let x = stream.upload(&[1.0f32; 1000], "x").expect("it fits");
    let before = device.memory().used;
    let mut most = 0;
    let need = stream.measure::<Error>(|stream| {
        let all: Result<Vec<Buffer<f32>>> =
            (0..100).map(|_| stream.allocate(1000, "one of many")).collect();
        chain(stream, &x, &all?[99], 3)?;
        most = device.memory().used - before;
        Ok(())
    });
    assert_eq!(need.expect("it is noted"), 102 * 4096);
    assert!(most <= 4 * 4096, "{most}");
    assert_eq!(device.memory().used, before);
    assert_eq!(stream.download(&x).expect("no fault"), [1.0; 1000], "nothing was done");
}

#[test]
fn what_does_not_fit_or_outlives_the_work_is_refused() {
    let device = device();
    let stream = device.stream().expect("a stream");
    let allocation = stream.allocate::<u8>(1024, "workspace").expect("it fits");
    let region = Region::over(&allocation);
    let large = stream.within(&region, || stream.allocate::<u8>(2000, "large"));
    refused(large, ErrorKind::Argument, "no room for 2000 bytes of `large` in 1024");
    let mut kept = None;
    let graph = stream.capture_in::<Error>(&region, |stream| {
        kept = Some(stream.allocate::<u8>(10, "kept")?);
        Ok(())
    });
    refused(graph, ErrorKind::Argument, "1 buffers of the work outlive it");
    drop(kept);
    // Neither left the stream in the region, or capturing.
    let used = device.memory().used;
    let free = stream.allocate::<u8>(2000, "free").expect("it fits");
    assert_eq!(device.memory().used, used + 2000);
    stream.zero(&free).expect("a buffer");
    stream.synchronize().expect("no fault");
}

#[test]
fn what_other_pieces_of_work_left_in_a_region_is_not_read() {
    let device = device();
    let stream = device.stream().expect("a stream");
    let out = stream.allocate::<f32>(64, "out").expect("it fits");
    let allocation = stream.allocate::<u8>(1024, "workspace").expect("it fits");
    let first = Region::over(&allocation);
    let x = stream.within(&first, || stream.upload(&[1.0f32; 64], "x")).expect("it fits");
    chain(&stream, &x, &out, 1).expect("it can be done");
    assert_eq!(stream.download(&out).expect("no fault"), [2.0; 64]);
    let second = Region::over(&allocation);
    let y = stream.within(&second, || stream.allocate::<f32>(64, "y")).expect("it fits");
    assert_eq!(y.address(), x.address());
    chain(&stream, &y, &out, 1).expect("it can be noted");
    refused(stream.download(&out), ErrorKind::Fault, "nobody has written");
}
