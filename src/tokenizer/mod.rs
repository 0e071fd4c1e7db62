//! Ids ↔ text, and chat templates.
