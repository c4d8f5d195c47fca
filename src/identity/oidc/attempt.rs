//! One attempt to log in, between the way to the provider and the way back. The browser keeps it,
//! sealed: nobody who only knocks at the login route costs us memory.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::{Cookie, SameSite};
use http::HeaderMap;
use http::header::COOKIE;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::policy::session::UnixMillis;
use crate::seal::{KeyRing, Seal};

/// For signing in at the provider. Afterwards the attempt is worth nothing.
const LIFETIME: Duration = Duration::from_mins(10);
/// Attempts at a time: three tabs.
const MAX_ATTEMPTS: usize = 3;
/// Characters of the state that name its cookie.
const TAG_CHARS: usize = 12;

/// What has to be the same on both ways.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    /// Ties the answer to this browser. Ends with the number of retries, so that a loop is noticed
    /// even where the browser keeps no cookie at all.
    pub(crate) state: String,
    /// Ties the ID token to this attempt.
    pub(crate) nonce: String,
    /// Ties the code to this attempt (PKCE, RFC 7636).
    pub(crate) verifier: String,
    /// Where to go afterwards; checked already.
    pub(crate) return_to: String,
    /// The value of the session cookie at the beginning, if the browser will not bring it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replaces: Option<String>,
    started: u64,
}

impl Attempt {
    /// An attempt from three random values.
    pub(crate) fn new(
        random: [[u8; 32]; 3],
        return_to: &str,
        replaces: Option<String>,
        retries: u8,
        now: UnixMillis,
    ) -> Self {
        let [state, nonce, verifier] = random.map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        let (state, return_to) = (format!("{state}.{retries}"), return_to.to_owned());
        Self { state, nonce, verifier, return_to, replaces, started: now.0 }
    }

    /// How often this login was tried before, read from a state that somebody sent. Not to be
    /// trusted for more than to stop a loop.
    pub(crate) fn retries(state: &str) -> u8 {
        // A state that is not ours counts as tried: no retry for what we have not begun.
        state.rsplit_once('.').and_then(|(_, retries)| retries.parse().ok()).unwrap_or(u8::MAX)
    }

    fn is_expired(&self, now: UnixMillis) -> bool {
        now > UnixMillis(self.started).after(LIFETIME)
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attempt(***)")
    }
}

/// Name, attributes and keys of the cookies that keep attempts.
#[derive(Debug)]
pub(crate) struct AttemptCookies {
    seal: Seal,
    secure: bool,
}

impl AttemptCookies {
    pub(crate) fn new(keys: &KeyRing, secure: bool) -> Self {
        Self { seal: keys.seal_for("login attempt"), secure }
    }

    /// The `Set-Cookie` values of a new attempt: its own, and deletions of those that are one too
    /// many, the oldest first. The one that it `retries` has been used up: it takes no place, or
    /// its retry would push out that of another tab.
    pub(crate) fn begin(
        &self,
        headers: &HeaderMap,
        attempt: &Attempt,
        retries: Option<&str>,
    ) -> Vec<String> {
        let name = self.name(&attempt.state);
        let used_up = retries.map(|state| self.name(state));
        let mut others: Vec<_> = self
            .all(headers)
            .filter(|cookie| cookie.name() != name && Some(cookie.name()) != used_up.as_deref())
            .map(|cookie| {
                let started = self.open(cookie.name(), cookie.value()).map_or(0, |a| a.started);
                (started, cookie.name().to_owned())
            })
            .collect();
        others.sort_unstable();
        others.dedup_by(|a, b| a.1 == b.1);
        let too_many = (others.len() + 1).saturating_sub(MAX_ATTEMPTS);
        // A struct of strings and a number always becomes JSON.
        let plain = serde_json::to_vec(attempt).unwrap_or_default();
        let sealed = URL_SAFE_NO_PAD.encode(self.seal.seal(name.as_bytes(), &plain));
        let max_age = cookie::time::Duration::try_from(LIFETIME).unwrap_or_default();
        let own = self.cookie(name, sealed, max_age);
        let gone = others[..too_many].iter().map(|(_, name)| self.clear(name.clone()));
        gone.chain([own]).collect()
    }

