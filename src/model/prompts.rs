//! What a model for embeddings was trained to read before a text, by the task of the vector.

use std::collections::BTreeMap;

use crate::format::hugging_face::SENTENCE_TRANSFORMERS;
use crate::format::metadata::Metadata;
use crate::{Error, Result};

/// The prompts of `config_sentence_transformers.json` by name; none if the model has no such file.
/// Errors: `InvalidModel` naming the file.
pub fn prompts(metadata: &Metadata) -> Result<BTreeMap<String, String>> {
    let Some(text) = metadata.opt_str(SENTENCE_TRANSFORMERS)? else { return Ok(BTreeMap::new()) };
    let invalid = |what: &str, expected: &str, got: String| Error::InvalidModel {
        what: format!("config_sentence_transformers.json{what}"),
        expected: expected.into(),
        got,
    };
    let json: serde_json::Value = serde_json::from_str(text).map_err(|error| invalid("", "JSON", error.to_string()))?;
    let Some(prompts) = json.get("prompts").filter(|prompts| !prompts.is_null()) else { return Ok(BTreeMap::new()) };
    serde_json::from_value(prompts.clone())
        .map_err(|_| invalid(": `prompts`", "an object of strings", prompts.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_have_names_and_are_texts() {
        let read = |text: &str| {
            let mut metadata = Metadata::default();
            metadata.insert(SENTENCE_TRANSFORMERS, text);
            prompts(&metadata).map_err(|error| error.to_string())
        };
        let found = read(r#"{"prompts": {"query": "query: ", "passage": ""}}"#).unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [("passage", ""), ("query", "query: ")].map(owned));
        assert_eq!(read(r#"{"prompts": null}"#), Ok(BTreeMap::new()));
        assert_eq!(prompts(&Metadata::default()).unwrap(), BTreeMap::new());
        assert!(read("{").unwrap_err().contains("config_sentence_transformers.json: expected JSON"));
        assert!(read(r#"{"prompts": {"query": 1}}"#).unwrap_err().contains("`prompts`: expected an object of strings"));
    }

    fn owned((name, text): (&str, &str)) -> (String, String) {
        (name.into(), text.into())
    }
}
