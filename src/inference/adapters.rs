//! Adapters of a decoder: which are loaded, and which a call uses.
//!
//! The weights of the model never change. Each choice of adapters has programs of its own, made
//! when it is first used, over the same weights, activations, keys and values. The runner has those
//! of one choice at a time, and a unit of work begins with [`Runner::select`].

use std::collections::BTreeMap;

use super::LoadedDecoder;
use super::programs::Steps;
use super::runner::Runner;
use crate::engine::Engine;
use crate::engine::trial::small;
use crate::format::AdapterReader;
use crate::format::adapter::Base;
use crate::model::adapter::hash;
use crate::model::{Adapter, AdapterLoader, Config, Decoder};
use crate::ops::Command;
use crate::record::{BufferId, Memory};
use crate::{Error, Result};

/// Choices whose programs are kept.
const KEPT: usize = 8;

/// An adapter, and how much of it.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterUse {
    /// Its name, as it was loaded.
    pub name: String,
    /// Factor of what it adds; 1 is how it was trained.
    pub scale: f32,
}

/// The adapters of a decoder.
#[derive(Default)]
pub(super) struct Adapters {
    loaded: BTreeMap<String, Loaded>,
    loading: Option<(String, AdapterLoader)>,
    /// Part of every choice.
    merged: Vec<AdapterUse>,
    /// Choices by their fingerprints, least recently used first; without the empty one.
    choices: Vec<(u64, Vec<AdapterUse>)>,
    /// The choice of what begins from now on; `None`: no adapter.
    current: Option<u64>,
    /// The choice that the runner has.
    selected: Option<u64>,
    /// Decoders and programs of the other choices.
    parked: BTreeMap<Option<u64>, (Decoder, Steps)>,
}

struct Loaded {
    adapter: Adapter,
    /// See [`LowRank::inner`](crate::model::adapter::Adapter::apply).
    inner: BufferId,
}

impl LoadedDecoder {
    /// Starts to load an adapter under a name that none has. `config`: the text of PEFT's
    /// `adapter_config.json`; `None` for a GGUF file. A load that has not ended is dropped. Errors:
    /// `InvalidOption` for a name that is taken, `InvalidAdapter`.
    pub fn begin_adapter(&mut self, name: &str, config: Option<&str>) -> Result<()> {
        self.drop_adapter();
        if name.is_empty() || self.runner.adapters.loaded.contains_key(name) {
            let expected = "a name that no loaded adapter has".into();
            return Err(Error::InvalidOption { name: "name".into(), expected, got: format!("`{name}`") });
        }
        let Config { architecture, heads, kv_heads, head_dim, .. } = self.runner.decoder.config;
        let base = Base { architecture: architecture.name, heads, kv_heads, head_dim };
        let loader = AdapterLoader::new(AdapterReader::new(config, base)?);
        self.runner.adapters.loading = Some((name.into(), loader));
        Ok(())
    }

    /// Takes the next bytes of the adapter. An error ends the load. Errors: those of
    /// [`AdapterLoader::feed`] and of the engine.
    pub async fn feed_adapter(&mut self, bytes: &[u8]) -> Result<()> {
        let Runner { engine, decoder, adapters, .. } = &mut self.runner;
        let Some((_, loader)) = &mut adapters.loading else { return Err(no_load()) };
        if let Err(error) = loader.feed(engine, decoder, bytes) {
            self.drop_adapter();
            return Err(error);
        }
        self.runner.engine.throttle().await
    }

    /// To be called after the last byte: from now on the adapter can be used. Its programs are
    /// made, so that the first answer does not wait for them. Errors: `TruncatedFile`,
    /// `InvalidAdapter`, `OutOfMemory`, and those of the engine.
    pub async fn finish_adapter(&mut self) -> Result<()> {
        let (name, loader) = self.runner.adapters.loading.take().ok_or_else(no_load)?;
        if let Err(error) = loader.check_end() {
            loader.discard(&mut self.runner.engine);
            return Err(error);
        }
        let (adapter, rows) = (loader.finish(), self.runner.programs.rows);
        let inner = match self.runner.engine.create_values("adapter", rows * adapter.rank) {
            Ok(inner) => inner,
            Err(error) => {
                adapter.free(&mut self.runner.engine);
                return Err(error);
            }
        };
        self.runner.adapters.loaded.insert(name.clone(), Loaded { adapter, inner });
        let ready = self.ready(&name).await;
        if ready.is_err() {
            self.unload_adapter(&name)?;
        }
        ready
    }

    /// Ends a load that has not ended.
    pub fn drop_adapter(&mut self) {
        if let Some((_, loader)) = self.runner.adapters.loading.take() {
            loader.discard(&mut self.runner.engine);
        }
    }

    /// Makes and checks the programs of one adapter.
    async fn ready(&mut self, name: &str) -> Result<()> {
        let uses = self.runner.adapters.with_merged(&[AdapterUse { name: name.into(), scale: 1.0 }])?;
        let Some(choice) = self.runner.adapters.choose(uses) else { return Ok(()) };
        let commands = self.runner.record(choice)?;
        let trials: Vec<Command> = commands.iter().map(small).collect();
        for command in commands.iter().chain(&trials) {
            self.runner.engine.compile(command, true)?;
        }
        self.runner.engine.compiled().await?;
        self.runner.engine.self_test(trials).await?;
        self.runner.select(Some(choice)).await
    }

