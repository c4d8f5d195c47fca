//! `engines`: which browsers are here, which version, and how to get the rest.

use std::path::Path;
use std::process::Command;

use withcreds_harness::browser::{BrowserError, Engine};

use crate::commands::{ENVIRONMENT, OK};

pub(crate) fn main() -> u8 {
    let mut here = 0;
    for engine in Engine::ALL {
        let name = engine.id();
        match engine.check(None) {
            Ok(program) => {
                println!("{name:<9} {}  {}", version(engine, &program), program.display());
                here += 1;
            }
            Err(BrowserError::NotFound { looked_for, .. }) => {
                println!("{name:<9} missing ({looked_for}): {}", engine.how_to_get());
            }
            Err(error) => println!("{name:<9} missing: {error}"),
        }
    }
    if here == 0 { ENVIRONMENT } else { OK }
}

/// WebKitWebDriver does not tell its version; its browser does, once it runs.
fn version(engine: Engine, program: &Path) -> String {
    if engine == Engine::WebKit {
        return engine.title().to_owned();
    }
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|error| format!("{} (no version: {error})", engine.title()))
}
