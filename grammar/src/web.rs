//! What JavaScript sees.

use js_sys::{Error as JsError, Reflect};
use wasm_bindgen::prelude::*;

use crate::{Constrained, Grammars, Options};

/// An `Error` of JavaScript with the property `code`.
fn to_js(error: anyhow::Error) -> JsValue {
    let js = JsError::new(&format!("the answer cannot be constrained: {error:#}"));
    // Setting a property of a fresh object cannot fail.
    let _ = Reflect::set(&js, &"code".into(), &"INVALID_CONSTRAINT".into());
    js.into()
}

/// A vocabulary, ready for constraints.
#[wasm_bindgen(js_name = Grammars)]
pub struct JsGrammars(Grammars);

#[wasm_bindgen(js_class = Grammars)]
impl JsGrammars {
    /// `bytes`: those of all tokens one after the other, of special ones after 0xFF; `ends`: where each token ends; `end`: the id that
    /// ends an answer.
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

    /// `constraint` as JSON: `{"jsonSchema": …}`, `{"regex": …}`, `{"lark": …}` or `{"choices":
    /// […]}`. `options` as JSON: `{"onUnsupported": …, "limits": …}`, how its schemas are read.
    pub fn constrain(&self, constraint: &str, options: Option<String>) -> Result<JsConstrained, JsValue> {
        let constraint = serde_json::from_str(constraint).map_err(|error| to_js(error.into()))?;
        let options = options.map_or(Ok(Options::default()), |options| serde_json::from_str(&options));
        let options = options.map_err(|error| to_js(error.into()))?;
        self.0.constrain(constraint, &options).map(JsConstrained).map_err(to_js)
    }
}

/// An answer under way.
#[wasm_bindgen(js_name = Constrained)]
pub struct JsConstrained(Constrained);

#[wasm_bindgen(js_class = Constrained)]
impl JsConstrained {
    /// The parts of its schemas that are not enforced, as JSON: `[{"pointer": …, "keyword": …,
    /// "reason": …}]`.
    pub fn ignored(&self) -> Result<String, JsValue> {
        serde_json::to_string(self.0.ignored()).map_err(|error| to_js(error.into()))
    }

    /// Which tokens may come next: a bit each.
    pub fn mask(&mut self) -> Result<Vec<u32>, JsValue> {
        self.0.mask().map_err(to_js)
    }

    /// Takes the token that was drawn.
    pub fn accept(&mut self, id: u32) -> Result<(), JsValue> {
        self.0.accept(id).map_err(to_js)
    }

    /// Whether the answer may end here.
    pub fn may_end(&mut self) -> bool {
        self.0.may_end()
    }

    /// Whether it must: nothing can follow.
    pub fn must_end(&self) -> bool {
        self.0.must_end()
    }
}
