//! The pipelines that a real GPU may compile for recordings: those of every candidate of the tuner
//! that is not for software adapters only.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use weft_llm::engine::gpu::shader::wgsl;
use weft_llm::ops::variants::{
    ATTEND_MANY, ATTEND_ONE, AttentionVariant, FEW, Feature, LinearVariant, MATMUL, MATMUL_FEW, MATMUL_INT8_FEW,
    MATMUL_INT8_NARROW, MATMUL_NARROW, MATMUL_ROUNDED, MATVEC,
};
use weft_llm::ops::{Command, Kernel, Linear, LinearPair, NormLinear, Op, Recording, RopeAttention, Variants};
use weft_llm::record::Tensor;

/// Tokens of a long chunk of a prompt.
const CHUNK: usize = 512;

/// A pipeline.
pub struct Pipeline {
    /// Shader, layout, and the name of the variant: pipelines of a kind differ in what they do
    /// before and after.
    pub kind: String,
    /// What the pipeline is, in full.
    pub name: String,
    /// Its source.
    pub wgsl: String,
}

/// The pipelines of these recordings, each once, in order of their kind. Errors: a candidate that
/// no recording needs, since nothing would be known of it.
pub fn pipelines(recordings: &[Recording]) -> Result<Vec<Pipeline>, Box<dyn Error>> {
    let sets = variant_sets();
    let mut found: BTreeMap<(String, String), Pipeline> = BTreeMap::new();
    let commands = recordings.iter().flat_map(|recording| &recording.commands);
    for command in &commands.flat_map(of_sizes).collect::<Vec<_>>() {
        for (variants, command) in sets.iter().flat_map(|variants| dispatched(command, variants)) {
            for kernel in command.kernels(variants) {
                let (kind, name) = (kind(&command, variants, &kernel), name(&kernel));
                if let Entry::Vacant(place) = found.entry((kind.clone(), name.clone())) {
                    let wgsl = wgsl(kernel.shader, &kernel.defines, &kernel.constants)?;
                    place.insert(Pipeline { kind, name, wgsl });
                }
            }
        }
    }
    let is_found = |variant: &&str| found.keys().any(|(kind, _)| kind.ends_with(&format!(": {variant}")));
    match names(&sets).into_iter().find(|variant| !is_found(variant)) {
        Some(variant) => Err(format!("no model has a use for `{variant}`").into()),
        None => Ok(found.into_values().collect()),
    }
}

/// The command, or its parts where these are dispatched one after the other.
fn dispatched<'a>(command: &Command, variants: &'a Variants) -> Vec<(&'a Variants, Command)> {
    let parts = command.parts();
    let several: usize = parts.iter().map(|part| part.kernels(variants).len()).sum();
    let fuses = command.kernels(variants).len() < several;
    let commands = if fuses { vec![*command] } else { parts };
    commands.into_iter().map(|command| (variants, command)).collect()
}

/// A product of a prompt, with room for few tokens and for many: variants differ in it.
fn of_sizes(command: &Command) -> Vec<Command> {
    match command {
        Command::Linear(op) if op.y.rows > 1 => {
            let with = |rows| {
                let (x, y) = (Tensor { rows, ..op.x }, Tensor { rows, ..op.y });
                Linear { x, y, ..*op }.into()
            };
            vec![with(FEW), with(CHUNK)]
        }
        Command::NormLinear(op) if op.linear.y.rows > 1 => op.parts().iter().flat_map(of_sizes).collect(),
        command => vec![*command],
    }
}

/// The names of all variants in these choices.
fn names(sets: &[Variants]) -> BTreeSet<&'static str> {
    let of = |variants: &Variants| {
        let linear = [Some(variants.matvec_wide), Some(variants.matmul), variants.matmul_rounded];
        let attention = [variants.attend_one, variants.attend_many];
        linear.into_iter().flatten().map(|v| v.name).chain(attention.map(|v| v.name)).collect::<Vec<_>>()
    };
    let of_sizes = [&MATMUL_FEW, &MATMUL_NARROW, &MATMUL_INT8_FEW, &MATMUL_INT8_NARROW].map(|variant| variant.name);
    sets.iter().flat_map(of).chain(of_sizes).collect()
}

