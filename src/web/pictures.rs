//! Pictures in prompts.

use js_sys::Uint32Array;
use tsify::Ts;
use wasm_bindgen::prelude::*;

use super::llm::Llm;
use super::loading::Loader;
use super::values::{from_object, to_js};
use crate::Error;
use crate::format::ModelReader;
use crate::inference::inspect::InspectOptions;
use crate::inference::pictures::Content;
use crate::inference::{GenerateOptions, LoadedEncoder, Loading};
use crate::picture::{Picture, Resampler};

/// A picture whose lines come one after the other. No more of it is held than its tiles are made
/// of.
#[wasm_bindgen]
pub struct Pixels(Resampler);

#[wasm_bindgen]
impl Pixels {
    /// Takes the next lines: red, green, blue, and alpha, which is left out.
    pub fn push(&mut self, rgba: &[u8]) {
        let mut line = Vec::with_capacity(self.0.line());
        for rgba in rgba.chunks_exact(self.0.line() / 3 * 4) {
            line.clear();
            line.extend(rgba.as_chunks::<4>().0.iter().flat_map(|[red, green, blue, _]| [red, green, blue]));
            self.0.feed(&line);
        }
    }
}

/// A prompt with pictures in their places.
#[wasm_bindgen]
pub struct Placed {
    ids: Vec<u32>,
    content: Content,
}

#[wasm_bindgen]
impl Placed {
    /// Its ids, with one for each row of a picture.
    pub fn ids(&self) -> Uint32Array {
        Uint32Array::from(self.ids.as_slice())
    }
}

fn blind() -> Error {
    let (name, got) = ("image".into(), "a picture".into());
    let expected = "none, since the model was loaded without a `projector`".into();
    Error::InvalidOption { name, expected, got }
}

impl Llm {
    fn tower(&self) -> Result<&LoadedEncoder, JsValue> {
        self.tower.as_ref().ok_or_else(|| to_js(blind()))
    }
}

#[wasm_bindgen]
impl Llm {
    /// Begins to load the projector of this model, from a GGUF file (mmproj), on its engine.
    pub fn projector_loader(&mut self) -> Result<Loader, JsValue> {
        let engine = self.decoder("see")?.shared_engine();
        Ok(Loader::of(Loading::with(engine, ModelReader::of_projector(), None)))
    }

    /// To be called after the last byte of the projector.
    pub async fn finish_projector(&mut self, loader: Loader) -> Result<(), JsValue> {
        let tower =
            loader.into_inner().finish_any().await.and_then(|model| model.into_encoder("see")).map_err(to_js)?;
        self.decoder("see")?.check_tower(&tower).map_err(to_js)?;
        self.tower = Some(tower);
        Ok(())
    }

    /// A picture of this size, whose lines follow.
    pub fn pixels(&self, width: usize, height: usize) -> Result<Pixels, JsValue> {
        Picture::check_size(width, height).map_err(to_js)?;
        let sizes = self.tower()?.tower().map_err(to_js)?;
        Ok(Pixels(sizes.tiling.scale([width, height])))
    }

    /// Begins to look at a picture. Returns a handle, which ends with `place` or `stop_looking`.
    pub fn look(&mut self, Pixels(mut resampler): Pixels) -> Result<u32, JsValue> {
        let scaled = resampler.finish().ok_or_else(|| {
            let (op, expected) = ("look", "all lines of a picture".into());
            to_js(Error::Internal { op, expected, got: "fewer".into() })
        })?;
        let looking = self.tower()?.look(&scaled).map_err(to_js)?;
        self.next_picture += 1;
        self.pictures.insert(self.next_picture, (Some(looking), None));
        Ok(self.next_picture)
    }

    /// Sees one more tile of a picture. Returns whether that was the last one.
    pub async fn look_on(&mut self, picture: u32) -> Result<bool, JsValue> {
        let (Some(tower), Some((looking, seen))) = (&mut self.tower, self.pictures.get_mut(&picture)) else {
            return Err(to_js(blind()));
        };
        if let Some(begun) = looking {
            *seen = tower.look_on(begun).await.map_err(to_js)?;
            looking.take_if(|_| seen.is_some());
        }
        Ok(seen.is_some())
    }

    /// Puts pictures that were seen in the places of the image tokens of `ids`.
    pub fn place(&mut self, ids: &[u32], pictures: &[u32]) -> Result<Placed, JsValue> {
        let seen = pictures.iter().filter_map(|picture| self.pictures.remove(picture)?.1).collect::<Vec<_>>();
        let tower = self.tower.as_ref().ok_or_else(|| to_js(blind()))?;
        let decoder = self.model.decoder("see").map_err(to_js)?;
        let (ids, content) = decoder.put(ids, &seen, tower).map_err(to_js)?;
        Ok(Placed { ids, content })
    }

    /// Forgets a picture that is not needed any more.
    pub fn stop_looking(&mut self, picture: u32) {
        self.pictures.remove(&picture);
    }

    /// Starts a generation as `start` does.
    pub fn start_placed(
        &mut self,
        Placed { ids, content }: Placed,
        options: Ts<GenerateOptions>,
        entropy: f64,
        inspect: Option<Ts<InspectOptions>>,
    ) -> Result<u32, JsValue> {
        let inspect = inspect.map(from_object).transpose()?;
        let options = GenerateOptions { inspect, ..from_object(options)? };
        let decoder = self.decoder("generate")?;
        decoder.start_with(ids, content, options, entropy as u64).map(u32::from).map_err(to_js)
    }
}
