//! Hyperparameters by their names in GGUF.

use super::architecture::Architecture;
use crate::format::metadata::Metadata;
use crate::{Error, Result};

/// Reads `<architecture>.<key>`.
pub(super) struct Keys<'a> {
    pub metadata: &'a Metadata,
    pub architecture: &'static Architecture,
}

impl Keys<'_> {
    pub fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture.name)
    }

    pub fn count(&self, name: &str) -> Result<usize> {
        self.metadata.u32(&self.key(name)).map(|v| v as usize)
    }

    pub fn opt_count(&self, name: &str) -> Result<Option<usize>> {
        self.metadata.opt_u32(&self.key(name)).map(|v| v.map(|v| v as usize))
    }

    pub fn opt_f32(&self, name: &str) -> Result<Option<f32>> {
        self.metadata.opt_f32(&self.key(name))
    }

    pub fn f32_or(&self, name: &str, default: f32) -> Result<f32> {
        Ok(self.opt_f32(name)?.unwrap_or(default))
    }

    /// A bound, of which 0 means none.
    pub fn cap_or(&self, name: &str, default: Option<f32>) -> Result<Option<f32>> {
        Ok(self.opt_f32(name)?.or(default).filter(|&cap| cap != 0.0))
    }
}

pub(super) fn unsupported(what: &str, found: &str, known: &str) -> Error {
    Error::UnsupportedModel { what: what.into(), found: found.into(), known: known.into() }
}