/// Choices in which each candidate for a real GPU occurs, those for many tokens with every layout
/// that the choice for one token may leave.
fn variant_sets() -> Vec<Variants> {
    let features = BTreeSet::from([Feature::Subgroups, Feature::F16, Feature::PackedDot]);
    let linear = |table: &'static [LinearVariant]| -> Vec<&'static LinearVariant> {
        table.iter().filter(|variant| variant.suits(false, &features)).collect()
    };
    let attention = |table: &'static [AttentionVariant]| -> Vec<&'static AttentionVariant> {
        table.iter().filter(|variant| variant.suits(false)).collect()
    };
    let (one, many, rounded) = (linear(MATVEC), linear(MATMUL), linear(MATMUL_ROUNDED));
    let (attend_one, attend_many) = (attention(ATTEND_ONE), attention(ATTEND_MANY));
    let choices = many.len().max(attend_one.len()).max(attend_many.len());
    let rounded: Vec<Option<&LinearVariant>> = rounded.into_iter().map(Some).chain([None]).collect();
    let mut sets = Vec::new();
    for &matvec in &one {
        for &matmul_rounded in &rounded {
            sets.extend((0..choices).map(|i| Variants {
                matvec_wide: matvec,
                matvec_narrow: matvec,
                matmul: many[i % many.len()],
                matmul_rounded,
                narrow_tiles: i % 2 == 1,
                attend_one: attend_one[i % attend_one.len()],
                attend_many: attend_many[i % attend_many.len()],
                row_tiles: None,
            }));
        }
    }
    sets
}

/// The shader, the layout of the weight, and the name of the variant.
fn kind(command: &Command, variants: &Variants, kernel: &Kernel) -> String {
    let (layout, variant) = match command {
        Command::Linear(op)
        | Command::LinearPair(LinearPair { head: op, .. })
        | Command::NormLinear(NormLinear { linear: op, .. }) => {
            let variant = variants.linear(&op.weight, op.y.rows);
            (Some(op.weight.layout), Some((variant.shader, variant.name)))
        }
        Command::ExpertLinear(op) => {
            let (variant, _) = op.variant(variants);
            (Some(op.weight.layout), Some((variant.shader, variant.name)))
        }
        Command::Attention(op) | Command::RopeAttention(RopeAttention { attention: op, .. }) => {
            let variant = if op.y.rows == 1 { variants.attend_one } else { variants.attend_many };
            (None, Some((variant.shader, variant.name)))
        }
        Command::Embed(op) => (Some(op.table.layout), None),
        _ => (None, None),
    };
    // an operation may have kernels beside that of its variant
    let own = variant.is_none_or(|(shader, _)| shader == kernel.shader);
    let with = match command {
        Command::LinearPair(_) if own => Some("and Q6K16"),
        Command::NormLinear(_) if own => Some("behind a norm"),
        Command::RopeAttention(_) if own && kernel.defines.contains(&"ROPE") => Some("and rope"),
        _ => None,
    };
    let words = [Some(kernel.shader), layout.filter(|_| own).map(|layout| layout.name()), with];
    let kind = words.into_iter().flatten().collect::<Vec<_>>().join(" ");
    match variant.filter(|_| own) {
        Some((_, name)) => format!("{kind}: {name}"),
        None => kind,
    }
}

/// Shader, defines and constants.
fn name(kernel: &Kernel) -> String {
    let defines = kernel.defines.iter().map(|define| format!(" {define}"));
    let constants = kernel.constants.iter().map(|(name, value)| format!(" {name}={value}"));
    defines.chain(constants).fold(kernel.shader.to_string(), |name, word| name + &word)
}
