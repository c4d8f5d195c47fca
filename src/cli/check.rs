//! `check`: every mistake of a configuration, and nothing started. `--print-config`: what is in force.

use super::{BAD_CONFIG, Common, Format, OK, load, report};

pub(super) fn check(common: &Common, format: Format) -> u8 {
    let result = load(common);
    let errors = result.as_ref().err().map_or(&[][..], Vec::as_slice);
    match format {
        Format::Json => println!("{}", serde_json::json!({ "errors": errors })),
        Format::Text => match &result {
            Ok(config) => {
                let (origin, cors) = (&config.server.public_origin, config.cors.summary());
                println!("the configuration is good: {origin} for {cors}");
            }
            Err(errors) => report(errors),
        },
    }
    if errors.is_empty() { OK } else { BAD_CONFIG }
}

/// `--print-config`, with any command.
pub(super) fn print(common: &Common) -> u8 {
    match load(common) {
        Ok(config) => {
            print!("{}", config.to_toml());
            OK
        }
        Err(errors) => {
            report(&errors);
            BAD_CONFIG
        }
    }
}
