//! The vocabulary of recorded work.
