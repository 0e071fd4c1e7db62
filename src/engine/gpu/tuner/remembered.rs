//! The choices of shaders that are remembered from one visit to the next, as JSON.

use serde::{Deserialize, Serialize};

use crate::ops::variants::{
    ATTEND_MANY, ATTEND_ONE, AttentionVariant, LinearVariant, MATMUL, MATMUL_ROUNDED, MATVEC, Variants,
};

/// Incremented when a variant or shader changes, which makes older choices invalid.
const VERSION: u32 = 11;

/// Models whose choices are remembered, the latest first.
const MODELS: usize = 8;

/// The remembered form of a choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remembered {
    version: u32,
    /// [`Shapes::key`]; empty where shapes do not matter.
    shapes: String,
    /// Visits on which races are still held.
    left: usize,
    matvec_wide: String,
    matvec_narrow: String,
    matmul: String,
    matmul_rounded: Option<String>,
    attend_one: String,
    attend_many: String,
}

/// The choice for a model with these shapes, before those that are remembered already, as JSON.
/// `left`: see [`Remembered::left`].
pub fn remember(variants: &Variants, left: usize, shapes: &str, before: Option<&str>) -> Option<String> {
    let Variants { matvec_wide, matvec_narrow, matmul, matmul_rounded, attend_one, attend_many, .. } = variants;
    let choice = Remembered {
        version: VERSION,
        shapes: shapes.into(),
        left,
        matvec_wide: matvec_wide.name.into(),
        matvec_narrow: matvec_narrow.name.into(),
        matmul: matmul.name.into(),
        matmul_rounded: matmul_rounded.map(|variant| variant.name.into()),
        attend_one: attend_one.name.into(),
        attend_many: attend_many.name.into(),
    };
    let others = before.map(choices).unwrap_or_default().into_iter().filter(|other| other.shapes != shapes);
    let all: Vec<Remembered> = std::iter::once(choice).chain(others).take(MODELS).collect();
    serde_json::to_string(&all).ok()
}

/// What is remembered by this version.
fn choices(json: &str) -> Vec<Remembered> {
    let all: Vec<Remembered> = serde_json::from_str(json).unwrap_or_default();
    all.into_iter().filter(|choice| choice.version == VERSION).collect()
}

/// The choice that is remembered for these shapes, and on how many visits races are still held.
pub fn recall(json: &str, shapes: &str) -> Option<(Variants, usize)> {
    let remembered = choices(json).into_iter().find(|choice| choice.shapes == shapes)?;
    let linear = |variants: &'static [LinearVariant], name: &str| variants.iter().find(|v| v.name == name);
    let attention = |variants: &'static [AttentionVariant], name: &str| variants.iter().find(|v| v.name == name);
    let variants = Variants {
        matvec_wide: linear(MATVEC, &remembered.matvec_wide)?,
        matvec_narrow: linear(MATVEC, &remembered.matvec_narrow)?,
        matmul: linear(MATMUL, &remembered.matmul)?,
        matmul_rounded: match remembered.matmul_rounded {
            Some(name) => Some(linear(MATMUL_ROUNDED, &name)?),
            None => None,
        },
        narrow_tiles: true,
        attend_one: attention(ATTEND_ONE, &remembered.attend_one)?,
        attend_many: attention(ATTEND_MANY, &remembered.attend_many)?,
        row_tiles: None,
    };
    Some((variants, remembered.left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_recalled_unless_it_is_of_another_version() {
        let variants = Variants {
            matvec_wide: &MATVEC[3],
            matvec_narrow: &MATVEC[4],
            matmul: &MATMUL[1],
            matmul_rounded: Some(&MATMUL_ROUNDED[0]),
            narrow_tiles: true,
            attend_one: &ATTEND_ONE[1],
            attend_many: &ATTEND_MANY[1],
            row_tiles: None,
        };
        for variants in [variants, Variants { matmul_rounded: None, ..variants }] {
            let json = remember(&variants, 2, "of a model", None).unwrap();
            assert_eq!(recall(&json, "of a model"), Some((variants, 2)));
            assert_eq!(recall(&json, "of another"), None);
            let of = |from: &str, to: &str| recall(&json.replace(from, to), "of a model");
            assert_eq!(of(&format!("\"version\":{VERSION}"), "\"version\":0"), None);
            assert_eq!(of(MATVEC[3].name, "no such variant"), None);
        }
        assert_eq!(recall("[{}]", ""), None);
    }

    #[test]
    fn the_choices_of_a_few_models_are_remembered() {
        let of = |matvec_wide| Variants { matvec_wide, narrow_tiles: true, ..Variants::PLAIN };
        let mut json = None;
        for model in 0..MODELS + 2 {
            json = remember(&of(&MATVEC[model % 2]), 0, &format!("model {model}"), json.as_deref());
        }
        // one more choice for a model replaces its last one
        json = remember(&of(&MATVEC[2]), 0, "model 5", json.as_deref());
        let json = json.unwrap();
        assert_eq!(choices(&json).len(), MODELS);
        assert_eq!(recall(&json, "model 5"), Some((of(&MATVEC[2]), 0)));
        assert_eq!(recall(&json, "model 8"), Some((of(&MATVEC[0]), 0)));
        assert_eq!(recall(&json, "model 1"), None);
        assert!(json.len() < 4096, "{} bytes", json.len());
    }
}
