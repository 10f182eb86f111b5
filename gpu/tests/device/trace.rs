//! Traces and events.

use super::{device, refused, scale};
use serde_json::Value;
use std::time::Duration;
use vincie_gpu::{ErrorKind, Trace};

#[test]
fn a_trace_shows_kernels_and_the_host() {
    let device = device();
    let (stream, kernel) = (device.stream().expect("a stream"), scale(&device));
    let trace = Trace::start(&[&device]).expect("it has none yet");
    refused(Trace::start(&[&device]).map(drop), ErrorKind::Argument, "has one already");
    let x = stream.upload(&[1.0f32; 640], "x").expect("it fits");
    {
        let _span = trace.span("step \"one\"");
        for _ in 0..3 {
            let launch = kernel.launch().buffer(&x).buffer(&x).scalar(2.0f32).scalar(640u32);
            launch.dim("rows", 10).dim("cols", 64).submit(&stream).expect("it fits");
        }
        stream.synchronize().expect("no fault");
    }
    let kernels = trace.kernels().expect("no fault");
    assert_eq!((kernels.len(), kernels[0].launches), (1, 3));
    assert_eq!(kernels[0].kernel, "scale_f32");
    assert!(kernels[0].shortest <= kernels[0].longest && kernels[0].longest <= kernels[0].total);
    let name = format!("vincie-gpu-trace-{}.json", std::process::id());
    let path = std::env::temp_dir().join(name);
    trace.write(&path).expect("the folder is there");
    let text = std::fs::read_to_string(&path).expect("it was written");
    std::fs::remove_file(&path).expect("it was there");
    let file: Value = serde_json::from_str(&text).expect("it is JSON");
    let events = file["traceEvents"].as_array().expect("a list");
    let of = |category: &str| -> Vec<&Value> {
        events.iter().filter(|event| event["cat"] == category).collect()
    };
    assert_eq!(of("kernel").len(), 3);
    let first = of("kernel")[0];
    assert_eq!(
        (first["ph"].as_str(), first["args"]["shapes"].as_str()),
        (Some("X"), Some("rows=10 cols=64"))
    );
    assert_eq!(of("kernel")[2]["args"]["number"], 2);
    assert!(first["ts"].as_f64().is_some_and(|time| time >= 0.0));
    let spans: Vec<_> = of("host").iter().filter_map(|span| span["name"].as_str()).collect();
    assert!(spans.contains(&"step \"one\"") && spans.contains(&"upload"), "{spans:?}");
    let missing = trace.write(&std::env::temp_dir().join("no such folder/trace.json"));
    refused(missing, ErrorKind::Argument, "no such folder");
    drop(trace);
    assert!(Trace::start(&[&device]).is_ok());
}

#[test]
fn events_order_streams_and_tell_time() {
    let device = device();
    let stream = device.stream_with_priority(-1).expect("a stream");
    let (before, x) = (stream.record().expect("an event"), stream.upload(&[1u8; 9], "x"));
    let after = stream.record().expect("an event");
    assert!(after.since(&before).expect("both are recorded") < Duration::from_secs(60));
    assert!(after.is_reached().expect("no fault") && x.is_ok());
    let unrecorded = device.event().expect("an event");
    refused(after.since(&unrecorded), ErrorKind::Driver, "recorded");
    stream.wait(&unrecorded).expect("there is nothing to wait for");
    stream.synchronize().expect("no fault");
}
