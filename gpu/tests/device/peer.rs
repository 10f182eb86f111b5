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

/// Adds one to the own word and waits until the peer has added one to its own.
const MEET: &str = ".version 8.0
.target sm_80
.address_size 64
.visible .entry meet(.param .u64 mine, .param .u64 theirs)
{
    .reg .pred %p; .reg .b32 %r<3>; .reg .b64 %d<3>;
    ld.param.u64 %d1, [mine];
    ld.param.u64 %d2, [theirs];
    mov.u32 %r1, 1;
    st.release.sys.global.u32 [%d1], %r1;
again:
    ld.acquire.sys.global.u32 %r2, [%d2];
    setp.ne.u32 %p, %r2, 1;
    @%p bra again;
    ret;
}
";

#[test]
fn kernels_of_two_devices_wait_for_each_other() {
    let (first, second) = (device(), device());
    first.enable_peer(&second).expect("they can");
    second.enable_peer(&first).expect("they can");
    let streams = [&first, &second].map(|device| device.stream().expect("a stream"));
    let flags = streams.each_ref().map(|stream| stream.upload(&[0u32], "flag").expect("it fits"));
    streams.iter().for_each(|stream| stream.synchronize().expect("no fault"));
    for (index, device) in [&first, &second].into_iter().enumerate() {
        let kernel = device.load(MEET, "meet.ptx").and_then(|module| module.kernel("meet"));
        let kernel = kernel.expect("it is there");
        let launch = kernel.launch().buffer(&flags[index]).buffer(&flags[1 - index]);
        let launch = launch.grid([1, 1, 1]).block([1, 1, 1]);
        launch.submit(&streams[index]).expect("it fits");
        // Kernel and module are dropped here, which waits for nothing.
    }
    for (stream, flag) in streams.iter().zip(&flags) {
        assert_eq!(stream.download(flag).expect("they met"), [1]);
    }
}
