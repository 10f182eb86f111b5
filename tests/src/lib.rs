//! The table of op cases that parity, gradient and bench readers share.
