//! Bytes of a model file → metadata and rows of named tensors.
