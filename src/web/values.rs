//! How values and errors cross to JavaScript: as plain objects, whose TypeScript types tsify writes
//! into the module's `.d.ts`.

use js_sys::{Error as JsError, JSON, Reflect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_wasm_bindgen::Serializer;
use tsify::{Ts, Tsify};
use wasm_bindgen::prelude::*;

use crate::Error;
use crate::inference::encoder::{Filling, LabelScore, TokenLabel};

/// A JavaScript `Error` with the property `code`.
pub fn to_js(error: Error) -> JsValue {
    let js = JsError::new(&error.to_string());
    // setting a property of a new object cannot fail
    let _ = Reflect::set(&js, &"code".into(), &error.code().into());
    js.into()
}

/// A plain object as JSON would have it: numbers are numbers, `None` is null, maps are objects.
pub fn to_object<T: Tsify + Serialize>(value: &T) -> Result<Ts<T>, JsValue> {
    Ok(Ts::new_unchecked(value.serialize(&Serializer::json_compatible())?))
}

/// The same, with bytes as a `Uint8Array`.
pub fn to_object_with_bytes<T: Tsify + Serialize>(value: &T) -> Result<Ts<T>, JsValue> {
    let serializer = Serializer::json_compatible().serialize_bytes_as_arrays(false);
    Ok(Ts::new_unchecked(value.serialize(&serializer)?))
}

/// Reads options, by way of JSON text, which is faster here than serde-wasm-bindgen. A field that
/// is `undefined` is absent. Errors: `INVALID_OPTION`.
pub fn from_object<T: Tsify + DeserializeOwned>(options: Ts<T>) -> Result<T, JsValue> {
    let text = JSON::stringify(&options.into())?.as_string();
    from_json("options", &text.unwrap_or_else(|| "null".into()))
}

/// Reads JSON text. Errors: `INVALID_OPTION` that names `name`.
pub fn from_json<T: DeserializeOwned>(name: &str, json: &str) -> Result<T, JsValue> {
    serde_json::from_str(json).map_err(|error| {
        let (name, expected) = (name.into(), "the documented fields".into());
        to_js(Error::InvalidOption { name, expected, got: error.to_string() })
    })
}

#[wasm_bindgen(typescript_custom_section)]
const TASK: &str = "/** A task is named after its method. `infill` is `generate` with a `suffix`. */
export type Task = 'generate' | 'infill' | 'chat' | 'score' | 'embed' | 'rerank' | 'classify' | 'classifyTokens' \
| 'fillMask';";

/// All labels of a model, most likely first.
#[derive(Serialize, Tsify)]
pub struct LabelScores(pub Vec<LabelScore>);

/// The most likely label of each token of a text.
#[derive(Serialize, Tsify)]
pub struct TokenLabels(pub Vec<TokenLabel>);

/// The most likely tokens for each mask of a text, best first.
#[derive(Serialize, Tsify)]
pub struct Fillings(pub Vec<Vec<Filling>>);
