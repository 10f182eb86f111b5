//! The command line as its users meet it: the built program, files on disk, exit codes, and what
//! stands on both output streams.
#![forbid(unsafe_code)]

mod annotate; // Videos to sessions: bad input, several videos, equal bytes, what a killed run leaves.
mod bench_gpu_check; // A device and the emulator side by side: agreement, faults, hangs, differences.
mod device; // Models on an emulated device: planned, trained, used, measured.
mod doctor; // Drivers that are found, started, missing.
mod edit; // Conversations: turns, masks, several pictures, stories, models and pictures that are refused.
mod fixtures; // Small files of each kind that the commands read.
mod import; // Published data sets to shards: rows left out, conversations across files, other tables.
mod inspect; // Text, JSON and pages about sessions, tensors and runs, whole and damaged.
mod program; // Runs the program in a folder of its own and looks at what it leaves.
mod ptx; // Kernels on the machine: the corpus, schedules, files that are refused.
mod ptx_catalogue; // Kernels inside the program: listed, shown, checked.
mod ptx_device; // Launch files on devices: emulated, behind a driver's library, without a driver.
mod train; // Training runs: kills, resumption, threads, configurations, damaged sessions.
mod usage; // Flags, help, versions, closed output, `doctor`.
mod verify; // Golden numbers: right, wrong, unknown, broken.
mod weights; // Weights in every form: converted, inspected, made anew, refused.
