//! Finds all sentences of the catalogue in a text, in one pass over it.
//!
//! The time is bounded whatever is pasted: every occurrence of a piece is looked at once, and is
//! joined to one of a few earlier ones.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use aho_corasick::AhoCorasick;

use crate::catalogue::pattern::{LONGEST_VALUE, Pattern};
use crate::catalogue::squeeze::Squeezed;
use crate::catalogue::values::is_quote;

/// How many beginnings of a sentence are kept open. More than one, because a piece may be short
/// enough to occur in the very value that follows it.
const OPEN: usize = 4;
/// How often one sentence is reported from one text.
const REPEATS: usize = 32;
/// Pieces shorter than this count as whole words only: `at` is not found in `data`.
const WORD: usize = 12;
/// Marks, blanks and wide characters between the letters of a hole.
const BYTES_A_LETTER: usize = 8;
/// How many values a list at the end of a sentence may have.
const MOST_WORDS: usize = 20;

/// A sentence that was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Which one.
    pub(super) pattern: usize,
    /// Where, in letters.
    pub(super) at: Range<usize>,
    /// What stood in its holes: the place of the piece before, and where in the text.
    pub(super) holes: Vec<(usize, Range<usize>)>,
}

/// All sentences, ready to be looked for.
pub(super) struct Scanner {
    patterns: Vec<Pattern>,
    pieces: AhoCorasick,
    /// For each distinct piece: the sentences and places where it stands.
    uses: Vec<Vec<(usize, usize)>>,
}

impl Scanner {
    /// # Errors
    ///
    /// If there are more pieces than the automaton takes.
    pub(super) fn new(patterns: Vec<Pattern>) -> Result<Self, aho_corasick::BuildError> {
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut texts = Vec::new();
        let mut uses: Vec<Vec<(usize, usize)>> = Vec::new();
        for (pattern, place, piece) in patterns.iter().enumerate().flat_map(|(number, pattern)| {
            pattern.pieces.iter().enumerate().map(move |(place, piece)| (number, place, piece))
        }) {
            let number = *numbers.entry(&piece.letters).or_insert_with(|| {
                texts.push(piece.letters.as_str());
                uses.push(Vec::new());
                uses.len() - 1
            });
            uses[number].push((pattern, place));
        }
        let pieces = AhoCorasick::new(&texts)?;
        Ok(Self { patterns, pieces, uses })
    }

    pub(super) fn pattern(&self, number: usize) -> &Pattern {
        &self.patterns[number]
    }

    pub(super) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// All sentences in the text, by their ends.
    pub(super) fn scan(&self, text: &str, squeezed: &Squeezed) -> Vec<Found> {
        let mut open: HashMap<(usize, usize), VecDeque<Found>> = HashMap::new();
        let mut repeats = vec![0_usize; self.patterns.len()];
        let mut found = Vec::new();
        for hit in self.pieces.find_overlapping_iter(&squeezed.letters) {
            let at = hit.range();
            if at.len() < WORD && !stands_alone(text, squeezed, &at) {
                continue;
            }
            for &(number, place) in &self.uses[hit.pattern().as_usize()] {
                let begun = match place {
                    0 => Some(Found { pattern: number, at: at.clone(), holes: Vec::new() }),
                    _ => open.get(&(number, place - 1)).and_then(|earlier| {
                        earlier.iter().rev().find_map(|e| self.join(e, place, &at, text, squeezed))
                    }),
                };
                let Some(begun) = begun else { continue };
                if place + 1 < self.patterns[number].pieces.len() {
                    let open = open.entry((number, place)).or_default();
                    open.push_back(begun);
                    if open.len() > OPEN {
                        open.pop_front();
                    }
                } else if repeats[number] < REPEATS {
                    repeats[number] += 1;
                    found.push(self.close(begun, text, squeezed));
                }
            }
        }
        found
    }

    /// A sentence with one more piece, if what stands between may stand there.
    fn join(
        &self,
        earlier: &Found,
        place: usize,
        at: &Range<usize>,
        text: &str,
        squeezed: &Squeezed,
    ) -> Option<Found> {
        let hole = self.patterns[earlier.pattern].pieces[place - 1].hole.as_ref()?;
        let between = at.start.checked_sub(earlier.at.end)?;
        if between > hole.room() {
            return None;
        }
        let raw = squeezed.after(earlier.at.end)..squeezed.before(at.start, text.len());
        // Few letters may stand among a great deal of something else.
        if raw.len() > hole.room() * BYTES_A_LETTER || !hole.takes(&text[raw.clone()]) {
            return None;
        }
        let mut joined = earlier.clone();
        joined.at.end = at.end;
        joined.holes.push((place - 1, raw));
        Some(joined)
    }

