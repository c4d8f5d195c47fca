//! From what somebody typed or pasted to the bugs that it speaks of, best first.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::catalogue::book::{Catalogue, Side};
use crate::catalogue::bug::{Bug, Engine, Line};
use crate::catalogue::condition::{host, is_login};
use crate::catalogue::scan::Found;
use crate::catalogue::squeeze::{Squeezed, clean, letters};
use crate::catalogue::values::Values;

/// Longer texts are cut: whoever pastes a whole log has the line near its beginning.
pub const LONGEST_TEXT: usize = 1 << 20;

/// From this on a sentence is recognised, and plain words are not looked at.
const RECOGNISED: u8 = 70;
/// Bugs that fit this much less than the best are left out.
const FAR_BEHIND: u8 = 55;
/// A search by words below this has found nothing.
const NOTHING: f32 = 0.3;
const MOST: usize = 8;
/// How far from its sentence a frame may be, in letters: a whole address may stand between.
const FAR: usize = 4096;
const NEAR: usize = 200;

/// A bug that fits.
#[derive(Debug)]
pub struct Match<'a> {
    /// The bug.
    pub bug: &'a Bug,
    /// How well it fits, from 1 to 100.
    pub score: u8,
    /// Whose sentence it was, if one was recognised.
    pub engine: Option<Engine>,
    /// What was read from the text.
    pub values: Values,
    /// Where its sentence stands, counted in letters.
    pub(super) place: Option<Range<usize>>,
}

impl<'a> Match<'a> {
    /// A bug that nobody asked for: nothing is known about how it fits.
    #[must_use]
    pub fn unasked(bug: &'a Bug) -> Self {
        Self { bug, score: 0, engine: None, values: Values::default(), place: None }
    }

    /// Whether it is about another sentence of the text than the other match.
    #[must_use]
    pub fn is_elsewhere(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (Some(here), Some(there)) => here.end <= there.start || there.end <= here.start,
            _ => false,
        }
    }

    /// What can be said about this very case.
    #[must_use]
    pub fn said(&self) -> Vec<String> {
        self.bug.said.iter().filter_map(|sentence| self.values.fill(sentence)).collect()
    }
}

/// How well a bug fits, before bugs are compared.
struct Rank {
    score: u8,
    conditional: bool,
    weight: usize,
    engine: Option<Engine>,
    values: Values,
    place: Option<Range<usize>>,
}

impl Rank {
    /// By something else than a whole sentence.
    fn vague(score: u8) -> Self {
        let values = Values::default();
        Self { score, conditional: false, weight: 0, engine: None, values, place: None }
    }

    /// Surer first; then what fits under a condition; then the sentence that says more.
    fn key(&self) -> (u8, bool, usize) {
        (self.score, self.conditional, self.weight)
    }
}

