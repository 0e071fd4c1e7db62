//! One file an operation.
