//! Logits → the next id.
