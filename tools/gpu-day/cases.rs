//! What is measured: operations with the shapes of models, and with operands of their own.

use std::collections::BTreeSet;

use weft_llm::Result;
use weft_llm::cost::profiles::PROFILES;
use weft_llm::cost::synthetic::{self, Mixture};
use weft_llm::engine::trial::Trial;
use weft_llm::format::ModelReader;
use weft_llm::format::layout::Layout;
use weft_llm::inference::{CostModel, CostOptions};
use weft_llm::ops::{Attention, Command, Epilogue, Linear};
use weft_llm::record::KvFormat;

/// The most important first, should the time run out.
const MODELS: [&str; 3] = ["llama-8b", "qwen3-0.6b", "llama-3b"];

/// Rows of a decode step and of prompts.
const ROWS: [usize; 5] = [1, 8, 32, 128, 512];

/// Rows of a prompt whose attention is measured.
const ATTENDING: [usize; 3] = [1, 32, 512];

/// Where the first row stands.
const POSITIONS: [usize; 3] = [512, 4096, 32_768];

/// Rows of a matrix of a small run.
const SMALL: usize = 4096;

/// An operation, and the numbers of rows that it is measured with.
pub struct Case {
    pub model: &'static str,
    pub what: String,
    /// Layout and shape.
    pub shape: String,
    pub trial: Trial,
    /// Bytes of the weights, or of the keys and values of a position.
    unit_bytes: u64,
    /// Multiply-adds of a row, or of a row and a position.
    unit_multiply_adds: u64,
    /// Whether it is attention.
    pub attends: bool,
    /// In ascending order; the operands have room for the last.
    pub rows: Vec<usize>,
    pub position: usize,
}

impl Case {
    /// Of a matrix with these rows and columns. `rows`: none for those of the trial.
    pub fn product(
        model: &'static str,
        what: String,
        trial: Trial,
        layout: Layout,
        (outputs, cols): (usize, usize),
        rows: Vec<usize>,
    ) -> Self {
        let bytes = outputs * (layout.quants_row_bytes(cols) + layout.scales_row_bytes(cols));
        let shape = format!("{layout:?} {outputs} × {cols}");
        let (unit_bytes, unit_multiply_adds) = (bytes as u64, (outputs * cols) as u64);
        let rows = given(rows, &trial);
        Self { model, what, shape, trial, unit_bytes, unit_multiply_adds, attends: false, rows, position: 0 }
    }

    /// Of so many query heads, key heads, and values of a head, in f16.
    pub fn attention(
        model: &'static str,
        what: String,
        trial: Trial,
        (heads, kv_heads, head_dim): (usize, usize, usize),
        position: usize,
        rows: Vec<usize>,
    ) -> Self {
        let shape = format!("{heads}/{kv_heads} heads of {head_dim} at {position}");
        let unit_bytes = KvFormat::F16.bytes(2 * kv_heads * head_dim) as u64;
        let unit_multiply_adds = (2 * heads * head_dim) as u64;
        let rows = given(rows, &trial);
        Self { model, what, shape, trial, unit_bytes, unit_multiply_adds, attends: true, rows, position }
    }

    /// Bytes of weights, or of keys and values, each counted once.
    pub fn bytes(&self, rows: usize) -> u64 {
        self.unit_bytes * if self.attends { (self.position + rows) as u64 } else { 1 }
    }

    /// Multiply-adds of so many rows.
    pub fn multiply_adds(&self, rows: usize) -> u64 {
        let of = |row: usize| if self.attends { self.position + row + 1 } else { 1 };
        self.unit_multiply_adds * (0..rows).map(of).sum::<usize>() as u64
    }
}

fn given(rows: Vec<usize>, trial: &Trial) -> Vec<usize> {
    if rows.is_empty() { vec![trial.ids.len()] } else { rows }
}

/// All cases.
pub fn cases(small: bool) -> Result<Vec<Case>> {
    let (models, rows) = if small { (&MODELS[1..2], &ROWS[..2]) } else { (&MODELS[..], &ROWS[..]) };
    let mut cases = Vec::new();
    for &model in models {
        let mut seen = BTreeSet::new();
        for command in decode(model)? {
            match command {
                Command::Linear(op) => {
                    let case = product(model, op, rows, small);
                    if seen.insert((case.what.clone(), case.shape.clone())) {
                        cases.push(case);
                    }
                }
                Command::Attention(op) if seen.insert(Default::default()) => {
                    cases.extend(attention(model, &op, small));
                }
                _ => {}
            }
        }
    }
    Ok(cases)
}

/// The commands of a decode step in Q4_K_M, each alone: what is joined for one row is not for more.
fn decode(model: &str) -> Result<Vec<Command>> {
    let options = CostOptions {
        prompt: ROWS[ROWS.len() - 1],
        position: 0,
        kv_format: KvFormat::F16,
        profile: &PROFILES[0],
        max_buffer_bytes: 2 << 30,
    };
    let mut cost = CostModel::new(ModelReader::default(), options)?;
    cost.feed(&synthetic::named(model)?.header(Mixture::Q4KM))?;
    Ok(cost.recordings()?.into_iter().flatten().next().unwrap_or_default().in_parts().commands)
}

fn product(model: &'static str, mut op: Linear, rows: &[usize], small: bool) -> Case {
    let what = match &op.epilogue {
        Epilogue::Store => "projection",
        Epilogue::Accumulate { .. } => "projection and residual",
        Epilogue::Activate(_) => "gate, up and activation",
        Epilogue::Cap { .. } => "projection and bound",
    };
    let what = format!("{}{what}", if op.norm.is_some() { "norm, " } else { "" });
    if small && op.weight.rows > SMALL && matches!(op.epilogue, Epilogue::Store) {
        (op.weight.rows, op.y.cols) = (SMALL, SMALL);
    }
    set_rows(&mut op, rows[rows.len() - 1]);
    let (layout, shape) = (op.weight.layout, (op.weight.rows, op.weight.cols));
    let trial = Trial::of(&Command::Linear(op));
    Case::product(model, what, trial, layout, shape, rows.to_vec())
}

fn attention(model: &'static str, op: &Attention, small: bool) -> Vec<Case> {
    let (rows, positions) = if small { (&ATTENDING[..1], &POSITIONS[..1]) } else { (&ATTENDING[..], &POSITIONS[..]) };
    let shape = (op.heads, op.kv.heads, op.kv.head_dim);
    let case = |&position: &usize| {
        let capacity = rows[rows.len() - 1];
        let trial = Trial::attention_of(shape, capacity, position, KvFormat::F16);
        Case::attention(model, "attention".into(), trial, shape, position, rows.to_vec())
    };
    positions.iter().map(case).collect()
}

/// Sets the capacity of a product.
fn set_rows(op: &mut Linear, rows: usize) {
    (op.x.rows, op.y.rows) = (rows, rows);
}

/// The same with room for fewer rows.
pub fn with_rows(command: &Command, rows: usize) -> Command {
    let mut command = *command;
    match &mut command {
        Command::Linear(op) => set_rows(op, rows),
        Command::Attention(op) => (op.q.rows, op.y.rows) = (rows, rows),
        _ => {}
    }
    command
}
