//! A request as a browser copies it: `curl …`, or `fetch(…)`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::diagnose::{replay, secrets, shell};
use crate::doctor::Call;
use crate::oracle::{Code, Finding, Prediction, Profile, is_settable, normalized_method, predict};
use crate::scenario::{
    Address, Answer, Backend, Credentials, Loaded, Mode, Origin, Redirect, Route, Scenario, Step,
    ThirdPartyCookies, understand,
};

/// A call that was copied from a browser, before anybody answers it.
#[derive(Debug, Clone)]
pub struct Line {
    /// The call.
    pub call: Call,
    /// What it was copied as.
    pub script: Script,
    /// Fetch's mode, where it is told.
    pub mode: Option<Mode>,
    /// What to do with redirects, where it is told.
    pub redirect: Option<Redirect>,
    /// Headers that were in the line and that browsers let no script set.
    pub left_out: Vec<String>,
    /// Names of the cookies in the line.
    pub cookies: Vec<String>,
}

/// What a line was copied as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// `curl`.
    Curl,
    /// `fetch`.
    Fetch,
}

/// Why a line could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It is neither.
    #[error("expected a HAR file, or a line copied as cURL (bash) or as fetch")]
    Neither,
    /// A quote is open.
    #[error("a quote is never closed: copy the whole line")]
    Quote,
    /// `curl` without an address.
    #[error("no address in the curl line: copy the whole line")]
    NoAddress,
    /// The object beside the address is more than data.
    #[error(
        "{0}; expected what a browser copies: fetch(\"https://…\", {{ \"method\": …, \"headers\": {{…}} }}), without variables or calls"
    )]
    NotData(String),
    /// Not http.
    #[error("expected an address such as https://api.example.com/items, found \"{0}\"")]
    Address(String),
    /// No page.
    #[error(
        "the line does not say which page asks (no Origin, no Referer): name it by --origin https://app.example.com"
    )]
    NoPage,
}

/// What curl is told, as far as it matters here.
const CURL_VALUES: [&str; 26] = [
    "--cacert",
    "--cert",
    "--connect-timeout",
    "--connect-to",
    "--cookie-jar",
    "--form",
    "--key",
    "--max-time",
    "--output",
    "--proxy",
    "--resolve",
    "--retry",
    "--user-agent",
    "--write-out",
    "-A",
    "-E",
    "-F",
    "-K",
    "-T",
    "-c",
    "-m",
    "-o",
    "-r",
    "-w",
    "-x",
    "-Y",
];

impl Line {
    /// Reads a line. `page` says which page asks, whatever the line says.
    ///
    /// # Errors
    ///
    /// [`LineError`].
    pub fn parse(text: &str, page: Option<&Origin>) -> Result<Self, LineError> {
        let text = text.trim();
        let parts = if text.starts_with("curl") {
            Parts::of_curl(text)?
        } else if text.contains("fetch(") {
            Parts::of_fetch(text)?
        } else {
            return Err(LineError::Neither);
        };
        parts.line(page)
    }

    /// The call as a scenario with a server that allows everything it needs: put the answers of
    /// the real one in their place.
    #[must_use]
    pub fn scenario(&self) -> Scenario {
        let call = &self.call;
        let names: Vec<_> = call.headers.iter().map(|(name, _)| name.clone()).collect();
        let mut grant = vec![("Access-Control-Allow-Origin".to_owned(), "{origin}".to_owned())];
        if call.credentials == Credentials::Include {
            grant.push(("Access-Control-Allow-Credentials".to_owned(), "true".to_owned()));
        }
        let mut asked = grant.clone();
        asked.push(("Access-Control-Allow-Methods".to_owned(), call.method.clone()));
        if !names.is_empty() {
            asked.push(("Access-Control-Allow-Headers".to_owned(), names.join(", ")));
        }
        grant.push(("Vary".to_owned(), "Origin".to_owned()));
        let preflight = Answer { status: Some(204), headers: asked, ..Answer::default() };
        let actual = Answer { status: Some(200), headers: grant, ..Answer::default() };
        let route = Route {
            path: call.address.path().to_owned(),
            method: None,
            preflight: Some(preflight),
            actual: Some(actual),
        };
        Scenario {
            schema: 1,
            id: "copied-call".to_owned(),
            title: format!("{} {} for {}", call.method, call.address.path(), call.page),
            page: call.page.text().to_owned(),
            third_party_cookies: ThirdPartyCookies::Default,
            engines: Vec::new(),
            tags: Vec::new(),
            source: None,
            cookies: Vec::new(),
            backends: vec![Backend {
                origin: call.address.origin().text().to_owned(),
                routes: vec![route],
                ..Backend::default()
            }],
            steps: vec![Step {
                url: Some(call.address.text().to_owned()),
                method: Some(call.method.clone()).filter(|method| method != "GET"),
                headers: call.headers.clone(),
                credentials: Some(call.credentials),
                mode: self.mode,
                redirect: self.redirect,
                ..Step::default()
            }],
        }
    }