    /// The attempt that this state belongs to, if this browser began it and its time is not over;
    /// and the `Set-Cookie` value that deletes it, so that it is used once.
    pub(crate) fn take(
        &self,
        headers: &HeaderMap,
        state: &str,
        now: UnixMillis,
    ) -> (Option<Attempt>, Option<String>) {
        let name = self.name(state);
        let mut sent = self.all(headers).filter(|cookie| cookie.name() == name).peekable();
        let clear = sent.peek().map(|_| self.clear(name.clone()));
        let attempt = sent
            .find_map(|cookie| self.open(&name, cookie.value()))
            .filter(|attempt| same(&attempt.state, state) && !attempt.is_expired(now));
        (attempt, clear)
    }

    /// Cookies of attempts that came along, readable or not.
    fn all<'h>(&'h self, headers: &'h HeaderMap) -> impl Iterator<Item = Cookie<'h>> {
        headers
            .get_all(COOKIE)
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
            .filter_map(|pair| std::str::from_utf8(pair).ok())
            .filter_map(|pair| Cookie::parse(pair).ok())
            .filter(|cookie| cookie.name().starts_with(self.prefix()))
    }

    fn open(&self, name: &str, sealed: &str) -> Option<Attempt> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        serde_json::from_slice(&self.seal.open(name.as_bytes(), &sealed)?).ok()
    }

    fn prefix(&self) -> &'static str {
        if self.secure { "__Host-login-" } else { "login-" }
    }

    /// A part of the state is part of the name: each attempt has a cookie of its own.
    fn name(&self, state: &str) -> String {
        let tag = state.chars().take(TAG_CHARS);
        let tag: String =
            tag.filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
        format!("{}{tag}", self.prefix())
    }

    fn clear(&self, name: String) -> String {
        self.cookie(name, String::new(), cookie::time::Duration::ZERO)
    }

    /// Lax, whatever the session's cookie is: the way back is a navigation from another site.
    fn cookie(&self, name: String, value: String, max_age: cookie::time::Duration) -> String {
        let mut cookie = Cookie::build((name, value))
            .path("/")
            .same_site(SameSite::Lax)
            .http_only(true)
            .max_age(max_age);
        if self.secure {
            cookie = cookie.secure(true);
        }
        cookie.to_string()
    }
}

