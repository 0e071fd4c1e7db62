//! Configuration, weights, the decoder layer and the KV cache.