    /// What each engine makes of the call, if the server allows everything.
    #[must_use]
    pub fn predictions<'p>(
        &self,
        profiles: &[&'p Profile],
        now_ms: i64,
    ) -> Vec<(&'p Profile, Prediction)> {
        let Ok(Loaded { case, .. }) = understand(self.scenario()) else { return Vec::new() };
        let made = |profile: &&'p Profile| Some((*profile, predict(&case, profile, now_ms).pop()?));
        profiles.iter().filter_map(made).collect()
    }

    /// What is wrong with the call itself, whatever the server answers.
    #[must_use]
    pub fn faults(predictions: &[(&Profile, Prediction)]) -> Vec<Finding> {
        let mut faults: Vec<Finding> = Vec::new();
        for finding in predictions.iter().flat_map(|(_, prediction)| &prediction.why) {
            // An opaque answer is no failure, and never what a script wants that was copied.
            let matters = finding.is_violation() || finding.code() == Code::NoCorsOpaque;
            if matters && !faults.contains(finding) {
                faults.push(finding.clone());
            }
        }
        faults
    }

    /// The command that asks the real server.
    #[must_use]
    pub fn question(&self) -> String {
        replay::question(&self.call)
    }
}

/// A line taken apart, before it is known whether it makes sense.
struct Parts {
    script: Script,
    url: String,
    method: Option<String>,
    headers: Vec<(String, String)>,
    body: Option<String>,
    credentials: Option<Credentials>,
    mode: Option<Mode>,
    redirect: Option<Redirect>,
    referrer: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Init {
    method: Option<String>,
    headers: BTreeMap<String, String>,
    body: Option<serde_json::Value>,
    credentials: Option<Credentials>,
    mode: Option<String>,
    redirect: Option<Redirect>,
    referrer: Option<String>,
}

impl Parts {
    fn of_curl(text: &str) -> Result<Self, LineError> {
        let words = shell::words(text).ok_or(LineError::Quote)?;
        let mut parts = Self::empty(Script::Curl);
        let mut words = words.into_iter().skip(1);
        while let Some(word) = words.next() {
            let (flag, attached) = flag(&word);
            let mut value = || attached.clone().or_else(|| words.next()).unwrap_or_default();
            match flag.as_str() {
                "-X" | "--request" => parts.method = Some(value()),
                "-H" | "--header" => parts.header(&value()),
                "-b" | "--cookie" => parts.headers.push(("cookie".to_owned(), value())),
                "-e" | "--referer" => parts.headers.push(("referer".to_owned(), value())),
                "-u" | "--user" => {
                    let _ = value();
                    parts.headers.push(("authorization".to_owned(), "***".to_owned()));
                }
                "-d" | "--data" | "--data-raw" | "--data-binary" | "--data-ascii"
                | "--data-urlencode" => {
                    parts.body = Some(value());
                    parts.typed("application/x-www-form-urlencoded");
                }
                "--json" => {
                    parts.body = Some(value());
                    parts.typed("application/json");
                }
                "-I" | "--head" => parts.method = Some("HEAD".to_owned()),
                "--url" => parts.url = value(),
                flag if CURL_VALUES.contains(&flag) => drop(value()),
                flag if flag.starts_with('-') => {}
                _ => parts.url = word,
            }
        }
        if parts.url.is_empty() { Err(LineError::NoAddress) } else { Ok(parts) }
    }

