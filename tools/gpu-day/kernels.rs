//! Times every candidate of the tuner at the shapes of models, over more memory than a GPU's caches
//! hold. A candidate is checked before it is timed: its first rows against the reference, and all
//! of them against the plain shader, itself checked so, since the reference takes too long for a
//! whole prompt.

use std::error::Error as StdError;
use std::time::Duration;

use serde_json::{Value, json};
use weft_llm::cost::roofs::{GPUS, Rates};
use weft_llm::engine::gpu::{GpuEngine, Times};
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::engine::trial::{Output, Trial, relative_difference};
use weft_llm::engine::{Engine, ProgramId};
use weft_llm::ops::variants::{ATTEND_MANY, ATTEND_ONE, Feature, LinearVariant, MATMUL, MATMUL_ROUNDED, MATVEC};
use weft_llm::ops::{Command, Recording, Variants};
use weft_llm::record::{Memory, Row, Step, Tensor, rows};
use weft_llm::{Error, Result};

use crate::cases::{self, Case, with_rows};
use crate::{Args, emit};

/// Bytes that a timed run reads at least.
const BYTES: u64 = 256 << 20;

/// Rows that the reference computes.
const CHECKED: usize = 2;

/// Largest difference, relative to the root mean square, as in the tuner.
const TOLERANCE: f32 = 1e-3;

/// The same where weights are rounded to f16.
const TOLERANCE_F16: f32 = 1e-2;

/// Time of a row of replays.
const ROW: Duration = Duration::from_millis(20);

/// Rows of replays; the shortest time counts.
const ROUNDS: usize = 3;

/// A program that takes longer is timed once.
const SLOW: Duration = Duration::from_millis(200);

pub async fn run(args: &Args) -> std::result::Result<(), Box<dyn StdError>> {
    let mut bench = Bench::new(GpuEngine::open().await?, args);
    for case in cases::cases(args.small)? {
        bench.run(case).await?;
    }
    Ok(())
}

/// Plain shaders over weights in this layout.
fn of_tile(tile: usize) -> Variants {
    Variants { row_tiles: Some((tile, tile)), ..Variants::PLAIN }
}

/// A candidate of a race.
struct Candidate {
    name: &'static str,
    variants: Variants,
}

/// What measures cases.
pub struct Bench {
    engine: GpuEngine,
    gpu: Option<Rates>,
    bytes: u64,
}

impl Bench {
    pub fn new(engine: GpuEngine, args: &Args) -> Self {
        let name = args.gpu.clone().unwrap_or_else(|| engine.info().description);
        let gpu = GPUS.iter().find(|(gpu, _)| name.contains(gpu)).map(|&(_, rates)| rates);
        Self { engine, gpu, bytes: if args.small { 1 } else { BYTES } }
    }

    /// Measures a case. A wrong candidate is a line of its own. Errors: those that end the engine.
    pub async fn run(&mut self, case: Case) -> std::result::Result<(), Box<dyn StdError>> {
        let expected = reference(&case).await?;
        self.engine.reset(of_tile(1))?;
        let copies = self.bytes.div_ceil(case.bytes(1));
        let mut others = Vec::new();
        for tile in self.tiles(&case) {
            self.engine.set_variants(of_tile(tile));
            let (recording, outputs) = case.trial.record(&mut self.engine)?;
            let ([first], [Output { tensor: y, cols, .. }, ..]) = (&recording.commands[..], &outputs[..]) else {
                return Err("a trial is one command with an output".into());
            };
            // in another layout the others hold other weights, which take as long
            if others.is_empty() && copies > 1 {
                others = self.others(&case, first, copies as usize - 1).await?;
            }
            let all: Vec<Command> = std::iter::once(first).chain(&others).cloned().collect();
            let initial = self.engine.read_values(y.buffer, y.rows * y.cols).await?;
            for &rows in &case.rows {
                let mut turn = Turn { case: &case, all: &all, y: *y, cols: cols.end, initial: &initial, rows };
                let mut plain = None;
                for candidate in self.candidates(&turn, tile) {
                    if let Err(error) = self.one(&mut turn, &candidate, &expected, &mut plain).await {
                        if !self.engine.recover(&error) {
                            return Err(error.into());
                        }
                        emit(&line(&turn, &candidate, json!({ "failed": error.to_string() })))?;
                    }
                }
            }
        }
        // what it holds would be held beside the next
        self.engine.reset(Variants::PLAIN)?;
        Ok(())
    }

