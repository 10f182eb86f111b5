//! The way to a driver's library, with a mock of one: calls reach it, codes later than `cust`
//! knows are folded for `cust` and kept for us, and what it lacks is said.

use std::env;
use vincie_driver::{Code, LIBRARY_VARIABLE, Out, call, last_raw_code, library};

// SAFETY: the symbol is the one that this crate defines, with the signature of its table.
unsafe extern "C" {
    fn cuCtxSynchronize() -> i32;
}

#[test]
fn calls_reach_the_library_that_is_named() {
    let exe = env::current_exe().expect("a running program has a path");
    let folder = exe.ancestors().nth(2).expect("tests stand two folders down");
    let mock = folder.join("examples/libmock_driver.so");
    if !mock.exists() {
        println!("skipped: calls_reach_the_library_that_is_named: no {}", mock.display());
        return;
    }
    // SAFETY: this is the only test of its program, so no other thread reads the environment.
    unsafe { env::set_var(LIBRARY_VARIABLE, &mock) };
    assert_eq!(library().name.as_deref(), mock.to_str());
    let (mut count, mut version) = (0, 0);
    // SAFETY: results have room.
    unsafe {
        assert_eq!(call::cuInit(1), Code::INVALID_VALUE);
        assert_eq!(call::cuInit(0), Code::SUCCESS);
        assert_eq!(call::cuDeviceGetCount(Out::to(&mut count)), Code::SUCCESS);
        assert_eq!(call::cuDriverGetVersion(Out::to(&mut version)), Code::SUCCESS);
        assert_eq!(call::cuCtxSynchronize(), Code::INVALID_CLUSTER_SIZE);
        assert_eq!(cuCtxSynchronize(), 999);
        assert_eq!(last_raw_code(), Code::INVALID_CLUSTER_SIZE);
        let missing = call::cuMemFree_v2(1);
        assert_eq!(missing, Code::SHARED_OBJECT_SYMBOL_NOT_FOUND);
    }
    assert_eq!((count, version), (1, 13_000));
}
