//! Tape, gradient rules, optimizers.