    /// The same command with other weights, or other keys and values.
    async fn others(&mut self, case: &Case, first: &Command, count: usize) -> Result<Vec<Command>> {
        let cached = match first {
            Command::Attention(op) => {
                let values = case.trial.table().len() * op.kv.block_len();
                self.engine.read_values(op.kv.buffer, values).await?
            }
            _ => Vec::new(),
        };
        let mut others = Vec::new();
        for _ in 0..count {
            let mut other = *first;
            match &mut other {
                Command::Linear(op) => {
                    let (recording, _) = Trial::of(&with_rows(first, 1)).record(&mut self.engine)?;
                    if let [Command::Linear(own)] = &recording.commands[..] {
                        op.weight = own.weight;
                    }
                }
                Command::Attention(op) => {
                    op.kv.buffer = self.engine.create_blocks("other keys", &op.kv, case.trial.table().len())?;
                    self.engine.write_values(op.kv.buffer, 0, &cached)?;
                }
                _ => {}
            }
            self.engine.throttle().await?;
            others.push(other);
        }
        Ok(others)
    }

    /// Layouts of the weights that candidates read, the usual one first.
    fn tiles(&self, case: &Case) -> Vec<usize> {
        let mut tiles = vec![1];
        if case.rows.contains(&1) && !case.attends {
            tiles.extend(MATVEC.iter().filter(|variant| self.suits(variant)).map(|variant| variant.row_tile));
        }
        tiles.sort_unstable();
        tiles.dedup();
        tiles
    }

    fn suits(&self, variant: &LinearVariant) -> bool {
        variant.suits(self.engine.is_software(), self.engine.features())
    }

    /// The candidates of a turn for this layout; the plain one comes first.
    fn candidates(&self, turn: &Turn, tile: usize) -> Vec<Candidate> {
        let base = of_tile(tile);
        let software = self.engine.is_software();
        let (rows, mut found) = (turn.rows, Vec::new());
        let mut add = |name, variants| found.push(Candidate { name, variants });
        match &turn.all[0] {
            Command::Linear(op) => {
                let usual = tile == 1;
                for v in MATVEC.iter().filter(|v| rows == 1 && v.row_tile == tile && self.suits(v)) {
                    add(v.name, Variants { matvec_wide: v, matvec_narrow: v, ..base });
                }
                for v in MATMUL.iter().filter(|v| rows > 1 && usual && self.suits(v)) {
                    add(v.name, Variants { matmul: v, ..base });
                }
                let quantised = op.weight.layout.quantised().is_some();
                for v in MATMUL_ROUNDED.iter().filter(|v| rows > 1 && usual && quantised && self.suits(v)) {
                    add(v.name, Variants { matmul_rounded: Some(v), ..base });
                }
            }
            _ => {
                for v in ATTEND_ONE.iter().filter(|v| rows == 1 && v.suits(software)) {
                    add(v.name, Variants { attend_one: v, ..base });
                }
                for v in ATTEND_MANY.iter().filter(|v| rows > 1 && v.suits(software)) {
                    add(v.name, Variants { attend_many: v, ..base });
                }
            }
        }
        found.sort_by_key(|candidate| candidate.name != "plain");
        found
    }

    /// Checks a candidate, and times it if it is right.
    async fn one(
        &mut self,
        turn: &mut Turn<'_>,
        candidate: &Candidate,
        expected: &[f32],
        plain: &mut Option<Vec<f32>>,
    ) -> Result<()> {
        self.engine.set_variants(candidate.variants);
        let first = self.prepare(&turn.all[..1], turn.rows)?;
        self.engine.write_values(turn.y.buffer, 0, turn.initial)?;
        turn.step(|step| self.engine.run(first, step))?;
        let y = self.engine.read_values(turn.y.buffer, turn.rows * turn.y.cols).await?;
        let got: Vec<f32> = y.chunks(turn.y.cols).flat_map(|row| &row[..turn.cols]).copied().collect();
        let checked = turn.rows.min(CHECKED) * turn.cols;
        let mut error = relative_difference(&got[..checked], &expected[..checked]);
        if let Some(plain) = plain.as_ref() {
            error = error.max(relative_difference(&got, plain));
        }
        self.engine.release(first);
        let rounds_weights = candidate.variants.needs().contains(&Feature::F16);
        if error > if rounds_weights { TOLERANCE_F16 } else { TOLERANCE } {
            return say(&line(turn, candidate, json!({ "wrong": error })));
        }
        plain.get_or_insert(got);
        let program = self.prepare(turn.all, turn.rows)?;
        let (us, wall, has_clock) = self.time(turn, program).await?;
        self.engine.release(program);
        let copies = turn.all.len() as f64;
        let seconds = us / copies;
        let flops = 2.0 * turn.case.multiply_adds(turn.rows) as f64;
        let bytes = turn.case.bytes(turn.rows) as f64;
        let roof = self.gpu.map(|gpu| (bytes / gpu.bytes_per_second).max(flops / gpu.flops) / seconds);
        say(&line(
            turn,
            candidate,
            json!({
                "us": seconds * 1e6,
                "wallUs": wall / copies * 1e6,
                "clock": if has_clock { "gpu" } else { "wall" },
                "gigabytesPerSecond": bytes / seconds / 1e9,
                "gigaflops": flops / seconds / 1e9,
                "partOfRoof": roof,
                "error": error,
                "copies": copies,
            }),
        ))
    }

