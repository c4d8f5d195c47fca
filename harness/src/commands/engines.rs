//! `engines`: which browsers are here.

use std::process::Command;

use withcreds_harness::browser::find_binary;

use crate::commands::{ENVIRONMENT, OK};

pub(crate) fn main() -> u8 {
    match find_binary(None) {
        Ok(binary) => {
            let output = Command::new(&binary).arg("--version").output();
            let version = output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
            println!("chromium  {}  {}", version.unwrap_or_default(), binary.display());
            OK
        }
        Err(error) => {
            println!("chromium  missing: {error}");
            ENVIRONMENT
        }
    }
}
