//! Named choices of shaders, for machines that are not there to be measured.

use crate::engine::{LARGEST_CHUNK, PROMPT_CHUNK};
use crate::ops::Variants;
use crate::ops::variants::{ATTEND_MANY, ATTEND_ONE, MATMUL, MATMUL_ROUNDED, MATVEC};
use crate::{Error, Result};

/// A choice of shaders under a name.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// The shaders.
    pub variants: Variants,
    /// Most tokens of a prompt per step.
    pub prompt_rows: usize,
}

/// For a GPU with every optional feature.
const DISCRETE: Variants = Variants {
    matvec_wide: &MATVEC[8],
    matvec_narrow: &MATVEC[8],
    matmul: &MATMUL[0],
    matmul_rounded: Some(&MATMUL_ROUNDED[0]),
    narrow_tiles: true,
    attend_one: &ATTEND_ONE[0],
    attend_many: &ATTEND_MANY[2],
    row_tiles: None,
};

/// All profiles; the first is the default.
pub static PROFILES: &[Profile] = &[
    Profile {
        name: "discrete",
        about: "a guess of what suits a discrete GPU: subgroups for one token, tiles in eight bits for many",
        variants: DISCRETE,
        prompt_rows: LARGEST_CHUNK,
    },
    Profile {
        name: "core",
        about: "the same without optional features: no subgroups, tiles in f32",
        variants: Variants {
            matvec_wide: &MATVEC[5],
            matvec_narrow: &MATVEC[5],
            matmul: &MATMUL[1],
            matmul_rounded: None,
            ..DISCRETE
        },
        prompt_rows: LARGEST_CHUNK,
    },
    Profile {
        name: "software",
        about: "a guess of what suits an adapter without caches: many rows or heads an invocation",
        variants: Variants {
            matvec_wide: &MATVEC[0],
            matvec_narrow: &MATVEC[0],
            matmul: &MATMUL[3],
            matmul_rounded: None,
            narrow_tiles: false,
            attend_one: &ATTEND_ONE[1],
            attend_many: &ATTEND_MANY[1],
            row_tiles: None,
        },
        prompt_rows: PROMPT_CHUNK,
    },
    Profile {
        name: "plain",
        about: "what works everywhere and is fast nowhere",
        variants: Variants::PLAIN,
        prompt_rows: PROMPT_CHUNK,
    },
];

/// The profile of this name. Errors: `InvalidOption`.
pub fn named(name: &str) -> Result<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name).ok_or_else(|| Error::InvalidOption {
        name: "profile".into(),
        expected: PROFILES.iter().map(|profile| profile.name).collect::<Vec<_>>().join(", "),
        got: name.into(),
    })
}

impl Profile {
    /// The names of its shaders.
    pub fn shaders(&self) -> Vec<String> {
        let Variants { matvec_wide, matvec_narrow, matmul, matmul_rounded, attend_one, attend_many, .. } =
            self.variants;
        vec![
            format!("one token: {}; {} in narrow matrices", matvec_wide.name, matvec_narrow.name),
            format!("many tokens: {}, up to {} a step", matmul_rounded.unwrap_or(matmul).name, self.prompt_rows),
            format!("attention: {}; of many tokens {}", attend_one.name, attend_many.name),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ops::variants::Feature;

    #[test]
    fn a_profile_suits_the_adapters_that_it_is_for() {
        let (none, all) = (BTreeSet::new(), BTreeSet::from([Feature::Subgroups, Feature::F16, Feature::PackedDot]));
        for (name, software, features) in
            [("discrete", false, &all), ("core", false, &none), ("software", true, &none), ("plain", false, &none)]
        {
            assert!(named(name).unwrap().variants.suits(software, features), "{name}");
        }
        assert!(!named("discrete").unwrap().variants.suits(false, &none));
        assert!(!named("software").unwrap().variants.suits(false, &all));
    }
}
