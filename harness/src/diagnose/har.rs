//! HAR 1.2 as browsers write it: the few fields that matter, every one of them optional.
//! <http://www.softwareishard.com/blog/har-12-spec/>

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::diagnose::recording::{Entry, Kind, Recorder, Recording};
use crate::diagnose::secrets;
use crate::doctor::Answer;
use crate::scenario::Address;

/// Why a HAR could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HarError {
    /// It is no JSON, or breaks off.
    #[error(
        "line {}, column {}: {}; expected a HAR file, which is JSON: save it again by \"Export HAR\" in the network panel",
        .0.line(), .0.column(), says(.0)
    )]
    Json(#[from] serde_json::Error),
    /// It is JSON without the one thing that makes it a HAR.
    #[error(
        "no `log.entries` in it: expected a HAR file as the network panel of a browser saves it"
    )]
    NoLog,
}

fn says(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

#[derive(Deserialize)]
struct File {
    log: Option<Log>,
}

#[derive(Deserialize)]
struct Log {
    #[serde(default, deserialize_with = "lenient")]
    creator: Named,
    #[serde(default, deserialize_with = "lenient")]
    browser: Named,
    #[serde(default, deserialize_with = "lenient")]
    pages: Vec<Page>,
    entries: Option<Vec<RawEntry>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    #[serde(deserialize_with = "lenient")]
    name: String,
    #[serde(deserialize_with = "lenient")]
    version: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Page {
    #[serde(deserialize_with = "lenient")]
    id: String,
    #[serde(deserialize_with = "lenient")]
    title: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawEntry {
    #[serde(deserialize_with = "lenient")]
    pageref: String,
    #[serde(deserialize_with = "lenient")]
    time: f64,
    #[serde(deserialize_with = "nullable")]
    request: RawRequest,
    #[serde(deserialize_with = "nullable")]
    response: RawResponse,
    #[serde(rename = "serverIPAddress", deserialize_with = "lenient")]
    server_ip_address: String,
    #[serde(rename = "_resourceType", deserialize_with = "lenient")]
    resource_type: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawRequest {
    #[serde(deserialize_with = "lenient")]
    method: String,
    #[serde(deserialize_with = "lenient")]
    url: String,
    #[serde(deserialize_with = "lenient")]
    headers: Vec<Pair>,
    #[serde(deserialize_with = "lenient")]
    cookies: Vec<Pair>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawResponse {
    #[serde(deserialize_with = "lenient")]
    status: f64,
    #[serde(deserialize_with = "lenient")]
    headers: Vec<Pair>,
    #[serde(deserialize_with = "lenient")]
    cookies: Vec<SetCookie>,
    #[serde(rename = "redirectURL", deserialize_with = "lenient")]
    redirect_url: String,
    #[serde(rename = "_error", deserialize_with = "lenient")]
    error: String,
    #[serde(rename = "_failureText", deserialize_with = "lenient")]
    failure_text: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pair {
    #[serde(deserialize_with = "lenient")]
    name: String,
    #[serde(deserialize_with = "lenient")]
    value: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SetCookie {
    #[serde(deserialize_with = "lenient")]
    name: String,
    #[serde(deserialize_with = "lenient")]
    value: String,
    #[serde(deserialize_with = "lenient")]
    path: String,
    #[serde(deserialize_with = "lenient")]
    same_site: String,
    #[serde(deserialize_with = "lenient")]
    secure: bool,
    #[serde(deserialize_with = "lenient")]
    http_only: bool,
}

/// What is not of the type that it should be counts as left out.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// Null counts as left out; unlike [`lenient`] it does not hold bodies in memory twice.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a HAR. Values that hold secrets do not get further than this.
///
/// # Errors
///
/// [`HarError`].
pub fn read(text: &str) -> Result<Recording, HarError> {
    let file: File = serde_json::from_str(text.trim_start_matches('\u{feff}'))?;
    let log = file.log.ok_or(HarError::NoLog)?;
    let raw = log.entries.ok_or(HarError::NoLog)?;
    let recorder = Recorder::of(
        &harmless(&log.creator.name),
        &harmless(&log.browser.name),
        &harmless(&log.creator.version),
    );
    let total = raw.len();
    let mut entries: Vec<_> =
        raw.into_iter().filter_map(|entry| understood(entry, &log.pages)).collect();
    // Firefox and Safari write neither kind nor page title reliably: the first document is the page.
    let first = entries.iter().find(|e| e.kind == Kind::Document).map(|e| e.address.clone());
    for entry in &mut entries {
        entry.page = entry.page.take().or_else(|| first.clone());
    }
    Ok(Recording { recorder, total, entries })
}

fn understood(raw: RawEntry, pages: &[Page]) -> Option<Entry> {
    let address = Address::parse(&secrets::url(&raw.request.url))?;
    let request = lines(raw.request.headers);
    let header = |name: &str| {
        request.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    let titled = pages
        .iter()
        .find(|page| page.id == raw.pageref)
        .and_then(|page| Address::parse(&page.title));
    let page = header("origin").and_then(Address::parse);
    let page = page.or_else(|| header("referer").and_then(Address::parse)).or(titled);
    // What is no method was sent by no browser.
    let method = http::Method::from_bytes(raw.request.method.as_bytes()).ok()?.to_string();
    let kind = kind(&raw.resource_type, &method, header);
    let mut cookies: Vec<_> = raw.request.cookies.into_iter().map(|cookie| cookie.name).collect();
    if let Some(line) = header("cookie").filter(|_| cookies.is_empty()) {
        let names = line.split(';').filter_map(|pair| pair.split('=').next());
        cookies = names.map(|name| name.trim().to_owned()).filter(|n| !n.is_empty()).collect();
    }
    let error = [raw.response.error.as_str(), raw.response.failure_text.as_str()]
        .into_iter()
        .find(|text| !text.is_empty())
        .map(harmless);
    Some(Entry {
        answer: answer(raw.response),
        is_opaque: header("origin") == Some("null"),
        request,
        address,
        method,
        page,
        kind,
        cookies,
        error,
        peer: raw.server_ip_address.trim_matches(['[', ']']).parse().ok(),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "`as` takes what is out of bounds to the bound"
        )]
        millis: raw.time as u64,
    })
}

/// Without the characters that steer terminals: it is printed.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// All lines, names in lower case; Chromium joins lines of one name by a newline.
fn lines(pairs: Vec<Pair>) -> Vec<(String, String)> {
    let mut lines = Vec::with_capacity(pairs.len());
    for Pair { name, value } in pairs {
        let name = name.to_ascii_lowercase();
        // HTTP/2's own.
        if name.starts_with(':') || name.is_empty() {
            continue;
        }
        lines.extend(value.split('\n').map(|value| (name.clone(), value.trim().to_owned())));
    }
    lines
}

fn answer(raw: RawResponse) -> Option<Answer> {
    if !(100.0..=999.0).contains(&raw.status) {
        return None;
    }
    let mut headers = lines(raw.headers);
    let has = |headers: &[(String, String)], name: &str| headers.iter().any(|(n, _)| n == name);
    if !has(&headers, "set-cookie") {
        let set = raw.cookies.iter().map(|cookie| ("set-cookie".to_owned(), written(cookie)));
        headers.extend(set);
    }
    if !raw.redirect_url.is_empty() && !has(&headers, "location") {
        headers.push(("location".to_owned(), raw.redirect_url));
    }
    for (_, value) in headers.iter_mut().filter(|(name, _)| name == "location") {
        *value = secrets::url(value);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is from 100 to 999"
    )]
    Some(Answer { status: raw.status as u16, headers, body: String::new() })
}

/// A `Set-Cookie` line from its parts, where the line itself was left out. `Domain` is not among
/// them: recorders fill in the host where there was none.
fn written(cookie: &SetCookie) -> String {
    let mut line = format!("{}={}", cookie.name, cookie.value);
    if !cookie.path.is_empty() {
        line.extend(["; Path=", cookie.path.as_str()]);
    }
    for (is, word) in [(cookie.secure, "; Secure"), (cookie.http_only, "; HttpOnly")] {
        line += if is { word } else { "" };
    }
    if !cookie.same_site.is_empty() {
        line.extend(["; SameSite=", cookie.same_site.as_str()]);
    }
    line
}

fn kind<'h>(resource: &str, method: &str, header: impl Fn(&str) -> Option<&'h str>) -> Kind {
    let preflight = method == "OPTIONS" && header("access-control-request-method").is_some();
    match resource {
        _ if preflight => Kind::Preflight,
        "preflight" => Kind::Preflight,
        "fetch" | "xhr" => Kind::Script,
        "document" => Kind::Document,
        _ if header("sec-fetch-mode") == Some("navigate") => Kind::Document,
        _ if header("upgrade-insecure-requests").is_some() => Kind::Document,
        _ if header("sec-fetch-mode") == Some("no-cors") => Kind::Other,
        // What is asked for by the CORS protocol names its origin.
        _ if header("origin").is_some() || header("sec-fetch-mode") == Some("cors") => Kind::Script,
        _ => Kind::Other,
    }
}
