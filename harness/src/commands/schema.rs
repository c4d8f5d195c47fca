//! `schema`: the JSON Schema of scenario files.

use withcreds_harness::scenario::schema;

use crate::commands::predict::print;
use crate::commands::{ENVIRONMENT, OK};

pub(crate) const EXAMPLES: &str = "Examples:
  withcreds-harness schema > scenario.schema.json

In an editor with TOML support, the first line of a scenario file then is:
  #:schema ./scenario.schema.json";

pub(crate) fn main() -> u8 {
    let text = serde_json::to_string_pretty(schema()).unwrap_or_default();
    if print(&text) { OK } else { ENVIRONMENT }
}