    fn of_fetch(text: &str) -> Result<Self, LineError> {
        let start = text.find("fetch(").map_or(0, |at| at + "fetch(".len());
        // What follows the call, such as `.then(…)`, is no part of it.
        let whole = closed(&text[start..]).ok_or(LineError::Quote)?;
        let not_data = |error: &dyn std::fmt::Display| LineError::NotData(error.to_string());
        let list: Vec<serde_json::Value> =
            json5::from_str(&format!("[{whole}]")).map_err(|e| not_data(&e))?;
        let mut list = list.into_iter();
        let Some(serde_json::Value::String(url)) = list.next() else {
            return Err(not_data(&"the address is no text"));
        };
        let init: Init = list.next().map_or_else(
            || Ok(Init::default()),
            |value| serde_json::from_value(value).map_err(|e| not_data(&e)),
        )?;
        let mut parts = Self::empty(Script::Fetch);
        parts.url = url;
        parts.method = init.method;
        parts.headers = init.headers.into_iter().collect();
        parts.body = init.body.filter(|body| !body.is_null()).map(|body| body.to_string());
        parts.credentials = init.credentials;
        parts.mode = init.mode.as_deref().and_then(|mode| match mode {
            "no-cors" => Some(Mode::NoCors),
            "same-origin" => Some(Mode::SameOrigin),
            _ => None,
        });
        parts.redirect = init.redirect;
        parts.referrer = init.referrer;
        Ok(parts)
    }

    fn empty(script: Script) -> Self {
        Self {
            script,
            url: String::new(),
            method: None,
            headers: Vec::new(),
            body: None,
            credentials: None,
            mode: None,
            redirect: None,
            referrer: None,
        }
    }

    fn header(&mut self, line: &str) {
        if let Some((name, value)) = line.split_once(':') {
            self.headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }

    fn typed(&mut self, kind: &str) {
        if self.find("content-type").is_none() {
            self.headers.push(("content-type".to_owned(), kind.to_owned()));
        }
    }

    fn find(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn line(self, page: Option<&Origin>) -> Result<Line, LineError> {
        let text = if self.url.contains("://") || self.script == Script::Fetch {
            self.url.clone()
        } else {
            format!("http://{}", self.url)
        };
        let named = [self.find("origin"), self.find("referer"), self.referrer.as_deref()];
        let named = named.into_iter().flatten().find_map(Address::parse);
        let page = page.cloned().or_else(|| named.map(|page| page.origin().clone()));
        let page = page.ok_or(LineError::NoPage)?;
        let shown = secrets::url(&text);
        let address = Address::parse(&shown).ok_or(LineError::Address(shown))?;
        let cookies: Vec<_> = self
            .find("cookie")
            .unwrap_or_default()
            .split(';')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, _)| name.trim().to_owned())
            .collect();
        let default = if self.body.is_some() { "POST" } else { "GET" };
        let method = normalized_method(self.method.as_deref().unwrap_or(default));
        let (mut headers, mut left_out) = (Vec::new(), Vec::new());
        for (name, value) in self.headers.clone() {
            let lower = name.to_ascii_lowercase();
            // Browsers write these by themselves into what they copy, and no page sets them.
            let own = matches!(
                lower.as_str(),
                "accept"
                    | "accept-language"
                    | "user-agent"
                    | "cache-control"
                    | "pragma"
                    | "priority"
            );
            if own || lower.starts_with("sec-") || matches!(lower.as_str(), "origin" | "referer") {
                continue;
            }
            if !is_settable(&name, &value) {
                if lower != "cookie" {
                    left_out.push(name);
                }
                continue;
            }
            let hidden = secrets::is_secret(&name) && !lower.starts_with("access-control-");
            headers.push((name, if hidden { "***".to_owned() } else { value }));
        }
        // curl says nothing of a credentials mode: cookies in the line stand for one.
        let credentials = self.credentials.unwrap_or(if cookies.is_empty() {
            Credentials::SameOrigin
        } else {
            Credentials::Include
        });
        let call = Call {
            page,
            address,
            method,
            headers,
            credentials,
            cookies: Vec::new(),
            sends_unsafe: false,
        };
        let Self { script, mode, redirect, .. } = self;
        Ok(Line { call, script, mode, redirect, left_out, cookies })
    }
}

/// `-XPOST` is `-X POST`, and `--request=POST` is not curl's.
fn flag(word: &str) -> (String, Option<String>) {
    let short = word.starts_with('-') && !word.starts_with("--") && word.len() > 2;
    let takes = |flag: &str| {
        ["-X", "-H", "-b", "-e", "-u", "-d"].contains(&flag) || CURL_VALUES.contains(&flag)
    };
    match word.char_indices().nth(2) {
        Some((at, _)) if short && takes(&word[..at]) => {
            (word[..at].to_owned(), Some(word[at..].to_owned()))
        }
        _ => (word.to_owned(), None),
    }
}

/// The text up to the parenthesis that closes the call.
fn closed(text: &str) -> Option<&str> {
    let (mut depth, mut quote, mut escaped) = (0_u32, None, false);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => return Some(&text[..at]),
            (None, ')') => depth -= 1,
            _ => {}
        }
    }
    None
}
