//! Prompt → events.
