//! Buffers, the pool, and pinned memory.

use super::{MEMORY, device, refused, scale};
use vincie_gpu::ErrorKind;

#[test]
fn buffers_hold_what_was_written() {
    let device = device();
    let stream = device.stream().expect("a stream");
    for len in [0usize, 1, 3, 4095, 4097] {
        let values: Vec<u16> = (0..len).map(|value| value as u16).collect();
        let buffer = stream.upload(&values, "values").expect("it fits");
        assert_eq!((buffer.len(), buffer.bytes(), buffer.is_empty()), (len, len * 2, len == 0));
        assert_eq!(stream.download(&buffer).expect("no fault"), values);
        let view = buffer.view(len / 3..len).expect("it is inside");
        assert_eq!(stream.download(&view).expect("no fault"), values[len / 3..]);
        let copy = stream.allocate(view.len(), "copy").expect("it fits");
        stream.copy(&copy, &view).expect("lengths agree");
        assert_eq!(stream.download(&copy).expect("no fault"), values[len / 3..]);
        stream.zero(&copy).expect("it is a buffer");
        assert!(stream.download(&copy).expect("no fault").iter().all(|value| *value == 0));
        refused(buffer.view(0..len + 1), ErrorKind::Argument, "view 0..");
        refused(stream.write(&buffer, &vec![0; len + 1]), ErrorKind::Argument, "write `values`");
    }
    let elsewhere = super::device().stream().expect("a stream");
    let foreign = elsewhere.upload(&[1u8], "foreign").expect("it fits");
    refused(stream.download(&foreign), ErrorKind::Argument, "`foreign`: it is on emulated:");
    let huge = stream.allocate::<u64>(usize::MAX / 4, "huge");
    refused(huge, ErrorKind::Argument, "values of 8 bytes");
}

#[test]
fn the_pool_hands_blocks_out_again_and_says_what_it_has() {
    let device = device();
    let stream = device.stream().expect("a stream");
    let first = stream.allocate::<u8>(1000, "first").expect("it fits");
    let address = first.address();
    let clone = first.clone();
    drop(first);
    assert_eq!(device.memory().used, 1000);
    drop(clone);
    let statistics = device.memory();
    assert_eq!((statistics.used, statistics.kept, statistics.peak), (0, 1000, 1000));
    assert!(statistics.holders.is_empty());
    let again = stream.allocate::<u8>(1000, "again").expect("it fits");
    assert_eq!(again.address(), address);
    assert_eq!((device.memory().requests, device.memory().reused), (2, 1));
    // Another stream does not take what this one may still use.
    let other = device.stream().expect("a stream");
    drop(again);
    let theirs = other.allocate::<u8>(1000, "theirs").expect("it fits");
    assert_ne!(theirs.address(), address);
    device.trim_memory().expect("no fault");
    assert_eq!(device.memory().kept, 0);
}

#[test]
fn out_of_memory_says_who_holds_what() {
    let device = device();
    let stream = device.stream().expect("a stream");
    let weights: Vec<_> =
        (0..3).map(|_| stream.allocate::<u8>(1 << 20, "weights").expect("it fits")).collect();
    let optimizer = stream.allocate::<u8>(1 << 19, "optimizer").expect("it fits");
    let part = "out of memory: 1048576 bytes for `activations`; 3670016 of 4194304 are in use by \
                `weights` 3145728 in 3, `optimizer` 524288 in 1";
    refused(stream.allocate::<u8>(1 << 20, "activations"), ErrorKind::OutOfMemory, part);
    // Kept blocks are given back before anything is refused.
    drop(optimizer);
    assert_eq!(device.memory().kept, 1 << 19);
    let activations = stream.allocate::<u8>(1 << 20, "activations").expect("it fits now");
    assert_eq!((device.memory().used, device.memory().kept), (MEMORY, 0));
    drop((weights, activations));
    device.set_memory_limit(1000);
    refused(
        stream.allocate::<u8>(1001, "x"),
        ErrorKind::OutOfMemory,
        "0 of 1000 are in use by nobody",
    );
    device.set_memory_limit(MEMORY);
    assert!(stream.allocate::<u8>(1001, "x").is_ok());
}

#[test]
fn a_buffer_used_by_another_stream_waits_for_it() {
    let device = device();
    let (home, other, kernel) =
        (device.stream().expect("a stream"), device.stream().expect("a stream"), scale(&device));
    let x = home.upload(&[1.0f32; 64], "x").expect("it fits");
    let out = home.allocate::<f32>(64, "out").expect("it fits");
    let ready = home.record().expect("an event");
    other.wait(&ready).expect("the same device");
    let launch = kernel.launch().buffer(&x).buffer(&out).scalar(3.0f32).scalar(64u32);
    launch.submit(&other).expect("it fits");
    // The home stream gets the memory of `x` again, behind what the other stream does with it.
    drop(x);
    let next = home.upload(&[7.0f32; 64], "next").expect("it fits");
    home.synchronize().expect("no fault");
    assert_eq!(home.download(&next).expect("no fault"), [7.0; 64]);
    assert_eq!(other.download(&out).expect("no fault"), [3.0; 64]);
}

#[test]
fn pinned_memory_comes_back_when_its_copy_is_done() {
    let device = device();
    let stream = device.stream().expect("a stream");
    let mut memory = device.pinned::<u32>(1001).expect("host memory");
    assert!(memory.iter().all(|value| *value == 0));
    memory.iter_mut().zip(0..).for_each(|(value, index)| *value = index);
    let buffer = stream.allocate::<u32>(1001, "values").expect("it fits");
    let transfer = stream.start_upload(&buffer, memory).expect("lengths agree");
    let mut memory = transfer.wait().expect("no fault");
    memory.fill(0);
    let transfer = stream.start_download(&buffer, memory).expect("lengths agree");
    let memory = transfer.wait().expect("no fault");
    assert!(memory.iter().zip(0..).all(|(value, index)| *value == index));
    let short = device.pinned::<u32>(7).expect("host memory");
    refused(stream.start_upload(&buffer, short), ErrorKind::Argument, "1001 values, the pinned");
    let empty = device.pinned::<u32>(0).expect("nothing");
    let nothing = stream.allocate::<u32>(0, "nothing").expect("nothing");
    assert!(
        stream.start_upload(&nothing, empty).expect("it is done").wait().expect("done").is_empty()
    );
}
