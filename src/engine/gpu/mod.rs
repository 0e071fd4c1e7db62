//! The GPU engine: runs recordings as compute shaders through wgpu. The only place that knows wgpu.