    /// Frees an adapter's memory. Errors: `InvalidOption` for a name that is not loaded, and while
    /// it is merged or something under way uses it.
    pub fn unload_adapter(&mut self, name: &str) -> Result<()> {
        self.runner.adapters.check(name)?;
        let used: Vec<u64> = self.sequences().filter_map(|sequence| sequence.origin.adapter).collect();
        let adapters = &self.runner.adapters;
        let has_it = |uses: &[AdapterUse]| uses.iter().any(|used| used.name == name);
        if has_it(&adapters.merged) {
            return Err(in_use(name, "merged"));
        }
        let choices: Vec<u64> = adapters.choices.iter().filter(|(_, uses)| has_it(uses)).map(|(key, _)| *key).collect();
        if choices.iter().any(|choice| used.contains(choice)) {
            return Err(in_use(name, "used by an answer that is under way"));
        }
        choices.into_iter().for_each(|choice| self.runner.drop_choice(choice));
        let Runner { engine, adapters, .. } = &mut self.runner;
        if let Some(Loaded { adapter, inner }) = adapters.loaded.remove(name) {
            adapter.free(engine);
            engine.free(inner);
        }
        Ok(())
    }

    /// The names of the loaded adapters.
    pub fn adapters(&self) -> impl Iterator<Item = &str> {
        self.runner.adapters.loaded.keys().map(String::as_str)
    }

    /// Sets the adapters of everything that begins from now on: generations, scores, inspections,
    /// restores. Merged ones come on top. Without any, or with scales of 0, that is the model
    /// itself. Errors: `InvalidOption` for a name that is not loaded.
    pub fn use_adapters(&mut self, uses: &[AdapterUse]) -> Result<()> {
        let uses = self.runner.adapters.with_merged(uses)?;
        let choice = self.runner.adapters.choose(uses);
        self.runner.adapters.current = choice;
        // those of what is under way stay
        let used: Vec<Option<u64>> = self.sequences().map(|sequence| sequence.origin.adapter).collect();
        while self.runner.adapters.choices.len() > KEPT {
            let kept = |choice: &u64| used.contains(&Some(*choice)) || self.runner.adapters.current == Some(*choice);
            let Some(oldest) = self.runner.adapters.choices.iter().map(|(key, _)| *key).find(|key| !kept(key)) else {
                break;
            };
            self.runner.drop_choice(oldest);
        }
        Ok(())
    }

    /// Makes an adapter part of the model for everything that begins from now on, or no longer with
    /// a scale of 0. The weights stay as they are: those of a quantised model could not hold the
    /// sum, and a merge could not be undone. Errors: `InvalidOption`.
    pub fn merge_adapter(&mut self, name: &str, scale: f32) -> Result<()> {
        self.runner.adapters.check(name)?;
        let merged = &mut self.runner.adapters.merged;
        merged.retain(|merged| merged.name != name);
        if scale != 0.0 {
            merged.push(AdapterUse { name: name.into(), scale });
        }
        self.use_adapters(&[])
    }

    /// Identifies an adapter by what it adds. Errors: `InvalidOption` for a name that is not
    /// loaded.
    pub fn adapter_fingerprint(&self, name: &str) -> Result<String> {
        let adapters = &self.runner.adapters;
        adapters.check(name)?;
        Ok(adapters.loaded.get(name).map_or_else(String::new, |loaded| format!("{:016x}", loaded.adapter.fingerprint)))
    }

    /// The same of all that what begins now uses, with their scales; empty without any.
    pub fn adapters_fingerprint(&self) -> String {
        self.choice().map_or_else(String::new, |choice| format!("{choice:016x}"))
    }

    /// The choice of adapters of what begins now.
    pub(super) fn choice(&self) -> Option<u64> {
        self.runner.adapters.current
    }
}

fn in_use(name: &str, how: &str) -> Error {
    let expected = "an adapter that nothing uses".into();
    Error::InvalidOption { name: "name".into(), expected, got: format!("`{name}`, which is {how}") }
}

fn no_load() -> Error {
    Error::InvalidOption { name: "adapter".into(), expected: "a load that was begun".into(), got: "none".into() }
}

impl Adapters {
    fn check(&self, name: &str) -> Result<()> {
        if self.loaded.contains_key(name) {
            return Ok(());
        }
        let names: Vec<String> = self.loaded.keys().map(|name| format!("`{name}`")).collect();
        let expected = if names.is_empty() { "one that was loaded before".into() } else { names.join(" or ") };
        Err(Error::InvalidOption { name: "adapter".into(), expected, got: format!("`{name}`") })
    }

