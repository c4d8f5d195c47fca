//! Which browser on which system: enough for a user to know a session of theirs in a list, and
//! two bytes of memory.

use std::fmt;

/// Browser and system, as far as `User-Agent` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Agent {
    browser: u8,
    system: u8,
}

/// Browsers name those they descend from, so the first name that is found wins.
const BROWSERS: [(&str, &str); 9] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
];

const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];

/// Longer ones are looked at no further.
const MAX_BYTES: usize = 512;

impl Agent {
    /// Reads the header's value; anything may stand in there.
    #[must_use]
    pub fn from_header(value: &[u8]) -> Self {
        let value = &value[..value.len().min(MAX_BYTES)];
        Self { browser: position(&BROWSERS, value), system: position(&SYSTEMS, value) }
    }

    /// The two bytes, for stores.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 2] {
        [self.browser, self.system]
    }

    /// Back from the two bytes; what this version does not know is unknown.
    #[must_use]
    pub fn from_bytes([browser, system]: [u8; 2]) -> Self {
        let known = |n: u8, names: &[_]| if usize::from(n) <= names.len() { n } else { 0 };
        Self { browser: known(browser, &BROWSERS), system: known(system, &SYSTEMS) }
    }
}

/// Place in the list, from 1; 0 if it is not there.
fn position(names: &[(&str, &str)], value: &[u8]) -> u8 {
    let found = names.iter().position(|(part, _)| contains(value, part.as_bytes()));
    found.and_then(|n| u8::try_from(n + 1).ok()).unwrap_or(0)
}

fn contains(value: &[u8], part: &[u8]) -> bool {
    value.windows(part.len()).any(|window| window == part)
}

fn name<'n>(names: &[(&str, &'n str)], n: u8) -> Option<&'n str> {
    usize::from(n).checked_sub(1).and_then(|n| names.get(n)).map(|(_, name)| *name)
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (name(&BROWSERS, self.browser), name(&SYSTEMS, self.system)) {
            (Some(browser), Some(system)) => write!(f, "{browser} on {system}"),
            (Some(one), None) | (None, Some(one)) => f.write_str(one),
            (None, None) => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_ones() {
        for (value, want) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1",
                "Chrome on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            ("curl/8.14.1", "curl"),
            ("", "unknown"),
            ("\u{1b}[31m<script>", "unknown"),
        ] {
            let agent = Agent::from_header(value.as_bytes());
            assert_eq!(agent.to_string(), want, "{value}");
            assert_eq!(Agent::from_bytes(agent.to_bytes()), agent);
        }
        assert_eq!(Agent::from_bytes([200, 200]), Agent::default());
    }
}
