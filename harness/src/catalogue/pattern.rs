//! A console's sentence with holes, as pieces of letters with something to read between them.

use crate::catalogue::squeeze::letters;
use crate::catalogue::values::{is_address, is_wrapping};

/// An address may be long; what else stands in a sentence is short.
const LONGEST_ADDRESS: usize = 4096;
pub(super) const LONGEST_VALUE: usize = 400;

/// `Method {method} is not allowed …`: `method`, a hole, `isnotallowed…`.
#[derive(Debug)]
pub(super) struct Pattern {
    /// The first is at the beginning and never empty.
    pub(super) pieces: Vec<Piece>,
    /// How many letters it fixes: a longer sentence says more.
    pub(super) weight: usize,
}

/// Letters that must be there, and what follows them.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) letters: String,
    /// What stands between this piece and the next, or after the last.
    pub(super) hole: Option<Hole>,
}

/// A place where sentences differ.
#[derive(Debug)]
pub(super) struct Hole {
    pub(super) name: String,
    need: Need,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// `{name}`: something must stand there.
    Something,
    /// `{name?}`: anything, or nothing.
    Anything,
    /// `{none}`: nothing may stand there.
    Nothing,
    /// `{url}` and the like: an address.
    Address,
    /// `{client}`: a word or two, and no part of an address. Its sentence goes on with a mere `at`,
    /// which may stand in a path as well.
    Words,
}

impl Hole {
    fn parse(text: &str) -> Self {
        let name = text.trim_end_matches('?');
        let need = match name {
            _ if name.len() < text.len() => Need::Anything,
            "none" => Need::Nothing,
            "url" | "from" | "page" => Need::Address,
            "client" => Need::Words,
            _ => Need::Something,
        };
        Self { name: name.to_owned(), need }
    }

    /// How many letters may stand here.
    pub(super) fn room(&self) -> usize {
        match self.need {
            Need::Address | Need::Anything => LONGEST_ADDRESS,
            Need::Something | Need::Nothing | Need::Words => LONGEST_VALUE,
        }
    }

    /// Whether the text between the pieces may stand here.
    pub(super) fn takes(&self, raw: &str) -> bool {
        match self.need {
            Need::Anything => true,
            Need::Something => !raw.chars().all(is_nothing),
            Need::Nothing => raw.chars().all(is_nothing),
            Need::Address => is_address(raw),
            Need::Words => !raw.contains('/') && !raw.chars().all(is_nothing),
        }
    }
}

/// What may stand around an empty value: its quotes, and the end of the sentence.
fn is_nothing(c: char) -> bool {
    is_wrapping(c) || ".,;:".contains(c)
}

impl Pattern {
    /// Reads a sentence of the catalogue.
    pub(super) fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((fixed, after)) = rest.split_once('{') {
            let (hole, after) = after.split_once('}').unwrap_or((after, ""));
            pieces.push(Piece { letters: letters(fixed), hole: Some(Hole::parse(hole)) });
            rest = after;
        }
        let last = letters(rest);
        if !last.is_empty() {
            pieces.push(Piece { letters: last, hole: None });
        }
        let weight = pieces.iter().map(|piece| piece.letters.len()).sum();
        Self { pieces, weight }
    }

    /// All letters it fixes, in one.
    pub(super) fn letters(&self) -> String {
        self.pieces.iter().map(|piece| piece.letters.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_cut_at_its_holes() {
        let pattern = Pattern::parse("Method {method} is not allowed at {url}.");
        let pieces: Vec<_> = pattern
            .pieces
            .iter()
            .map(|p| (p.letters.as_str(), p.hole.as_ref().map(|h| h.name.as_str())))
            .collect();
        assert_eq!(pieces, [("method", Some("method")), ("isnotallowedat", Some("url"))]);
        assert_eq!(pattern.weight, 20);
    }

    #[test]
    fn holes_know_what_they_take() {
        for (hole, raw, want) in [
            ("value", " '*' ", true),
            ("value", " '' ", false),
            ("value?", " '' ", true),
            ("none", " '' ", true),
            ("none", " ''. ", true),
            ("none", " 'True' ", false),
            ("url", " 'https://a.example/x' ", true),
            ("url", " fetch ", false),
            ("client", " internal resource ", true),
            ("client", " ", false),
            ("client", " fetch at 'https://a.example/", false),
        ] {
            assert_eq!(Hole::parse(hole).takes(raw), want, "{hole} {raw}");
        }
    }
}
