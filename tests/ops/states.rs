//! Operations that keep a state of what was before: convolutions, and linear attention.

use super::{TOKENS, rows_of_several};
use crate::support::{Setup, Suite};
use weft_llm::ops::{
    CausalConvolve, Command, Convolve, DeltaHeads, DeltaRule, ScanHeads, SelectiveScan, Shift, Wkv, WkvHeads,
};

/// Steps of one sequence from each of these positions on, and a step of several sequences.
fn cases<C: Into<Command>>(suite: &mut Suite, name: &str, positions: &[usize], of: impl Fn(usize, &mut Setup) -> C) {
    for (tokens, capacity) in TOKENS {
        for &position in positions {
            let name = format!("{name} tokens {tokens}/{capacity} at {position}");
            suite.case(name, position, &vec![0; tokens], |s: &mut Setup| of(capacity, s));
        }
    }
    let rows = rows_of_several();
    suite.case_of_rows(format!("{name}, several sequences"), &rows, |s: &mut Setup| of(rows.len(), s));
}

/// In steps within a block and over its border, of more and of fewer rows than a block keeps.
#[test]
fn convolve() {
    let mut suite = Suite::new();
    for (cols, width) in [(1, 1), (65, 3), (160, 3), (36, 4)] {
        let of = |capacity, s: &mut Setup| Convolve {
            x: s.tensor(capacity, 3 * cols),
            weight: s.tensor(1, cols * width),
            state: s.output_state(cols),
            y: s.output(capacity, cols),
        };
        cases(&mut suite, &format!("{cols} × {width}"), &[0, 1, 17, 60, 64], of);
    }
    suite.report("convolve");
}

#[test]
fn causal_convolve() {
    let mut suite = Suite::new();
    for (cols, first_col, more, width, biased) in
        [(1, 0, 0, 1, false), (65, 0, 3, 3, true), (160, 7, 0, 4, false), (36, 5, 1, 2, true)]
    {
        let of = |capacity, s: &mut Setup| CausalConvolve {
            x: s.tensor(capacity, first_col + cols + more),
            first_col,
            weight: s.tensor(1, cols * (width + usize::from(biased))),
            biased,
            state: s.output_slots((width - 1) * cols + 5),
            first: 5,
            shift: None,
            y: s.output(capacity, cols),
        };
        cases(&mut suite, &format!("{cols} × {width}"), &[0, 17], of);
    }
    suite.report("causal_convolve");
}

/// Over two positions, with weights among others: RWKV's.
#[test]
fn token_shift() {
    let mut suite = Suite::new();
    for (cols, first_weight, keeps) in [(1, 0, true), (65, 7, false), (160, 160, true)] {
        let of = |capacity, s: &mut Setup| CausalConvolve {
            x: s.tensor(capacity, cols),
            first_col: 0,
            weight: s.tensor(1, first_weight + cols + 3),
            biased: false,
            state: s.output_slots(cols + 9),
            first: 4,
            shift: Some(Shift { first_weight, keeps }),
            y: s.output(capacity, cols),
        };
        cases(&mut suite, &format!("{cols} of {first_weight}"), &[0, 17], of);
    }
    suite.report("token_shift");
}

#[test]
fn wkv() {
    let mut suite = Suite::new();
    for (count, dim) in [(1, 4), (3, 12), (2, 64), (2, 68), (1, 200)] {
        let heads = WkvHeads { count, dim };
        let width = heads.width();
        let of = |capacity, s: &mut Setup| Wkv {
            projected: s.tensor(capacity, 7 * width),
            first_values: s.tensor(capacity, width),
            weights: s.tensor(1, 8 * width),
            state: s.output_slots(heads.matrices() + 9),
            first: 5,
            heads,
            y: s.output(capacity, width),
        };
        cases(&mut suite, &format!("{heads:?}"), &[0, 17], of);
    }
    suite.report("wkv");
}

