//! The CPU engine: a [`HostEngine`](super::host::HostEngine) with kernels written so that they vectorise.