    /// A whole sentence; a hole at its end takes what stands in quotes there, or the next word.
    fn close(&self, mut found: Found, text: &str, squeezed: &Squeezed) -> Found {
        let pieces = &self.patterns[found.pattern].pieces;
        if pieces.last().is_some_and(|piece| piece.hole.is_some()) {
            let from = squeezed.after(found.at.end);
            found.holes.push((pieces.len() - 1, from..from + value_at_start(&text[from..])));
        }
        found
    }
}

/// The length of the value at the beginning of a text: up to its second quote, or one word, or
/// several with commas between.
fn value_at_start(text: &str) -> usize {
    let start = text.find(|c: char| !c.is_whitespace() && c != ':' && c != '\\');
    let Some(start) = start else { return 0 };
    if text[start..].starts_with(is_quote) {
        let inner = text[start..].char_indices().skip(1).take(LONGEST_VALUE);
        let end = inner.skip_while(|(_, c)| !is_quote(*c)).map(|(at, c)| at + c.len_utf8()).next();
        if let Some(end) = end {
            return start + end;
        }
    }
    let mut end = start;
    for word in text[start..].split_inclusive(char::is_whitespace).take(MOST_WORDS) {
        end += word.len();
        if !word.trim_end().ends_with(',') {
            break;
        }
    }
    end
}

/// Whether no letter stands directly before or after.
fn stands_alone(text: &str, squeezed: &Squeezed, at: &Range<usize>) -> bool {
    let before = text[..squeezed.before(at.start, text.len())].chars().next_back();
    let after = text[squeezed.after(at.end)..].chars().next();
    ![before, after].into_iter().flatten().any(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan<'t>(patterns: &[&str], text: &'t str) -> Vec<(usize, Vec<&'t str>)> {
        let scanner = Scanner::new(patterns.iter().map(|p| Pattern::parse(p)).collect()).unwrap();
        let found = scanner.scan(text, &Squeezed::of(text));
        found
            .into_iter()
            .map(|f| (f.pattern, f.holes.into_iter().map(|(_, raw)| text[raw].trim()).collect()))
            .collect()
    }

    #[test]
    fn sentences_are_found_with_what_stands_in_their_holes() {
        assert_eq!(
            scan(&["Method {method} is not allowed by"], "the Method PUT is not\n allowed by x"),
            [(0, vec!["PUT"])]
        );
        assert_eq!(scan(&["Method {method} is not allowed by"], "Method is not allowed by"), []);
    }

    #[test]
    fn short_pieces_are_whole_words_and_addresses_may_hold_them() {
        let text =
            "fetch at 'https://at.example/to/at?x=data' from origin 'https://a.example' blocked";
        assert_eq!(
            scan(&["fetch at {url} from origin {origin} blocked"], text),
            [(0, vec!["'https://at.example/to/at?x=data'", "'https://a.example'"])]
        );
        assert_eq!(
            scan(
                &["from {from} to {url} blocked"],
                "from 'https://a/to/b' to 'https://b/' blocked"
            ),
            [(0, vec!["'https://a/to/b'", "'https://b/'"])]
        );
    }

    #[test]
    fn a_path_may_hold_the_piece_before_the_address() {
        for path in ["A/T/", "to/at/x", "at", "x?at=/y"] {
            let url = format!("'https://a.example/{path}'");
            let text = format!("Access to fetch at {url} from origin 'https://b.example' blocked");
            assert_eq!(
                scan(&["Access to {client} at {url} from origin {origin} blocked"], &text),
                [(0, vec!["fetch", &*url, "'https://b.example'"])]
            );
        }
    }

    #[test]
    fn a_value_may_be_the_word_before_it() {
        assert_eq!(
            scan(&["Cookie {cookie} rejected because"], "Cookie “cookie” rejected because"),
            [(0, vec!["“cookie”"])]
        );
    }

    #[test]
    fn a_hole_at_the_end_takes_a_word() {
        assert_eq!(
            scan(&["at {url}"], "at ‘https://a.example/x’. Then"),
            [(0, vec!["‘https://a.example/x’"])]
        );
        assert_eq!(scan(&["match {value}"], "match a, b c"), [(0, vec!["a, b"])]);
        assert_eq!(scan(&["match {value}"], "match ‘a, b’)."), [(0, vec!["‘a, b’"])]);
        assert_eq!(scan(&["code: {status}"], "code:"), [(0, vec![""])]);
    }

    #[test]
    fn each_occurrence_counts_up_to_a_bound() {
        assert_eq!(scan(&["blocked by client"], &"blocked by client. ".repeat(100)).len(), REPEATS);
    }
}
