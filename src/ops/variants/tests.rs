use super::tables::{GATHERED, GATHERED_INT8};
use super::*;
use crate::format::layout::MOST_TILE;
use crate::ops::gather::TILE;
use crate::record::Matrix;

/// The names of the candidates of each table that an adapter with every feature may use.
fn candidates(software: bool) -> [Vec<&'static str>; 5] {
    let features = BTreeSet::from([Feature::Subgroups, Feature::F16, Feature::PackedDot]);
    let linear = |table: &[LinearVariant]| -> Vec<&str> {
        table.iter().filter(|variant| variant.suits(software, &features)).map(|variant| variant.name).collect()
    };
    let attention = |table: &[AttentionVariant]| -> Vec<&str> {
        table.iter().filter(|variant| variant.suits(software)).map(|variant| variant.name).collect()
    };
    [linear(MATVEC), linear(MATMUL), linear(MATMUL_ROUNDED), attention(ATTEND_ONE), attention(ATTEND_MANY)]
}

#[test]
fn a_real_gpu_does_not_try_what_is_for_software_adapters() {
    assert_eq!(
        candidates(false),
        [
            vec![
                "2 rows an invocation",
                "32 rows by 8 invocations",
                "16 rows by 32 invocations",
                "16 rows by 16 invocations",
                "64 rows by 8 invocations",
                "16 rows by 32 invocations in subgroups",
                "32 rows by 16 invocations in subgroups",
                "8 rows by 32 invocations in subgroups",
                "plain",
            ],
            vec![
                "64 rows, 128 tokens a workgroup",
                "32 rows, 256 tokens a workgroup",
                "64 rows, 64 tokens a workgroup",
                "plain",
            ],
            vec![
                "32 rows, 256 tokens a workgroup in 8 bits",
                "64 rows, 64 tokens a workgroup in 8 bits",
                "64 rows, 128 tokens a workgroup in 16 bits",
            ],
            vec!["64 positions a workgroup"],
            vec!["a key head a workgroup", "64 queries a workgroup", "32 queries a workgroup"],
        ]
    );
    let lengths = [MATVEC.len(), MATMUL.len(), MATMUL_ROUNDED.len(), ATTEND_ONE.len(), ATTEND_MANY.len()];
    assert_eq!(candidates(true).map(|names| names.len()), lengths);
}

#[test]
fn a_choice_suits_an_adapter_if_every_variant_does() {
    let (none, subgroups) = (BTreeSet::new(), BTreeSet::from([Feature::Subgroups]));
    let plain = Variants::PLAIN;
    assert!(plain.suits(false, &none));
    let lanes = Variants { attend_many: &ATTEND_MANY[1], ..plain };
    assert!(lanes.suits(true, &none) && !lanes.suits(false, &none));
    let needing = MATVEC.iter().find(|variant| variant.needs.is_some()).unwrap();
    let needing = Variants { matvec_wide: needing, ..plain };
    assert!(needing.suits(false, &subgroups) && !needing.suits(false, &none));
}

#[test]
fn few_tokens_have_a_tile_of_their_own() {
    let buffer = crate::record::BufferId(0);
    let weight = Matrix { buffer, layout: crate::format::Layout::Q4, rows: 64, cols: 64 };
    let chosen = Variants { matmul: &MATMUL[0], matmul_rounded: Some(&MATMUL_ROUNDED[0]), ..Variants::PLAIN };
    let names = |variants: Variants| [1, 2, FEW, FEW + 1].map(|tokens| variants.linear(&weight, tokens).name);
    let few = MATMUL_INT8_FEW.name;
    assert_eq!(names(chosen), ["plain", few, few, MATMUL_ROUNDED[0].name]);
    let exact = Variants { matmul_rounded: None, ..chosen };
    assert_eq!(names(exact), ["plain", MATMUL_FEW.name, MATMUL_FEW.name, MATMUL[0].name]);
    assert_eq!(names(Variants::PLAIN), ["plain"; 4]);
}

#[test]
fn few_rows_have_a_tile_of_their_own() {
    let buffer = crate::record::BufferId(0);
    let weight = |rows| Matrix { buffer, layout: crate::format::Layout::Q4, rows, cols: 64 };
    let chosen = Variants { matmul_rounded: Some(&MATMUL_ROUNDED[0]), narrow_tiles: true, ..Variants::PLAIN };
    let names = |variants: Variants| [WIDE - 1, WIDE].map(|rows| variants.linear(&weight(rows), FEW + 1).name);
    assert_eq!(names(chosen), [MATMUL_INT8_NARROW.name, MATMUL_ROUNDED[0].name]);
    assert_eq!(names(Variants { narrow_tiles: false, ..chosen }), [MATMUL_ROUNDED[0].name; 2]);
    let exact = Variants { matmul: &MATMUL[1], matmul_rounded: None, ..chosen };
    assert_eq!(names(exact), [MATMUL_NARROW.name, MATMUL[1].name]);
    assert_eq!(names(Variants { matmul: &PLAIN, ..exact }), ["plain"; 2]);
    // in f16 there is one tile for all
    let f16 = &MATMUL_ROUNDED[2];
    assert_eq!(names(Variants { matmul_rounded: Some(f16), ..exact }), [f16.name; 2]);
}

/// A tile of slots is what `gather` puts together, whatever the tile of tokens.
#[test]
fn slots_are_gathered_as_many_tokens_are_rounded() {
    let buffer = crate::record::BufferId(0);
    let of = |matmul, matmul_rounded, layout| {
        let weight = Matrix { buffer, layout, rows: 64, cols: 64 };
        Variants { matmul, matmul_rounded, ..Variants::PLAIN }.gathered(&weight)
    };
    let (q4, f16) = (crate::format::Layout::Q4, crate::format::Layout::F16);
    for matmul in &MATMUL[..3] {
        assert_eq!(of(matmul, None, q4), Some(&GATHERED));
        for rounded in MATMUL_ROUNDED {
            let in_bytes = rounded.needs == Some(Feature::PackedDot);
            assert_eq!(of(matmul, Some(rounded), q4), Some(if in_bytes { &GATHERED_INT8 } else { &GATHERED }));
            assert_eq!(of(matmul, Some(rounded), f16), Some(&GATHERED));
        }
    }
    assert_eq!(of(&MATMUL[3], None, q4).or(of(&PLAIN, None, q4)), None);
    for tile in [GATHERED, GATHERED_INT8] {
        assert_eq!((tile.tokens, 4 * tile.k_threads, tile.rows), (TILE, TILE, 4), "{}", tile.name);
    }
}

/// The shaders rely on it.
#[test]
fn an_invocation_of_a_tile_takes_eight_tokens() {
    let others = [&MATMUL_FEW, &MATMUL_NARROW, &MATMUL_INT8_FEW, &MATMUL_INT8_NARROW];
    let tiles = MATMUL.iter().chain(MATMUL_ROUNDED).chain(others);
    for tile in tiles.filter(|variant| variant.tokens_first()) {
        let (invocations, rows) = (tile.lanes * tile.k_threads, tile.lanes * tile.rows);
        assert_eq!((tile.tokens, tile.rows), (8 * tile.k_threads, 4), "{}", tile.name);
        assert!(rows <= invocations && tile.tokens <= invocations && invocations <= 256, "{}", tile.name);
    }
}

#[test]
fn tiles_are_no_larger_than_loaders_leave_room_for() {
    assert!(MATVEC.iter().all(|variant| MOST_TILE.is_multiple_of(variant.row_tile)));
}
