//! Two devices in one process: nothing is shared without the right to it.

use super::{device, refused, scale};
use vincie_gpu::ErrorKind;

#[test]
fn copies_between_devices_need_peer_access() {
    let (first, second) = (device(), device());
    let (mine, theirs) = (first.stream().expect("a stream"), second.stream().expect("a stream"));
    let from = theirs.upload(&[1.5f32; 33], "theirs").expect("it fits");
    let to = mine.allocate::<f32>(33, "mine").expect("it fits");
    refused(mine.copy(&to, &from), ErrorKind::Driver, "PEER_ACCESS_NOT_ENABLED");
    first.enable_peer(&second).expect("they can");
    first.enable_peer(&second).expect("twice is once");
    // The copy comes after the upload in the other device's stream.
    mine.wait(&theirs.record().expect("an event")).expect("one driver");
    mine.copy(&to, &from).expect("it may");
    assert_eq!(mine.download(&to).expect("no fault"), [1.5; 33]);
    // The right is of one side only.
    refused(theirs.copy(&from, &to), ErrorKind::Driver, "has no access to");
    first.disable_peer(&second).expect("it was enabled");
    refused(mine.copy(&to, &from), ErrorKind::Driver, "has no access to");
}

#[test]
fn kernels_need_peer_access() {
    let (first, second) = (device(), device());
    let (stream, kernel) = (first.stream().expect("a stream"), scale(&first));
    let theirs = second.stream().expect("a stream");
    let x = theirs.upload(&[2.0f32; 64], "x").expect("it fits");
    theirs.synchronize().expect("no fault");
    let launch = || kernel.launch().buffer(&x).buffer(&x).scalar(2.0f32).scalar(64u32);
    first.enable_peer(&second).expect("they can");
    launch().submit(&stream).expect("it fits");
    stream.synchronize().expect("no fault");
    assert_eq!(theirs.download(&x).expect("no fault"), [4.0; 64]);
    first.disable_peer(&second).expect("it was enabled");
    launch().submit(&stream).expect("faults come late");
    refused(stream.synchronize(), ErrorKind::Fault, "peer-access");
    assert_eq!(theirs.download(&x).expect("the other device is well"), [4.0; 64]);
}

#[test]
fn threads_use_devices_side_by_side() {
    let workers: Vec<_> = (0..4)
        .map(|factor| {
            std::thread::spawn(move || {
                let device = device();
                let (stream, kernel) = (device.stream().expect("a stream"), scale(&device));
                let x = stream.upload(&[1.0f32; 130], "x").expect("it fits");
                for _ in 0..5 {
                    let launch = kernel.launch().buffer(&x).buffer(&x).scalar(factor as f32);
                    launch.scalar(130u32).submit(&stream).expect("it fits");
                }
                let got = stream.download(&x).expect("no fault");
                assert_eq!(got, [(factor as f32).powi(5); 130]);
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
}
