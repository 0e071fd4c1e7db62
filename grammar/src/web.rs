//! The JavaScript interface.

use anyhow::Context as _;
use js_sys::{Error as JsError, JSON, Reflect};
use tsify::{Ts, Tsify};
use wasm_bindgen::prelude::*;

use crate::schema::Ignored;
use crate::{Constrained, Grammars, Options};

/// A JavaScript `Error` with the property `code`.
fn to_js(error: anyhow::Error) -> JsValue {
    let js = JsError::new(&format!("the answer cannot be constrained: {error:#}"));
    // setting a property of a new object cannot fail
    let _ = Reflect::set(&js, &"code".into(), &"INVALID_CONSTRAINT".into());
    js.into()
}

/// Reads options, by way of JSON text: serde_json sees unknown fields, where serde-wasm-bindgen
/// looks only for those that the struct has.
fn read_options(options: Ts<Options>) -> anyhow::Result<Options> {
    let text = JSON::stringify(&options.into()).ok().and_then(|text| text.as_string());
    Ok(serde_json::from_str(&text.context("the options are not JSON")?)?)
}

/// A vocabulary, prepared for constraints.
#[wasm_bindgen(js_name = Grammars)]
pub struct JsGrammars(Grammars);

#[wasm_bindgen(js_class = Grammars)]
impl JsGrammars {
    /// `bytes`: the bytes of all tokens, concatenated; special tokens begin with 0xFF. `ends`: the
    /// end of each token. `end`: the id that ends an answer.
    #[wasm_bindgen(constructor)]
    pub fn new(bytes: &[u8], ends: &[u32], end: u32) -> Result<JsGrammars, JsValue> {
        let starts = [0].iter().chain(ends);
        let tokens: Option<Vec<Vec<u8>>> = starts
            .zip(ends)
            .map(|(&start, &end)| bytes.get(start as usize..end as usize).map(<[u8]>::to_vec))
            .collect();
        let tokens = tokens.ok_or_else(|| to_js(anyhow::anyhow!("the ends do not fit the bytes")))?;
        Grammars::new(&tokens, end).map(Self).map_err(to_js)
    }

    /// `constraint` as JSON text: `{"jsonSchema": …}`, `{"regex": …}`, `{"lark": …}` or
    /// `{"choices": […]}`. `options`: how its schemas are read.
    pub fn constrain(&self, constraint: &str, options: Option<Ts<Options>>) -> Result<JsConstrained, JsValue> {
        let constraint = serde_json::from_str(constraint).map_err(|error| to_js(error.into()))?;
        let options = options.map_or(Ok(Options::default()), read_options).map_err(to_js)?;
        self.0.constrain(constraint, &options).map(JsConstrained).map_err(to_js)
    }
}

/// A constrained answer in progress.
#[wasm_bindgen(js_name = Constrained)]
pub struct JsConstrained(Constrained);

#[wasm_bindgen(js_class = Constrained)]
impl JsConstrained {
    /// The parts of schemas that are not enforced.
    pub fn ignored(&self) -> Result<Vec<Ts<Ignored>>, JsValue> {
        self.0.ignored().iter().map(|part| Ok(Ts::new_unchecked(part.into_js()?.into()))).collect()
    }

    /// The tokens that may come next: one bit each.
    pub fn mask(&mut self) -> Result<Vec<u32>, JsValue> {
        self.0.mask().map_err(to_js)
    }

    /// The text that must come next; empty where there is a choice.
    pub fn forced(&mut self) -> String {
        self.0.forced()
    }

    /// Takes a drawn token.
    pub fn accept(&mut self, id: u32) -> Result<(), JsValue> {
        self.0.accept(id).map_err(to_js)
    }

    /// Whether the answer may end here.
    pub fn may_end(&mut self) -> bool {
        self.0.may_end()
    }

    /// Whether the answer must end, since nothing can follow.
    pub fn must_end(&self) -> bool {
        self.0.must_end()
    }
}
