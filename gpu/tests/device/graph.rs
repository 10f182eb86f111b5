//! Graphs: the same bits at every replay, other arguments after an update.

use super::{device, refused, scale};
use vincie_gpu::{ErrorKind, Stream};

#[test]
fn a_graph_does_the_same_work_again() {
    let device = device();
    let (stream, fork) = (device.stream().expect("a stream"), device.stream().expect("a stream"));
    let kernel = scale(&device);
    let values: Vec<f32> = (0..77).map(|value| (value as f32).sin()).collect();
    let (x, out) = (
        stream.upload(&values, "x").expect("it fits"),
        stream.allocate::<f32>(77, "out").expect("it fits"),
    );
    let middle = stream.allocate::<f32>(77, "middle").expect("it fits");
    let apart = stream.allocate::<f32>(77, "apart").expect("it fits");
    stream.synchronize().expect("no fault");
    let work = |factor: f32| {
        let (x, middle, apart, out) = (x.clone(), middle.clone(), apart.clone(), out.clone());
        let (kernel, fork) = (kernel.clone(), fork.clone());
        move |stream: &Stream| {
            let scale = |from, to, factor: f32, stream: &Stream| {
                let launch = kernel.launch().buffer(from).buffer(to).scalar(factor);
                launch.scalar(77u32).submit(stream)
            };
            scale(&x, &middle, factor, stream)?;
            fork.wait(&stream.record()?)?;
            scale(&x, &apart, 5.0, &fork)?;
            stream.wait(&fork.record()?)?;
            scale(&middle, &out, 3.0, stream)
        }
    };
    let mut graph = stream.capture(work(0.1)).expect("it can be noted");
    assert_eq!(graph.nodes(), 3);
    work(0.1)(&stream).expect("it can be done");
    let direct = stream.download(&out).expect("no fault");
    for _ in 0..3 {
        stream.zero(&out).expect("a buffer");
        stream.zero(&apart).expect("a buffer");
        graph.launch(&stream).expect("it is ready");
        let replayed = stream.download(&out).expect("no fault");
        assert!(direct.iter().zip(&replayed).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
    assert_eq!(stream.download(&apart).expect("no fault")[1], values[1] * 5.0);
    graph.update(&stream, work(0.2)).expect("only a number differs");
    graph.launch(&stream).expect("it is ready");
    let updated = stream.download(&out).expect("no fault");
    assert_eq!(updated[1], values[1] * 0.2 * 3.0);
    let longer = |stream: &Stream| work(0.2)(stream).and_then(|()| work(0.2)(stream));
    refused(graph.update(&stream, longer), ErrorKind::Driver, "3 nodes became 6");
    graph.launch(&stream).expect("it is as it was");
    stream.synchronize().expect("no fault");
}

#[test]
fn a_graph_keeps_its_memory() {
    let device = device();
    let (stream, kernel) = (device.stream().expect("a stream"), scale(&device));
    let out = stream.allocate::<f32>(64, "out").expect("it fits");
    let x = stream.upload(&[2.0f32; 64], "x").expect("it fits");
    let graph = stream.capture(|stream| {
        let launch = kernel.launch().buffer(&x).buffer(&out).scalar(4.0f32).scalar(64u32);
        launch.submit(stream)
    });
    let graph = graph.expect("it can be noted");
    let address = x.address();
    drop((x, kernel));
    let other = stream.upload(&[0.0f32; 64], "other").expect("it fits");
    assert_ne!(other.address(), address);
    graph.launch(&stream).expect("it is ready");
    assert_eq!(stream.download(&out).expect("no fault"), [8.0; 64]);
    drop(graph);
    let reused = stream.allocate::<f32>(64, "reused").expect("it fits");
    assert_eq!(reused.address(), address);
}

#[test]
fn what_a_graph_cannot_hold_is_refused_and_the_stream_goes_on() {
    let device = device();
    let stream = device.stream().expect("a stream");
    let x = stream.upload(&[2.0f32; 8], "x").expect("it fits");
    let write = stream.capture(|stream| stream.write(&x, &[1.0; 8]));
    refused(write, ErrorKind::Argument, "use pinned memory");
    let wait = stream.capture(Stream::synchronize);
    refused(wait, ErrorKind::Driver, "captures");
    let twice = stream.capture(|stream| stream.capture(|_| Ok(())).map(drop));
    refused(twice, ErrorKind::Argument, "captures already");
    assert_eq!(stream.download(&x).expect("no fault"), [2.0; 8]);
    let empty = stream.capture(|_| Ok(())).expect("nothing can be noted");
    empty.launch(&stream).expect("nothing is done");
    assert_eq!(empty.nodes(), 0);
}