    fn prepare(&mut self, commands: &[Command], rows: usize) -> Result<ProgramId> {
        let commands = commands.iter().map(|command| with_rows(command, rows)).collect();
        self.engine.prepare(Recording { commands, ..Recording::default() })
    }

    /// Seconds of a replay: by the GPU's clock where it has one, and by the difference of a long
    /// row of replays and a single one.
    async fn time(&mut self, turn: &Turn<'_>, program: ProgramId) -> Result<(f64, f64, bool)> {
        // the first run includes what a driver leaves for it
        self.times(turn, program, 1).await?;
        let once = self.times(turn, program, 1).await?;
        let of = |times: &Times| times.gpu.unwrap_or(times.wall);
        if of(&once) > SLOW {
            return Ok((of(&once).as_secs_f64(), once.wall.as_secs_f64(), once.gpu.is_some()));
        }
        let replays = (ROW.as_secs_f64() / of(&once).as_secs_f64().max(1e-6)).clamp(1.0, 4096.0) as u32;
        let (mut gpu, mut wall) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..ROUNDS {
            let short = self.times(turn, program, 1).await?;
            let long = self.times(turn, program, 1 + replays).await?;
            wall = wall.min(long.wall.saturating_sub(short.wall).as_secs_f64() / f64::from(replays));
            gpu = long.gpu.map_or(gpu, |time| gpu.min(time.as_secs_f64() / f64::from(1 + replays)));
        }
        Ok((if gpu.is_finite() { gpu } else { wall }, wall, gpu.is_finite()))
    }

    async fn times(&mut self, turn: &Turn<'_>, program: ProgramId, replays: u32) -> Result<Times> {
        let rows = turn.step_rows();
        let table = turn.case.trial.table();
        self.engine.time(program, &Step::new(&rows, &[table]), replays).await
    }
}

/// A case with so many rows.
struct Turn<'a> {
    case: &'a Case,
    /// Its command, first with operands that are checked.
    all: &'a [Command],
    /// The first output, and its columns that mean something.
    y: Tensor,
    cols: usize,
    /// What `y` held before the first run.
    initial: &'a [f32],
    rows: usize,
}

impl Turn<'_> {
    fn step_rows(&self) -> Vec<Row> {
        rows(0, self.case.position, &vec![0; self.rows])
    }

    fn step<T>(&self, with: impl FnOnce(&Step) -> T) -> T {
        with(&Step::new(&self.step_rows(), &[self.case.trial.table()]))
    }
}

/// What the reference makes of the first rows.
async fn reference(case: &Case) -> Result<Vec<f32>> {
    let mut host = HostEngine::new(Reference);
    let (recording, outputs) = case.trial.record(&mut host)?;
    let capacity = case.rows.last().copied().unwrap_or(1);
    let count = capacity.min(CHECKED);
    let Output { tensor, cols, .. } = &outputs[0];
    let program = host.prepare(recording)?;
    let step_rows = rows(0, case.position, &vec![0; count]);
    host.run(program, &Step::new(&step_rows, &[case.trial.table()]))?;
    let values = host.read_values(tensor.buffer, count * tensor.cols).await?;
    Ok(values.chunks(tensor.cols).flat_map(|row| &row[cols.clone()]).copied().collect())
}

fn line(turn: &Turn, candidate: &Candidate, figures: Value) -> Value {
    let Case { model, what, shape, .. } = turn.case;
    let mut line =
        json!({ "model": model, "what": what, "shape": shape, "rows": turn.rows, "candidate": candidate.name });
    if let (Some(line), Value::Object(figures)) = (line.as_object_mut(), figures) {
        line.extend(figures);
    }
    line
}

fn say(line: &Value) -> Result<()> {
    emit(line).map_err(|error| Error::Io { what: "standard output".into(), message: error.to_string() })
}
