//! Faults: late, sticky, and told with the last launches.

use super::{device, refused, scale};
use vincie_gpu::{Device, ErrorKind, emulator};

#[test]
fn a_fault_comes_with_the_finding_and_the_last_launches() {
    let device = device();
    let (stream, kernel) = (device.stream().expect("a stream"), scale(&device));
    let x = stream.upload(&[1.0f32; 100], "x").expect("it fits");
    let out = stream.allocate::<f32>(99, "out").expect("it fits");
    // The names of the contract have no values here, so lengths are not checked.
    for count in [98u32, 99, 100] {
        let launch = kernel.launch().buffer(&x).buffer(&out).scalar(1.0f32).scalar(count);
        launch.note(&format!("try {count}")).submit(&stream).expect("faults come late");
    }
    let error = stream.synchronize().expect_err("the last one writes beyond its buffer");
    assert_eq!(error.kind, ErrorKind::Fault);
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].contains("700") && lines[0].contains("oob-write: scale_f32 line 31"),
        "{text}"
    );
    assert!(lines[0].ends_with("which has 396 bytes; that is buffer `out`"), "{text}");
    assert_eq!(lines[1], "last launches, newest first:");
    let newest = "  #2 scale_f32 grid [2, 1, 1] block [64, 1, 1] stream 0 try 100";
    assert_eq!(lines[2], newest);
    assert_eq!(lines.len(), 5);
    // It stays, whatever is called.
    refused(stream.download(&x), ErrorKind::Fault, "oob-write");
    refused(stream.upload(&[0u8], "y"), ErrorKind::Fault, "last launches");
    refused(device.synchronize(), ErrorKind::Fault, "try 100");
    let ordinal = ordinal(&device);
    let fault = emulator::fault(ordinal).expect("there is one");
    assert_eq!(fault.findings[0].address, Some(out.address() + 396));
    // It ends with the context, which ends with everything that uses it.
    let spec = device.spec();
    drop((x, out, kernel, stream, device));
    assert!(emulator::fault(ordinal).is_none());
    let device = Device::open(spec).expect("it is there again");
    assert_eq!(device.stream().and_then(|s| s.upload(&[1u8], "z")).expect("it works").len(), 1);
}

#[test]
fn memory_that_was_given_back_is_undefined_for_its_next_owner() {
    let device = device();
    let (stream, kernel) = (device.stream().expect("a stream"), scale(&device));
    let out = stream.allocate::<f32>(8, "out").expect("it fits");
    let x = stream.upload(&[1.0f32; 8], "x").expect("it fits");
    let address = x.address();
    drop(x);
    let again = stream.allocate::<f32>(8, "again").expect("it fits");
    assert_eq!(again.address(), address);
    let launch = kernel.launch().buffer(&again).buffer(&out).scalar(1.0f32).scalar(8u32);
    launch.submit(&stream).expect("faults come late");
    refused(stream.synchronize(), ErrorKind::Fault, "uninit-global");
}

#[test]
fn a_kernel_that_ran_is_counted() {
    let device = device();
    let (stream, kernel) = (device.stream().expect("a stream"), scale(&device));
    let x = stream.upload(&[1.0f32; 64], "x").expect("it fits");
    for _ in 0..3 {
        let launch = kernel.launch().buffer(&x).buffer(&x).scalar(2.0f32).scalar(64u32);
        launch.submit(&stream).expect("it fits");
    }
    stream.synchronize().expect("no fault");
    let counters = emulator::counters(ordinal(&device));
    assert_eq!(counters.len(), 1);
    assert_eq!((counters[0].kernel.as_str(), counters[0].launches), ("scale_f32", 3));
    assert_eq!(counters[0].counters.global_written, 3 * 64 * 4);
}

fn ordinal(device: &Device) -> usize {
    let text = device.spec().to_string();
    let number = text.split(':').nth(1).and_then(|number| number.parse().ok());
    number.expect("the name ends with the ordinal")
}
