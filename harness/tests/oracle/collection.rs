//! Every scenario file meets its own expectations, in every engine that it is about.

use std::fs;
use std::path::{Path, PathBuf};

use withcreds_harness::oracle::Profile;
use withcreds_harness::results::predictions;
use withcreds_harness::scenario::{Engine, Loaded, parse};
use withcreds_harness::verdict::Verdict;

use crate::support::NOW_MS;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()) {
        if entry.is_dir() {
            all.extend(files(&entry));
        } else {
            all.push(entry);
        }
    }
    all.sort();
    all
}

fn collection() -> Vec<(PathBuf, Loaded)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a text");
        let loaded = parse(&path.display().to_string(), &text)
            .unwrap_or_else(|problems| panic!("{problems:#?}"));
        (path, loaded)
    };
    files(&folder).into_iter().map(read).collect()
}

#[test]
fn predictions_meet_expectations() {
    let profiles: Vec<_> =
        Engine::ALL.into_iter().map(|engine| Profile::of(engine).expect("a profile")).collect();
    let scenarios: Vec<_> = collection().into_iter().map(|(_, loaded)| loaded).collect();
    let document = predictions(&scenarios, &profiles, NOW_MS);
    let wrong: Vec<_> = document
        .results
        .iter()
        .filter(|result| !matches!(result.verdict, Verdict::Pass | Verdict::Skipped))
        .map(|r| (r.scenario.as_str(), r.engine, r.step, r.verdict, &r.differences))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_collection_is_in_order() {
    let all = collection();
    let mut ids = Vec::new();
    for (path, loaded) in &all {
        let scenario = &loaded.scenario;
        let stem = path.file_stem().and_then(|s| s.to_str()).expect("a name");
        assert_eq!(scenario.id, stem, "{}", path.display());
        assert!(scenario.title.len() > 20, "{}: what does it teach?", path.display());
        let expects = scenario.steps.iter().any(|step| step.expect.is_some());
        assert!(expects, "{} expects nothing", path.display());
        ids.push(scenario.id.as_str());
    }
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id is here twice");
    for tag in ["same-origin", "same-site", "cross-site"] {
        assert!(all.iter().any(|(_, l)| l.scenario.tags.iter().any(|t| t == tag)), "{tag}");
    }
}