impl Catalogue {
    /// The bugs that a text speaks of, best first: a code, lines of a console, or plain words.
    #[must_use]
    pub fn explain(&self, text: &str) -> Vec<Match<'_>> {
        let text = cut(text);
        if let Some(bug) = self.by_code(text) {
            return vec![Match { score: 100, ..Match::unasked(bug) }];
        }
        let text = clean(text);
        let mut ranks = self.sentences(&text);
        // What is only guessed comes after what is read.
        let read = ranks.values().map(|rank| rank.score).max();
        if read.is_none_or(|read| read < RECOGNISED) {
            let most = read.map_or(100, |read| read.saturating_sub(1));
            self.guess(&text, most, &mut ranks);
        }
        self.best_first(ranks)
    }

    /// A code as people write it: with blanks or in capitals, too.
    fn by_code(&self, text: &str) -> Option<&Bug> {
        let code: Vec<_> = text.split([' ', '_', '-']).filter(|part| !part.is_empty()).collect();
        self.bug(&code.join("-").trim().to_ascii_lowercase())
    }

    /// What the sentences in the text mean.
    fn sentences(&self, text: &str) -> BTreeMap<usize, Rank> {
        let found = self.scanner.scan(text, &Squeezed::of(text));
        let (faults, frames): (Vec<_>, Vec<_>) =
            found.iter().partition(|found| self.line(found.pattern).is_some());
        let mut ranks = BTreeMap::new();
        for found in faults {
            let Some((bug, line)) = self.line(found.pattern) else { continue };
            let values = self.values(text, found, &frames);
            if fits(line, &values) {
                let rank = Rank {
                    score: line.sure,
                    conditional: line.is_conditional(),
                    weight: self.scanner.pattern(found.pattern).weight,
                    engine: Some(line.engine),
                    values,
                    place: Some(found.at.clone()),
                };
                keep(&mut ranks, bug, rank);
            }
        }
        ranks
    }

    /// What the sentence says itself, then what stands around it.
    fn values(&self, text: &str, fault: &Found, frames: &[&Found]) -> Values {
        let mut values = Values::default();
        self.take(text, fault, &mut values);
        let before = frames.iter().rev().find(|frame| {
            self.side(frame.pattern) == Some(Side::Before)
                && frame.at.start < fault.at.end
                && frame.at.end + FAR >= fault.at.start
        });
        // Several frames may begin alike: the one that says "redirected from" says more.
        let beside = frames.iter().filter(|frame| match self.side(frame.pattern) {
            Some(Side::Before) => before.is_some_and(|b| b.at.end == frame.at.end),
            Some(Side::After) => {
                frame.at.end >= fault.at.start && frame.at.start <= fault.at.end + NEAR
            }
            None => false,
        });
        for frame in beside {
            self.take(text, frame, &mut values);
        }
        values
    }

    fn take(&self, text: &str, found: &Found, values: &mut Values) {
        let pieces = &self.scanner.pattern(found.pattern).pieces;
        for (place, raw) in &found.holes {
            if let Some(hole) = &pieces[*place].hole {
                values.put(&hole.name, &text[raw.clone()]);
            }
        }
    }

    /// Parts of sentences, mistyped codes and plain words.
    fn guess(&self, text: &str, most: u8, ranks: &mut BTreeMap<usize, Rank>) {
        let guesses = self.fragments(text).into_iter().chain(self.near_codes(text));
        for (bug, score) in guesses.chain(self.words(text)) {
            keep(ranks, bug, Rank::vague(score.min(most)));
        }
    }

    /// Sentences of which only a part was typed: "must not be the wildcard".
    fn fragments(&self, text: &str) -> Vec<(usize, u8)> {
        const SHORTEST: usize = 10;
        let typed = letters(text);
        if typed.len() < SHORTEST {
            return Vec::new();
        }
        let patterns = self.scanner.patterns().iter().enumerate();
        let holding = patterns.filter(|(_, pattern)| {
            typed.len() <= pattern.weight && pattern.letters().contains(&typed)
        });
        holding
            .filter_map(|(number, pattern)| {
                let (bug, line) = self.line(number).filter(|(_, line)| !line.is_conditional())?;
                // Half a sentence is nearly as good as the whole; two words are not.
                let share = typed.len() * 35 / pattern.weight;
                let score = usize::from(line.sure) * (60 + share) / 100;
                Some((bug, u8::try_from(score).unwrap_or(u8::MAX)))
            })
            .collect()
    }

    /// A code with a slip of the finger in it.
    fn near_codes(&self, text: &str) -> Vec<(usize, u8)> {
        const LONGEST: usize = 60;
        if text.len() > LONGEST {
            return Vec::new();
        }
        let typed = text.to_lowercase();
        let bugs = self.bugs().iter().enumerate();
        bugs.filter(|(_, bug)| strsim::normalized_damerau_levenshtein(&bug.id, &typed) >= 0.8)
            .map(|(at, _)| (at, RECOGNISED + 15))
            .collect()
    }

    fn words(&self, text: &str) -> Vec<(usize, u8)> {
        let scores = self.index.search(text).into_iter().enumerate();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 24 to 80"
        )]
        let percent = |score: f32| (score.min(1.0) * 80.0) as u8;
        scores
            .filter(|(_, score)| *score >= NOTHING)
            .map(|(bug, score)| (bug, percent(score)))
            .collect()
    }

    fn best_first(&self, ranks: BTreeMap<usize, Rank>) -> Vec<Match<'_>> {
        let mut ranks: Vec<_> = ranks.into_iter().collect();
        // Stable: among equals the more frequent bug comes first.
        ranks.sort_by_key(|(_, rank)| std::cmp::Reverse(rank.key()));
        let best = ranks.first().map_or(0, |(_, rank)| rank.score);
        ranks
            .into_iter()
            .filter(|(_, rank)| rank.score + FAR_BEHIND >= best)
            .take(MOST)
            .map(|(bug, rank)| Match {
                bug: &self.bugs()[bug],
                score: rank.score,
                engine: rank.engine,
                values: rank.values,
                place: rank.place,
            })
            .collect()
    }
}

/// Whether a sentence means its bug, given what was read.
fn fits(line: &Line, values: &Values) -> bool {
    let status = || values.get("status").and_then(|status| status.parse().ok());
    line.status.as_ref().is_none_or(|set| status().is_some_and(|status| set.contains(status)))
        && line
            .holds
            .iter()
            .all(|(name, holds)| values.get(name).is_some_and(|value| holds.fits(value, values)))
        && (!line.login || leads_to_login(values))
}

/// Whether the request ended at a login page, on another host than it was sent to.
fn leads_to_login(values: &Values) -> bool {
    let Some(url) = values.get("url") else { return false };
    is_login(url) && values.get("from").is_none_or(|from| host(from) != host(url))
}

fn keep(ranks: &mut BTreeMap<usize, Rank>, bug: usize, rank: Rank) {
    match ranks.get(&bug) {
        Some(known) if known.key() >= rank.key() => {}
        _ => {
            ranks.insert(bug, rank);
        }
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(LONGEST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].trim()
}
