//! What runs on the device: handwritten PTX under `kernels/`, one folder an op, and the machine
//! that parses, executes and checks it where there is no GPU.
#![warn(missing_docs)]
