//! Text that knows for each byte whether the template wrote it or was given it.

use std::ops::Range;
use std::rc::Rc;

/// A text with the origin of each byte. Slices, joins and filters keep origins, so that text a user
/// typed stays distinguishable from the template's own.
#[derive(Debug, Clone)]
pub struct Text {
    text: Rc<str>,
    origin: Origin,
}

#[derive(Debug, Clone)]
enum Origin {
    Template,
    Given,
    /// Runs of either origin, in order; the last ends with the text.
    Mixed(Rc<[Run]>),
}

/// A stretch of text with one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    end: usize,
    given: bool,
}

impl Text {
    /// Text that the template wrote.
    pub fn template(text: &str) -> Self {
        Self { text: text.into(), origin: Origin::Template }
    }

    /// Text that the template was given.
    pub fn given(text: &str) -> Self {
        Self { text: text.into(), origin: Origin::Given }
    }

    /// The plain text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Size in memory in bytes, including origins.
    pub(super) fn size(&self) -> usize {
        match &self.origin {
            Origin::Mixed(runs) => self.len() + size_of_val(&**runs),
            _ => self.len(),
        }
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The runs of one origin each, in order: range of bytes, and whether they were given to the
    /// template.
    pub fn runs(&self) -> impl Iterator<Item = (Range<usize>, bool)> {
        let single = match &self.origin {
            Origin::Mixed(_) => None,
            origin => Some(Run { end: self.len(), given: matches!(origin, Origin::Given) }),
        };
        let mixed = match &self.origin {
            Origin::Mixed(runs) => &runs[..],
            _ => &[],
        };
        let mut start = 0;
        single.into_iter().chain(mixed.iter().copied()).map(move |run| {
            let range = start..run.end;
            start = run.end;
            (range, run.given)
        })
    }

    /// The bytes of `range`, which must lie on character boundaries.
    pub(super) fn slice(&self, range: Range<usize>) -> Self {
        match self.origin {
            _ if range == (0..self.len()) => self.clone(),
            Origin::Template => Self::template(&self.text[range]),
            Origin::Given => Self::given(&self.text[range]),
            Origin::Mixed(_) => {
                let mut slice = TextBuilder::default();
                slice.push_slice(self, range);
                slice.finish()
            }
        }
    }

    /// Each character, and whether it was given.
    pub(super) fn chars(&self) -> impl Iterator<Item = (char, bool)> {
        self.runs().flat_map(|(range, given)| self.text[range].chars().map(move |c| (c, given)))
    }

    /// Applies `change` to each run of one origin.
    pub(super) fn map(&self, mut change: impl FnMut(&str) -> String) -> Self {
        let mut changed = TextBuilder::default();
        for (range, given) in self.runs() {
            changed.push_str(&change(&self.text[range]), given);
        }
        changed.finish()
    }
}

impl FromIterator<Text> for Text {
    fn from_iter<I: IntoIterator<Item = Self>>(texts: I) -> Self {
        let mut all = TextBuilder::default();
        texts.into_iter().for_each(|text| all.push(&text));
        all.finish()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::template(text)
    }
}

/// Builds a text from pieces.
#[derive(Debug, Default)]
pub(super) struct TextBuilder {
    text: String,
    runs: Vec<Run>,
}

impl TextBuilder {
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    pub(super) fn push_str(&mut self, text: &str, given: bool) {
        if text.is_empty() {
            return;
        }
        self.text.push_str(text);
        let end = self.text.len();
        match self.runs.last_mut() {
            Some(last) if last.given == given => last.end = end,
            _ => self.runs.push(Run { end, given }),
        }
    }

    pub(super) fn push_char(&mut self, c: char, given: bool) {
        self.push_str(c.encode_utf8(&mut [0; 4]), given);
    }

    pub(super) fn push(&mut self, text: &Text) {
        self.push_slice(text, 0..text.len());
    }

    pub(super) fn push_slice(&mut self, text: &Text, range: Range<usize>) {
        match &text.origin {
            Origin::Template => self.push_str(&text.text[range], false),
            Origin::Given => self.push_str(&text.text[range], true),
            Origin::Mixed(runs) => {
                let first = runs.partition_point(|run| run.end <= range.start);
                let mut start = range.start;
                for run in &runs[first..] {
                    let end = run.end.min(range.end);
                    if start >= end {
                        break;
                    }
                    self.push_str(&text.text[start..end], run.given);
                    start = end;
                }
            }
        }
    }

    pub(super) fn finish(self) -> Text {
        let origin = match self.runs.as_slice() {
            [] | [Run { given: false, .. }] => Origin::Template,
            [Run { given: true, .. }] => Origin::Given,
            _ => Origin::Mixed(self.runs.into()),
        };
        Text { text: self.text.into(), origin }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed() -> Text {
        let mut text = TextBuilder::default();
        text.push(&Text::template("ab"));
        text.push(&Text::given("é"));
        text.push(&Text::given(""));
        text.push(&Text::template("cd"));
        text.finish()
    }

    #[test]
    fn slices_keep_the_origin_of_each_byte() {
        let runs =
            |text: &Text| text.runs().map(|(range, given)| (text.text[range].to_owned(), given)).collect::<Vec<_>>();
        let own = |text: &str, given| (text.to_owned(), given);
        assert_eq!(runs(&mixed()), [own("ab", false), own("é", true), own("cd", false)]);
        assert_eq!(runs(&mixed().slice(1..5)), [own("b", false), own("é", true), own("c", false)]);
        assert_eq!(runs(&mixed().slice(2..4)), [own("é", true)]);
        assert_eq!(runs(&mixed().slice(4..4)), [own("", false)]);
        assert_eq!(runs(&mixed().map(str::to_uppercase)), [own("AB", false), own("É", true), own("CD", false)]);
        assert_eq!(mixed().chars().filter(|(_, given)| *given).count(), 1);
    }
}
