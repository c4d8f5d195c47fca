//! The search by plain words: "logout does nothing", "works in postman".

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::catalogue::bug::Bug;

/// More words than this say nothing more.
const MOST_WORDS: usize = 80;

/// More unknown words than this are no slips of the finger.
const MOST_MISTYPED: usize = 12;

/// How much a question must tell to be answered with full confidence: one rare word does.
const ENOUGH: f32 = 2.0;

/// Words that are in every sentence.
const COMMON: &str = "a an and any are as at be been being because but by can cannot did do does for from get gets got has \
     have how i if in into is it its me my no not of on or our so some than that the their then there this to \
     us was we what when which who will with you your";

/// Which bug uses which word, and how much the word tells.
pub(super) struct Index {
    /// For each word: the bugs that use it, and how prominently.
    words: HashMap<String, Vec<(usize, f32)>>,
    bugs: usize,
}

impl Index {
    pub(super) fn new(bugs: &[Bug]) -> Self {
        let mut words: HashMap<String, HashMap<usize, f32>> = HashMap::new();
        for (at, bug) in bugs.iter().enumerate() {
            let console: Vec<_> = bug.console.iter().map(|line| line.text.as_str()).collect();
            for (text, weight) in [
                (bug.id.as_str(), 0.9),
                (&bug.title, 1.0),
                (&bug.keywords, 0.9),
                (&bug.symptom, 0.8),
                (&console.join(" "), 0.6),
                (&bug.cause, 0.5),
                (&bug.client, 0.3),
            ] {
                for word in words_of(text) {
                    let known = words.entry(word).or_default().entry(at).or_default();
                    *known = known.max(weight);
                }
            }
        }
        let words = words.into_iter().map(|(w, uses)| (w, uses.into_iter().collect())).collect();
        Self { words, bugs: bugs.len() }
    }

    /// For each bug how well it answers, from 0 to 1.
    pub(super) fn search(&self, text: &str) -> Vec<f32> {
        let mut scores = vec![0.0; self.bugs];
        let mut total = 0.0;
        let mut mistyped = 0;
        for word in words_of(text).into_iter().take(MOST_WORDS) {
            let known = self.words.get(&word).map(|uses| (uses.as_slice(), 1.0));
            let known = known.or_else(|| {
                mistyped += 1;
                (mistyped <= MOST_MISTYPED).then(|| self.meant(&word)).flatten()
            });
            let Some((uses, likeness)) = known else {
                // Nobody here speaks of it: it tells against every bug alike.
                total += self.tells(1);
                continue;
            };
            let tells = self.tells(uses.len()) * likeness;
            total += tells;
            for &(bug, weight) in uses {
                scores[bug] += tells * weight;
            }
        }
        // One word that is everywhere is matched in full, and tells nothing all the same.
        let total = f32::max(total, ENOUGH);
        for score in &mut scores {
            *score /= total;
        }
        scores
    }

    /// The uses of the word that an unknown one was probably meant to be.
    fn meant(&self, word: &str) -> Option<(&[(usize, f32)], f32)> {
        if word.len() < 5 {
            return None;
        }
        let alike = self.words.iter().filter(|(known, _)| known.len().abs_diff(word.len()) <= 2);
        let alike = alike.map(|(known, uses)| {
            (strsim::normalized_damerau_levenshtein(word, known), known, uses)
        });
        let best = alike.max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))?;
        (best.0 >= 0.8).then_some((best.2.as_slice(), 0.8))
    }

    /// How much a word tells that so many bugs use.
    #[expect(clippy::cast_precision_loss, reason = "there are far fewer than 2^23 bugs")]
    fn tells(&self, uses: usize) -> f32 {
        (1.0 + self.bugs as f32 / uses as f32).ln()
    }
}

/// The distinct words of a text in their order, without addresses, common words and endings.
fn words_of(text: &str) -> Vec<String> {
    let common: HashSet<&str> = COMMON.split_whitespace().collect();
    let mut seen = BTreeSet::new();
    text.split_whitespace()
        .map(without_address)
        .flat_map(|chunk| chunk.split(|c: char| !c.is_alphanumeric()))
        .take(MOST_WORDS * 20)
        .filter(|word| word.len() > 1)
        .map(|word| word.chars().take(40).collect::<String>().to_lowercase())
        .filter(|word| !common.contains(word.as_str()))
        .map(|word| stem(&word).to_owned())
        .filter(|word| seen.insert(word.clone()))
        .collect()
}

/// Of an address only the scheme, if it is one that tells something: `file`, `capacitor`.
fn without_address(chunk: &str) -> &str {
    match chunk.split_once("://") {
        Some((scheme, _)) if scheme.ends_with("http") || scheme.ends_with("https") => "",
        Some((scheme, _)) => scheme,
        None => chunk,
    }
}

/// A word without the ending that it has in other forms.
fn stem(word: &str) -> &str {
    let word = word.strip_suffix('s').filter(|w| w.len() > 3 && !w.ends_with('s')).unwrap_or(word);
    ["ing", "ed"]
        .iter()
        .find_map(|ending| word.strip_suffix(ending).filter(|w| w.len() > 4))
        .unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_bare() {
        assert_eq!(
            words_of("The cookies, are blocked at https://a.example/x: Set-Cookie, (file://x)!"),
            ["cookie", "block", "set", "file"]
        );
    }
}