#[test]
fn delta_rule() {
    let mut suite = Suite::new();
    for (key, value, key_dim, value_dim, tiled) in
        [(1, 1, 4, 4, true), (2, 4, 8, 12, true), (3, 6, 20, 8, false), (2, 2, 128, 128, true), (1, 3, 64, 200, false)]
    {
        let heads = DeltaHeads { key, value, key_dim, value_dim, tiled };
        let of = |capacity, s: &mut Setup| {
            let decays = (0..value).map(|head| -0.1 - head as f32 * 0.7);
            let others = (0..value + value_dim).map(|i| (i % 7) as f32 * 0.3 - 0.8);
            let weights: Vec<f32> = decays.chain(others).collect();
            DeltaRule {
                qkv: s.tensor(capacity, heads.qkv()),
                gates: s.tensor(capacity, heads.qkv() + heads.values() + 2 * value + 3),
                weights: s.tensor_of(1, weights.len(), &weights),
                state: s.output_slots(heads.matrices() + 9),
                first: 5,
                heads,
                eps: 1e-6,
                y: s.output(capacity, heads.values()),
            }
        };
        cases(&mut suite, &format!("{heads:?}"), &[0, 17], of);
    }
    suite.report("delta_rule");
}

#[test]
fn selective_scan() {
    let mut suite = Suite::new();
    for (count, groups, head_dim, state_dim) in
        [(1, 1, 4, 4), (6, 2, 12, 20), (3, 3, 65, 8), (2, 1, 64, 128), (2, 2, 200, 30)]
    {
        let heads = ScanHeads { count, groups, head_dim, state_dim, columns: false };
        let of = |capacity, s: &mut Setup| {
            let decays = (0..count).map(|head| -0.1 - head as f32 * 0.7);
            let weights: Vec<f32> = decays.chain((0..2 * count).map(|i| (i % 7) as f32 * 0.3 - 0.8)).collect();
            SelectiveScan {
                xbc: s.tensor(capacity, heads.xbc()),
                gates: s.tensor(capacity, heads.projected() + 3),
                weights: s.tensor_of(1, weights.len(), &weights),
                state: s.output_slots(heads.matrices() + 9),
                first: 5,
                heads,
                y: s.output(capacity, heads.inner()),
            }
        };
        cases(&mut suite, &format!("{heads:?}"), &[0, 17], of);
    }
    suite.report("selective_scan");
}

/// Columns that fade by themselves, as in Mamba.
#[test]
fn selective_scan_of_columns() {
    let mut suite = Suite::new();
    for (count, head_dim, state_dim) in [(1, 4, 4), (3, 32, 16), (2, 12, 20), (5, 8, 128), (1, 200, 3)] {
        let heads = ScanHeads { count, groups: 1, head_dim, state_dim, columns: true };
        let of = |capacity, s: &mut Setup| {
            let decays = (0..heads.matrices()).map(|i| -0.1 - (i % 13) as f32 * 0.3);
            let weights: Vec<f32> = decays.chain((0..heads.inner()).map(|i| (i % 7) as f32 * 0.3 - 0.8)).collect();
            SelectiveScan {
                xbc: s.tensor(capacity, heads.xbc()),
                gates: s.tensor(capacity, heads.projected() + 3),
                weights: s.tensor_of(1, weights.len(), &weights),
                state: s.output_slots(heads.matrices() + 9),
                first: 5,
                heads,
                y: s.output(capacity, heads.inner()),
            }
        };
        cases(&mut suite, &format!("{heads:?}"), &[0, 17], of);
    }
    suite.report("selective_scan_of_columns");
}

/// 1 + eˣ lost the digits of a small eˣ on GPUs.
#[test]
fn a_small_time_step_keeps_its_digits() {
    let mut suite = Suite::new();
    let heads = ScanHeads { count: 4, groups: 2, head_dim: 8, state_dim: 12, columns: false };
    // of each head: its decay, a bias that leaves steps of about 1e-5, and nothing direct
    let weights = [-0.5, -11.0, 0.0].map(|weight| [weight; 4]).concat();
    suite.case("from the start", 0, &[0; 3], |s: &mut Setup| SelectiveScan {
        xbc: s.tensor(3, heads.xbc()),
        gates: s.tensor(3, heads.projected()),
        weights: s.tensor_of(1, weights.len(), &weights),
        state: s.output_slots(heads.matrices()),
        first: 0,
        heads,
        y: s.output(3, heads.inner()),
    });
    suite.report("selective_scan");
}
