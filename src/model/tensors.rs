//! The tensors of a model by name, during loading.

use std::collections::HashMap;

use super::decoder::NormWeights;
use super::vectors::Vectors;
use super::weights::{Group, Weight, missing_tensor};
use crate::Result;
use crate::record::{Memory, Tensor};

/// All groups of a model, by the stem of any of their tensors.
pub struct Groups {
    groups: Vec<Group>,
    /// Index of the group by stem.
    by_stem: HashMap<String, usize>,
}

impl Groups {
    pub fn new(groups: Vec<Group>) -> Self {
        let stems =
            groups.iter().enumerate().flat_map(|(i, group)| group.stems().map(move |stem| (stem.to_string(), i)));
        Self { by_stem: stems.collect(), groups }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }

    pub fn get(&self, stem: &str) -> Option<&Group> {
        self.by_stem.get(stem).map(|&index| &self.groups[index])
    }

    /// Whether any header has this tensor.
    pub fn has(&self, stem: &str) -> bool {
        self.get(stem).is_some_and(|group| group.has(stem))
    }

    /// Leaves a tensor out of its group. Errors: `UnsupportedModel` where a header has it.
    pub fn drop_member(&mut self, stem: &str) -> Result<()> {
        self.get_mut(stem).map_or(Ok(()), |(_, group)| group.drop_member(stem))
    }

    /// The group and its index.
    pub fn get_mut(&mut self, stem: &str) -> Option<(usize, &mut Group)> {
        self.by_stem.get(stem).map(|&index| (index, &mut self.groups[index]))
    }
}

/// Makes weights and norms from tensors by their names in the file.
pub struct Tensors<'a> {
    pub memory: &'a mut dyn Memory,
    pub groups: &'a mut Groups,
    pub vectors: &'a mut Vectors,
    /// See [`Architecture::layer`](super::architecture::Architecture::layer).
    pub layer: &'static str,
}

impl Tensors<'_> {
    /// The weight that contains the tensor `stem.weight`. Errors: `InvalidModel` naming a tensor
    /// that is in no header.
    pub fn weight(&mut self, stem: &str) -> Result<Weight> {
        let (_, group) = self.groups.get_mut(stem).ok_or_else(|| missing_tensor(&format!("{stem}.weight")))?;
        group.finish(self.memory, self.vectors)
    }

    /// The same of a layer.
    #[inline(never)]
    pub fn weight_of(&mut self, layer: usize, part: &str) -> Result<Weight> {
        self.weight(&format!("{}.{layer}.{part}", self.layer))
    }

    /// A vector of a layer, (1, n). Errors: as above.
    #[inline(never)]
    pub fn vector_of(&mut self, layer: usize, part: &str) -> Result<Tensor> {
        self.vectors.required(self.memory, &format!("{}.{layer}.{part}", self.layer))
    }

    /// A vector that is in no file, (1, n).
    pub fn constant(&mut self, label: &str, values: &[f32]) -> Result<Tensor> {
        let buffer = self.memory.create_values(label, values.len())?;
        self.memory.write_values(buffer, 0, values)?;
        Ok(Tensor { buffer, rows: 1, cols: values.len() })
    }

    /// The weight that contains the tensor `stem.weight`; `None` if no header contains any of its
    /// tensors.
    pub fn optional(&mut self, stem: &str) -> Result<Option<Weight>> {
        match self.groups.get(stem).is_some_and(Group::is_there) {
            true => self.weight(stem).map(Some),
            false => Ok(None),
        }
    }

    /// Weight and bias of a norm of the residual stream: `stem.weight` and `stem.bias`.
    pub fn norm(&mut self, stem: &str) -> Result<NormWeights> {
        self.vectors.norm(self.memory, stem)
    }

    /// The same of a layer.
    #[inline(never)]
    pub fn norm_of(&mut self, layer: usize, part: &str) -> Result<NormWeights> {
        self.norm(&format!("{}.{layer}.{part}", self.layer))
    }
}