/// Compares without telling by its time how much was right.
fn same(a: &str, b: &str) -> bool {
    Sha256::digest(a) == Sha256::digest(b)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::policy::key::SessionKey;

    const NOW: UnixMillis = UnixMillis(1_000_000_000);

    fn cookies(key: u8) -> AttemptCookies {
        let keys = KeyRing::new(vec![SessionKey::from_random([key; 32])]).unwrap();
        AttemptCookies::new(&keys, true)
    }

    fn attempt(number: u8, at: UnixMillis) -> Attempt {
        Attempt::new([[number; 32], [number + 1; 32], [number + 2; 32]], "/there", None, 0, at)
    }

    /// What a browser sends after these `Set-Cookie` lines.
    fn send(jar: &mut Vec<(String, String)>, lines: &[String]) -> HeaderMap {
        for line in lines {
            let cookie = Cookie::parse(line.clone()).unwrap();
            jar.retain(|(name, _)| name != cookie.name());
            if !cookie.max_age().unwrap().is_zero() {
                jar.push((cookie.name().to_owned(), cookie.value().to_owned()));
            }
        }
        let pairs: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::try_from(pairs.join("; ")).unwrap());
        headers
    }

    #[test]
    fn an_attempt_comes_back_once_to_its_own_browser() {
        let (cookies, attempt) = (cookies(1), attempt(7, NOW));
        let mut jar = Vec::new();
        let lines = cookies.begin(&HeaderMap::new(), &attempt, None);
        let headers = send(&mut jar, &lines);
        assert!(
            lines[0].ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=600"),
            "{lines:?}"
        );
        assert!(lines[0].len() < 4096 && !jar[0].1.contains('%'));
        assert!(!lines[0].contains(&attempt.nonce) && !lines[0].contains(&attempt.verifier));

        let late = NOW.after(LIFETIME + Duration::from_millis(1));
        let other = Attempt::new([[8; 32]; 3], "/", None, 0, NOW).state;
        let similar = format!("{}x", &attempt.state[..attempt.state.len() - 1]);
        for (case, headers, state, now, want) in [
            ("own", &headers, attempt.state.as_str(), NOW, true),
            ("last moment", &headers, &attempt.state, NOW.after(LIFETIME), true),
            ("too late", &headers, &attempt.state, late, false),
            ("another browser", &HeaderMap::new(), &attempt.state, NOW, false),
            ("another state", &headers, &other, NOW, false),
            ("a similar state", &headers, &similar, NOW, false),
            ("none", &headers, "", NOW, false),
            ("hostile", &headers, "é;,=\r\n%", NOW, false),
        ] {
            let (taken, clear) = cookies.take(headers, state, now);
            assert_eq!(taken.is_some(), want, "{case}");
            assert!(!want || (taken.as_ref() == Some(&attempt) && clear.is_some()), "{case}");
        }
        let clear = cookies.take(&headers, &attempt.state, NOW).1.unwrap();
        let headers = send(&mut jar, &[clear]);
        assert_eq!(cookies.take(&headers, &attempt.state, NOW).0, None, "a second time");
    }

    #[test]
    fn a_cookie_opens_under_its_own_name_and_keys_only() {
        let attempt = attempt(7, NOW);
        let mut jar = Vec::new();
        let headers = send(&mut jar, &cookies(1).begin(&HeaderMap::new(), &attempt, None));
        assert_eq!(cookies(2).take(&headers, &attempt.state, NOW).0, None, "another key");
        jar[0].0.replace_range(13..14, "z");
        let state = format!("z{}", &attempt.state[1..]);
        let headers = send(&mut jar, &[]);
        assert_eq!(cookies(1).take(&headers, &state, NOW).0, None, "another name");
    }

    #[test]
    fn three_at_a_time_the_oldest_goes() {
        let cookies = cookies(1);
        let mut jar = vec![("__Host-session".to_owned(), "x".to_owned())];
        let mut headers = send(&mut jar, &[]);
        let attempts: Vec<_> =
            (0..5).map(|n| attempt(n * 10, NOW.after(Duration::from_secs(n.into())))).collect();
        for (n, attempt) in attempts.iter().enumerate() {
            let lines = cookies.begin(&headers, attempt, None);
            assert_eq!(lines.len(), if n < MAX_ATTEMPTS { 1 } else { 2 });
            headers = send(&mut jar, &lines);
        }
        let open = |a: &Attempt| cookies.take(&headers, &a.state, NOW).0.is_some();
        assert_eq!(attempts.iter().map(open).collect::<Vec<_>>(), [false, false, true, true, true]);

        // What is not ours goes before what is.
        jar.push(("__Host-login-garbage".to_owned(), "x".to_owned()));
        let headers = send(&mut jar, &[]);
        let lines = cookies.begin(&headers, &attempt(90, NOW), None);
        assert!(lines[0].starts_with("__Host-login-garbage=;"), "{lines:?}");
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn a_retry_takes_the_place_of_what_it_retries() {
        let cookies = cookies(1);
        let (mut jar, mut headers) = (Vec::new(), HeaderMap::new());
        let attempts: Vec<_> =
            (0..3).map(|n| attempt(n * 10, NOW.after(Duration::from_secs(n.into())))).collect();
        for attempt in &attempts {
            headers = send(&mut jar, &cookies.begin(&headers, attempt, None));
        }
        let (taken, clear) = cookies.take(&headers, &attempts[2].state, NOW);
        let retry = attempt(90, NOW.after(Duration::from_secs(9)));
        let state = taken.unwrap().state;
        let mut lines = cookies.begin(&headers, &retry, Some(&state));
        lines.extend(clear);
        let headers = send(&mut jar, &lines);
        let open = |a: &Attempt| cookies.take(&headers, &a.state, NOW).0.is_some();
        assert!(attempts[..2].iter().all(open), "other tabs'");
        assert!(open(&retry) && !open(&attempts[2]));
    }

    #[test]
    fn retries_are_counted_in_the_state() {
        let begun = |retries| Attempt::new([[1; 32]; 3], "/", None, retries, NOW).state;
        assert_eq!(Attempt::retries(&begun(0)), 0);
        assert_eq!(Attempt::retries(&begun(1)), 1);
        for foreign in ["", "abc", "abc.", "abc.x", "abc.-1", "abc.300"] {
            assert_eq!(Attempt::retries(foreign), u8::MAX, "{foreign}");
        }
    }
}
