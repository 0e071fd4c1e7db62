//! Engines run recordings.
