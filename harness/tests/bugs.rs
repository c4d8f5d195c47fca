//! The scenario files of the catalogue against the oracle: each shows its bug, broken and mended.

use std::path::Path;

use withcreds_harness::catalogue::{Bug, Catalogue};
use withcreds_harness::oracle::{Code, Profile, predict};
use withcreds_harness::scenario::{Engine, Loaded, parse};

/// Any time will do.
const NOW_MS: i64 = 1_800_000_000_000;

fn load(file: &str) -> Loaded {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
    parse(file, &text).unwrap_or_else(|problems| panic!("{file}: {problems:?}"))
}

#[test]
fn the_oracle_predicts_what_the_files_expect() {
    let files = Catalogue::embedded().bugs().iter().filter_map(Bug::scenarios).flatten();
    for file in files {
        let Loaded { scenario, case } = load(&file);
        let shown = |e: &Engine| scenario.engines.is_empty() || scenario.engines.contains(e);
        let mut looked_at = 0;
        for engine in Engine::ALL.into_iter().filter(shown) {
            let profile = Profile::of(engine).expect("a profile");
            for (step, got) in predict(&case, profile, NOW_MS).into_iter().enumerate() {
                let Some(want) = scenario.expected(step, engine) else { continue };
                looked_at += 1;
                let differences = want.differences(&got.outcome);
                assert!(differences.is_empty(), "{file}, {}: {differences:?}", engine.id());
            }
        }
        assert!(looked_at > 0, "{file} expects nothing");
    }
}

#[test]
fn every_code_of_the_oracle_can_be_explained() {
    for code in Code::ALL.iter().filter(|code| !code.mend().is_empty()) {
        assert!(Catalogue::embedded().bug(code.id()).is_some(), "{}", code.id());
    }
}