    /// These adapters and the merged ones: each once, in one order, none with a scale of 0.
    fn with_merged(&self, uses: &[AdapterUse]) -> Result<Vec<AdapterUse>> {
        let mut scales: BTreeMap<&str, f32> = BTreeMap::new();
        for AdapterUse { name, scale } in self.merged.iter().chain(uses) {
            self.check(name)?;
            if !scale.is_finite() {
                let (expected, got) = ("a finite number".into(), scale.to_string());
                return Err(Error::InvalidOption { name: "adapter.scale".into(), expected, got });
            }
            *scales.entry(name).or_default() += scale;
        }
        let uses = scales.into_iter().filter(|(_, scale)| *scale != 0.0);
        Ok(uses.map(|(name, scale)| AdapterUse { name: name.into(), scale }).collect())
    }

    /// The fingerprint of a choice, which is now the most recently used one.
    fn choose(&mut self, uses: Vec<AdapterUse>) -> Option<u64> {
        let of = |used: &AdapterUse| {
            let fingerprint = self.loaded.get(&used.name).map_or(0, |loaded| loaded.adapter.fingerprint);
            hash(fingerprint.to_le_bytes().into_iter().chain(used.scale.to_le_bytes()).chain(used.name.bytes()))
        };
        // the order does not count
        let key = uses.iter().map(of).reduce(|a, b| a.wrapping_add(b))?;
        self.choices.retain(|(other, _)| *other != key);
        self.choices.push((key, uses));
        Some(key)
    }
}

impl Runner {
    /// Makes the programs of a choice of adapters those that run: to be called before each unit of
    /// work. Errors: `OutOfMemory`, and those of the engine.
    pub async fn select(&mut self, choice: Option<u64>) -> Result<()> {
        if self.adapters.selected == choice {
            return Ok(());
        }
        if let Some(key) = choice.filter(|_| !self.adapters.parked.contains_key(&choice)) {
            self.with_room(|runner| runner.make(key)).await?;
        }
        self.switch(choice)
    }

    fn switch(&mut self, choice: Option<u64>) -> Result<()> {
        let Some((decoder, steps)) = self.adapters.parked.remove(&choice) else { return Err(unknown(choice)) };
        let decoder = std::mem::replace(&mut self.decoder, decoder);
        let steps = std::mem::replace(&mut self.programs.steps, steps);
        let before = std::mem::replace(&mut self.adapters.selected, choice);
        self.adapters.parked.insert(before, (decoder, steps));
        Ok(())
    }

    /// The decoder with a choice of adapters.
    fn adapted(&self, choice: u64) -> Result<Decoder> {
        let mut decoder = match self.adapters.parked.get(&None) {
            Some((decoder, _)) => decoder.clone(),
            None => self.decoder.clone(),
        };
        let found = self.adapters.choices.iter().find(|(key, _)| *key == choice);
        for AdapterUse { name, scale } in &found.ok_or_else(|| unknown(Some(choice)))?.1 {
            let Loaded { adapter, inner } = self.adapters.loaded.get(name).ok_or_else(|| unknown(Some(choice)))?;
            adapter.apply(&mut decoder, *scale, *inner);
        }
        Ok(decoder)
    }

    fn make(&mut self, choice: u64) -> Result<()> {
        let decoder = self.adapted(choice)?;
        let activations = self.widened(&decoder)?;
        let steps = self.programs.record_steps(&decoder, activations)?.prepare(&mut self.engine)?;
        self.adapters.parked.insert(Some(choice), (decoder, steps));
        Ok(())
    }

    /// All commands of a choice.
    fn record(&mut self, choice: u64) -> Result<Vec<Command>> {
        let decoder = self.adapted(choice)?;
        let activations = self.widened(&decoder)?;
        let steps = self.programs.record_steps(&decoder, activations)?;
        Ok(steps.recordings().flat_map(|recording| recording.commands.clone()).collect())
    }

    /// Activations that suit a decoder with adapters, which all choices share.
    fn widened(&mut self, decoder: &Decoder) -> Result<crate::model::decoder::Activations> {
        let wide = self.programs.later.wide.take().unwrap_or_else(|| self.programs.steps.activations.clone());
        let widened = wide.widened(&mut self.engine, decoder);
        self.programs.later.wide = Some(widened.as_ref().map_or(wide, Clone::clone));
        widened
    }

    /// Gives back the programs of a choice.
    fn drop_choice(&mut self, choice: u64) {
        if self.adapters.selected == Some(choice) {
            // the model's own are always there
            drop(self.switch(None));
        }
        if let Some((_, steps)) = self.adapters.parked.remove(&Some(choice)) {
            steps.release(&mut self.engine);
        }
        self.adapters.choices.retain(|(key, _)| *key != choice);
        if self.adapters.current == Some(choice) {
            self.adapters.current = None;
        }
    }

    /// `Internal` unless the programs that run are those of a sequence's adapters.
    pub fn check_selected(&self, origin: &super::keys::Origin) -> Result<()> {
        if origin.adapter == self.adapters.selected { Ok(()) } else { Err(unknown(origin.adapter)) }
    }
}

fn unknown(choice: Option<u64>) -> Error {
    let (expected, got) = ("adapters that were selected".into(), format!("{choice:?}"));
    Error::Internal { op: "adapters", expected, got }
}
