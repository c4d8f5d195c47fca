//! All bugs, read from the files that are built in.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::catalogue::bug::{Bug, Line};
use crate::catalogue::pattern::Pattern;
use crate::catalogue::scan::Scanner;
use crate::catalogue::words::Index;

macro_rules! embed {
    ($($id:literal)+) => {
        &[$(($id, include_str!(concat!("../../catalogue/", $id, ".toml")))),+]
    };
}

/// The files, most frequent bugs first: the order of the list that people see.
const FILES: &[(&str, &str)] = embed! {
    "acao-missing"
    "client-credentials-not-enabled"
    "acao-wildcard-with-credentials"
    "samesite-lax-default-cross-site"
    "preflight-header-not-allowed"
    "error-response-without-cors-headers"
    "preflight-auth-401"
    "third-party-cookies-blocked"
    "samesite-none-without-secure"
    "non-browser-client-ignores-cors"
    "preflight-not-routed"
    "acac-missing"
    "acao-duplicate-header"
    "acao-origin-mismatch"
    "secure-cookie-over-http"
    "preflight-redirect"
    "set-cookie-not-readable-by-script"
    "expose-headers-missing"
    "connection-refused-wrong-port"
    "mixed-content"
    "preflight-method-not-allowed"
    "idp-redirect-in-fetch"
    "localhost-vs-127-site"
    "content-type-json-triggers-preflight"
    "headers-set-on-request"
    "wildcard-headers-methods-with-credentials"
    "acao-trailing-slash-or-path"
    "acao-list"
    "vary-origin-missing-cache"
    "tracing-header-injected"
    "no-cors-opaque"
    "origin-null-file-or-sandbox"
    "foreign-origin-allowed"
    "cookie-domain-invalid"
    "cookie-domain-public-suffix"
    "cookie-path-mismatch"
    "cookie-delete-attributes-mismatch"
    "samesite-strict-after-redirect"
    "lax-post-form-post-callback"
    "local-network-access-denied"
    "tls-untrusted-certificate"
    "blocked-by-client"
    "csp-connect-src"
    "firefox-total-cookie-protection"
    "safari-secure-localhost"
    "schemeful-same-site"
    "proxy-or-waf-answers-options"
    "dev-proxy-cookie-domain"
    "redirect-hop-without-cors"
    "cors-only-on-preflight"
    "csrf-cookie-unreadable-cross-site"
    "httponly-not-in-document-cookie"
    "server-session-rejected"
    "redirect-tainted-origin-null"
    "preflight-cache-stale"
    "authorization-not-covered-by-wildcard"
    "acac-wrong-value"
    "partitioned-other-top-level"
    "cookie-prefix-violation"
    "cookie-too-large-or-bad-chars"
    "cookie-shadowed-duplicate"
    "eventsource-without-credentials"
    "websocket-cookie-samesite"
    "request-mode-same-origin"
    "corp-coep-blocked"
    "dns-failure-or-bad-port"
    "redirect-contains-credentials"
    "preflight-odd-status"
    "allow-list-unparsable"
    "partitioned-without-secure"
    "request-refused-by-client"
    "redirect-not-followed"
    "redirect-leads-nowhere"
    "redirect-loop"
};

const FRAMES: &str = include_str!("../../catalogue/frames.toml");

/// The catalogue of cross-origin bugs.
pub struct Catalogue {
    bugs: Vec<Bug>,
    by_id: HashMap<String, usize>,
    /// What each sentence means; the frames have no place here and come last in the scanner.
    pub(super) lines: Vec<(usize, usize)>,
    pub(super) frames: Vec<Side>,
    pub(super) scanner: Scanner,
    pub(super) index: Index,
}

/// Where a frame stands: before or after the sentence that names the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    Before,
    After,
}

#[derive(Deserialize)]
struct Frames {
    frame: Vec<Frame>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame {
    side: Side,
    text: String,
}

impl Catalogue {
    /// The catalogue that is built in.
    ///
    /// # Panics
    ///
    /// If a file of it cannot be read, which the tests rule out.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static BOOK: LazyLock<Catalogue> = LazyLock::new(|| {
            Catalogue::read(FILES, FRAMES).unwrap_or_else(|error| panic!("the catalogue: {error}"))
        });
        &BOOK
    }

    fn read(files: &[(&str, &str)], frames: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let mut bugs: Vec<Bug> = Vec::with_capacity(files.len());
        for (id, text) in files {
            let bug: Bug = toml::from_str(text).map_err(|error| format!("{id}: {error}"))?;
            bugs.push(bug);
        }
        let frames = toml::from_str::<Frames>(frames)?.frame;
        let by_id = bugs.iter().enumerate().map(|(at, bug)| (bug.id.clone(), at)).collect();
        let lines: Vec<_> = bugs
            .iter()
            .enumerate()
            .flat_map(|(bug, b)| (0..b.console.len()).map(move |line| (bug, line)))
            .collect();
        let sentences = lines.iter().map(|&(bug, line)| bugs[bug].console[line].text.as_str());
        let patterns =
            sentences.chain(frames.iter().map(|f| f.text.as_str())).map(Pattern::parse).collect();
        let index = Index::new(&bugs);
        let frames = frames.iter().map(|frame| frame.side).collect();
        Ok(Self { by_id, lines, frames, scanner: Scanner::new(patterns)?, index, bugs })
    }

    /// All bugs, most frequent first.
    #[must_use]
    pub fn bugs(&self) -> &[Bug] {
        &self.bugs
    }

    /// The bug of that code.
    #[must_use]
    pub fn bug(&self, id: &str) -> Option<&Bug> {
        self.by_id.get(id).map(|&at| &self.bugs[at])
    }

    /// The bug and its sentence that a pattern of the scanner stands for; none for a frame.
    pub(super) fn line(&self, pattern: usize) -> Option<(usize, &Line)> {
        self.lines.get(pattern).map(|&(bug, line)| (bug, &self.bugs[bug].console[line]))
    }

    /// The side of the frame that a pattern of the scanner stands for.
    pub(super) fn side(&self, pattern: usize) -> Option<Side> {
        self.frames.get(pattern.checked_sub(self.lines.len())?).copied()
    }
}
