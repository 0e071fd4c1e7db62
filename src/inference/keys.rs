//! When the keys and values of a prefix in the KV cache may be reused for another prompt.

use crate::model::adapter::hash;

/// The content of a position. Its keys and values depend on it, on all earlier positions, and on
/// their [`Origin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// The token with this id.
    Token(u32),
    /// A row that is not a token, such as a patch of an image: a hash of its content.
    Content(u64),
}

/// The keys of a source text, which a model reads as a whole: each depends on all of it.
pub fn source_keys(ids: &[u32]) -> impl Iterator<Item = Key> {
    let text = hash(ids.iter().flat_map(|id| id.to_le_bytes()));
    (0..ids.len() as u64).map(move |position| Key::Content(text ^ position))
}

/// The keys of tokens of which the first are those of a source text.
pub fn keys_of(ids: &[u32], source: usize) -> impl Iterator<Item = Key> {
    let (source, others) = ids.split_at(source.min(ids.len()));
    source_keys(source).chain(token_keys(others))
}

/// The keys of tokens.
pub fn token_keys(ids: &[u32]) -> impl Iterator<Item = Key> {
    ids.iter().copied().map(Key::Token)
}

/// The source of keys and values. Different origins are never mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Fingerprint of the model's weights.
    pub model: u64,
    /// Fingerprint of the adapter; `None` for the model's own weights.
    pub adapter: Option<u64>,
    /// The owner that restored some of them; `None` if all were computed here. It cannot be checked
    /// whether restored values are those that the model computes, so only their owner may use them.
    pub restored: Option<u32>,
}

impl Origin {
    /// Whether `call` may use keys and values of this origin. An owner may also use those that were
    /// computed here.
    pub fn serves(&self, call: &Self) -> bool {
        let restored = self.restored.is_none() || self.restored == call.restored;
        self.model == call.model && self.adapter == call.adapter && restored
    }
}

/// Length of the common beginning of two lists of keys.
pub fn shared_prefix(a: &[Key], b: &[Key]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_the_first_key_that_differs() {
        let keys = |ids: &[u32]| token_keys(ids).collect::<Vec<_>>();
        assert_eq!(shared_prefix(&keys(&[1, 2, 3]), &keys(&[1, 2, 4, 5])), 2);
        assert_eq!(shared_prefix(&keys(&[1, 2, 3]), &keys(&[1, 2, 3, 4])), 3);
        assert_eq!(shared_prefix(&keys(&[]), &keys(&[1])), 0);
        assert_eq!(shared_prefix(&keys(&[7]), &keys(&[1])), 0);
        // two images, and a token whose id is an image's hash
        let with = |key| [Key::Token(1), key, Key::Token(2)];
        assert_eq!(shared_prefix(&with(Key::Content(5)), &with(Key::Content(5))), 3);
        assert_eq!(shared_prefix(&with(Key::Content(5)), &with(Key::Content(6))), 1);
        assert_eq!(shared_prefix(&with(Key::Content(5)), &with(Key::Token(5))), 1);
    }

    #[test]
    fn only_the_same_origin_serves() {
        let own = Origin { model: 1, adapter: None, restored: None };
        let restored = Origin { restored: Some(7), ..own };
        assert!(own.serves(&own));
        assert!(own.serves(&restored), "who restored something may use what was computed here");
        assert!(restored.serves(&restored));
        for other in [
            Origin { model: 2, ..own },
            Origin { adapter: Some(1), ..own },
            Origin { model: 2, restored: Some(7), ..own },
        ] {
            assert!(!own.serves(&other) && !other.serves(&own), "{other:?}");
        }
        assert!(!restored.serves(&own));
        assert!(!restored.serves(&Origin { restored: Some(8), ..own }));
        let adapted = Origin { adapter: Some(1), ..own };
        assert!(adapted.serves(&adapted) && !adapted.serves(&Origin { adapter: Some(2), ..own }));
    }
}
