//! Where scenarios come from: files, folders, and the collection inside the binary.

use std::fs;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use withcreds_harness::scenario::{Loaded, Policy, Problem, parse};

/// `harness/scenarios`, as it was when this was built.
static COLLECTION: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scenarios");

/// A scenario and where it was found.
pub(crate) struct Found {
    pub(crate) file: String,
    pub(crate) loaded: Loaded,
}

/// Why scenarios could not be had.
pub(crate) enum Bad {
    /// Mistakes in files.
    Problems(Vec<Problem>),
    /// No such file.
    Missing(String),
}

/// The scenarios of the collection, by path.
pub(crate) fn collection() -> Result<Vec<Found>, Bad> {
    let mut texts = Vec::new();
    gather(&COLLECTION, &mut texts);
    texts.sort();
    read_all(texts)
}

fn gather(folder: &Dir<'_>, texts: &mut Vec<(String, String)>) {
    for file in folder.files() {
        let path = file.path().to_string_lossy();
        if let (true, Some(text)) = (is_scenario(file.path()), file.contents_utf8()) {
            texts.push((path.into_owned(), text.to_owned()));
        }
    }
    folder.dirs().for_each(|inner| gather(inner, texts));
}

/// Files, folders with everything below them, and ids of the collection.
pub(crate) fn find(names: &[PathBuf]) -> Result<Vec<Found>, Bad> {
    let mut found = Vec::new();
    let mut texts = Vec::new();
    for name in names {
        if name.exists() {
            let mut paths = Vec::new();
            walk(name, true, &mut paths).map_err(|reason| missing(name, &reason))?;
            for path in paths {
                let text = fs::read_to_string(&path)
                    .map_err(|error| missing(&path, &error.to_string()))?;
                texts.push((path.display().to_string(), text));
            }
        } else {
            let id = name.to_string_lossy();
            let known = collection()?.into_iter().find(|f| f.loaded.scenario.id == id);
            let reason =
                "no such file, and no scenario of that id; `list` shows those that there are";
            found.push(known.ok_or_else(|| missing(name, reason))?);
        }
    }
    found.extend(read_all(texts)?);
    if found.is_empty() {
        let names: Vec<_> = names.iter().map(|name| name.display().to_string()).collect();
        return Err(Bad::Missing(format!("{}: no .toml or .json file in it", names.join(", "))));
    }
    Ok(found)
}

fn missing(name: &Path, reason: &str) -> Bad {
    Bad::Missing(format!("{}: {reason}", name.display()))
}

fn is_scenario(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("toml") || e.eq_ignore_ascii_case("json"))
}

fn walk(path: &Path, named: bool, paths: &mut Vec<PathBuf>) -> Result<(), String> {
    if !path.is_dir() {
        if named || is_scenario(path) {
            paths.push(path.to_owned());
        }
        return Ok(());
    }
    let entries = fs::read_dir(path).map_err(|error| error.to_string())?;
    let mut entries: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries.iter().try_for_each(|entry| walk(entry, false, paths))
}

fn read_all(texts: Vec<(String, String)>) -> Result<Vec<Found>, Bad> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for (file, text) in texts {
        match parse(&file, &text) {
            Ok(mut loaded) => {
                configure(&file, &mut loaded)?;
                found.push(Found { file, loaded });
            }
            Err(wrong) => problems.extend(wrong),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(Bad::Problems(problems)) }
}

/// Reads the service's configuration files that a scenario names, relative to itself.
fn configure(file: &str, loaded: &mut Loaded) -> Result<(), Bad> {
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    loaded.case.configure(|name, backend| {
        let path = folder.join(name);
        let text = fs::read_to_string(&path).map_err(|e| missing(&path, &e.to_string()))?;
        Policy::read(&text, backend).map_err(|e| missing(&path, &e.to_string()))
    })
}

/// Says what is wrong, for people or for programs.
pub(crate) fn complain(bad: &Bad, json: bool) -> u8 {
    match bad {
        Bad::Missing(reason) => eprintln!("error: {reason}"),
        Bad::Problems(problems) => {
            if json {
                println!("{}", serde_json::json!({ "schema": 1, "problems": problems }));
            }
            for problem in problems {
                eprintln!("error: {problem}");
            }
            let plural = if problems.len() == 1 { "" } else { "s" };
            eprintln!("{} mistake{plural}; `schema` prints the format", problems.len());
        }
    }
    crate::commands::USAGE
}
