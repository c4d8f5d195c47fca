//! `Set-Cookie` → a cookie and its attributes: RFC 6265bis §5.6.

/// Bytes that name and value may have together.
const PAIR_LIMIT: usize = 4096;
/// Bytes of an attribute's value beyond which the attribute is ignored.
const ATTRIBUTE_LIMIT: usize = 1024;

/// What a `Set-Cookie` line says, before anybody asks whether it may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SetCookie<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    pub(super) domain: Option<&'a str>,
    pub(super) path: Option<&'a str>,
    pub(super) secure: bool,
    pub(super) http_only: bool,
    pub(super) partitioned: bool,
    pub(super) same_site: SameSite,
    pub(super) max_age_s: Option<i64>,
    /// Milliseconds since 1970.
    pub(super) expires_ms: Option<i64>,
}

/// The `SameSite` attribute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum SameSite {
    /// Left out, or a word that is none of the three.
    #[default]
    Default,
    None,
    Lax,
    Strict,
}

/// Why a line is no cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoCookie {
    ControlCharacter,
    Empty,
    TooLarge,
}

impl<'a> SetCookie<'a> {
    pub(super) fn parse(line: &'a str) -> Result<Self, NoCookie> {
        if line.bytes().any(|b| matches!(b, 0..=8 | 10..=31 | 127)) {
            return Err(NoCookie::ControlCharacter);
        }
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        let (name, value) = (trim(name), trim(value));
        if name.is_empty() && value.is_empty() {
            return Err(NoCookie::Empty);
        }
        if name.len() + value.len() > PAIR_LIMIT {
            return Err(NoCookie::TooLarge);
        }
        let mut cookie = Self { name, value, ..Self::default() };
        for attribute in attributes.split(';') {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            cookie.attribute(trim(name), trim(value));
        }
        Ok(cookie)
    }

    fn attribute(&mut self, name: &str, value: &'a str) {
        if value.len() > ATTRIBUTE_LIMIT {
            return;
        }
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("secure") {
            self.secure = true;
        } else if is("httponly") {
            self.http_only = true;
        } else if is("partitioned") {
            self.partitioned = true;
        } else if is("domain") {
            // An empty one counts too: the last attribute decides.
            self.domain = Some(value.strip_prefix('.').unwrap_or(value));
        } else if is("path") {
            self.path = Some(value);
        } else if is("samesite") {
            self.same_site = match value {
                v if v.eq_ignore_ascii_case("none") => SameSite::None,
                v if v.eq_ignore_ascii_case("lax") => SameSite::Lax,
                v if v.eq_ignore_ascii_case("strict") => SameSite::Strict,
                _ => SameSite::Default,
            };
        } else if is("max-age") {
            if let Some(seconds) = delta_seconds(value) {
                self.max_age_s = Some(seconds);
            }
        } else if is("expires")
            && let Some(when) = cookie_date(value)
        {
            self.expires_ms = Some(when);
        }
    }

    /// The attribute's path if it is one, else none: the default path counts then.
    pub(super) fn explicit_path(&self) -> Option<&'a str> {
        self.path.filter(|path| path.starts_with('/'))
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// `-?[0-9]+`; what does not fit is as good as for ever.
fn delta_seconds(value: &str) -> Option<i64> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let limit = if value.starts_with('-') { i64::MIN } else { i64::MAX };
    is_number.then(|| value.parse().unwrap_or(limit))
}

/// The [default-path](https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-paths-and-path-match)
/// of a request.
pub(super) fn default_path(request: &str) -> &str {
    match request.rfind('/') {
        Some(last) if last > 0 && request.starts_with('/') => &request[..last],
        _ => "/",
    }
}

/// [Path-match](https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-paths-and-path-match).
pub(super) fn path_matches(request: &str, cookie: &str) -> bool {
    request
        .strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

/// [Cookie-date](https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-dates):
/// milliseconds since 1970.
fn cookie_date(text: &str) -> Option<i64> {
    let is_delimiter = |b: char| matches!(u32::from(b), 0x09 | 0x20..=0x2f | 0x3b..=0x40 | 0x5b..=0x60 | 0x7b..=0x7e);
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(is_delimiter).filter(|token| !token.is_empty()) {
        if time.is_none()
            && let Some(found) = time_of(token)
        {
            time = Some(found);
        } else if day.is_none()
            && let Some(found) = leading_number(token, 1..=2)
        {
            day = Some(found);
        } else if month.is_none()
            && let Some(found) = month_of(token)
        {
            month = Some(found);
        } else if year.is_none()
            && let Some(found) = leading_number(token, 2..=4)
        {
            year = Some(match found {
                70..=99 => found + 1900,
                0..=69 => found + 2000,
                _ => found,
            });
        }
    }
    let ((hour, minute, second), day, month, year) = (time?, day?, month?, year?);
    let fits =
        (1..=31).contains(&day) && year >= 1601 && hour <= 23 && minute <= 59 && second <= 59;
    if !fits || day > days_in(month, year) {
        return None;
    }
    let seconds = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1000)
}

fn time_of(token: &str) -> Option<(i64, i64, i64)> {
    let mut fields = token.splitn(3, ':');
    let (hour, minute, second) = (fields.next()?, fields.next()?, fields.next()?);
    let exact = |text: &str| {
        let fits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| text.parse().ok()).flatten()
    };
    Some((exact(hour)?, exact(minute)?, leading_number(second, 1..=2)?))
}

/// Digits at the beginning, followed by no further digit.
fn leading_number(token: &str, length: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let digits = token.bytes().take_while(u8::is_ascii_digit).count();
    length.contains(&digits).then(|| token[..digits].parse().ok()).flatten()
}

fn month_of(token: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let start = token.get(..3)?;
    let index = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(start))?;
    i64::try_from(index).ok().map(|index| index + 1)
}

fn days_in(month: i64, year: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the proleptic Gregorian calendar, counted in years that begin in March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_taken_apart() {
        let cookie = |name, value| SetCookie { name, value, ..SetCookie::default() };
        for (line, want) in [
            ("a=b", Ok(cookie("a", "b"))),
            (" a = b ; ", Ok(cookie("a", "b"))),
            ("a=b=c", Ok(cookie("a", "b=c"))),
            ("just-a-value", Ok(cookie("", "just-a-value"))),
            ("=b", Ok(cookie("", "b"))),
            ("a=", Ok(cookie("a", ""))),
            ("", Err(NoCookie::Empty)),
            (" = ; Secure", Err(NoCookie::Empty)),
            ("a=\u{1}", Err(NoCookie::ControlCharacter)),
            ("a=1; Path=\u{7f}", Err(NoCookie::ControlCharacter)),
            ("a=\"b\"", Ok(cookie("a", "\"b\""))),
            (
                "a=1; SECURE; httponly; Partitioned",
                Ok(SetCookie {
                    secure: true,
                    http_only: true,
                    partitioned: true,
                    ..cookie("a", "1")
                }),
            ),
            ("a=1; samesite=NONE", Ok(SetCookie { same_site: SameSite::None, ..cookie("a", "1") })),
            ("a=1; samesite=none; SameSite=odd", Ok(cookie("a", "1"))),
            (
                "a=1; domain=.Example.com",
                Ok(SetCookie { domain: Some("Example.com"), ..cookie("a", "1") }),
            ),
            ("a=1; domain=x; domain=", Ok(SetCookie { domain: Some(""), ..cookie("a", "1") })),
            ("a=1; path=/x; path=y", Ok(SetCookie { path: Some("y"), ..cookie("a", "1") })),
            ("a=1; max-age=-5", Ok(SetCookie { max_age_s: Some(-5), ..cookie("a", "1") })),
            ("a=1; max-age=1e3", Ok(cookie("a", "1"))),
            (
                "a=1; max-age=99999999999999999999",
                Ok(SetCookie { max_age_s: Some(i64::MAX), ..cookie("a", "1") }),
            ),
        ] {
            assert_eq!(SetCookie::parse(line), want, "{line}");
        }
    }

    #[test]
    fn sizes_have_limits() {
        let line = |length: usize| format!("abcd={}", "x".repeat(length - 4));
        assert!(SetCookie::parse(&line(4096)).is_ok());
        assert_eq!(SetCookie::parse(&line(4097)), Err(NoCookie::TooLarge));
        let long = format!("a=1; Path=/{}; Secure", "x".repeat(1024));
        let cookie = SetCookie::parse(&long).expect("a cookie");
        assert_eq!((cookie.path, cookie.secure), (None, true));
    }

    #[test]
    fn dates_of_all_ages() {
        for (text, want) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Wed, 09 Jun 2021 10:18:14 GMT", Some(1_623_233_894_000)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777_000)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777_000)),
            ("6 nov 1994 8:49:37x", Some(784_111_777_000)),
            ("29 Feb 2024 00:00:00", Some(1_709_164_800_000)),
            ("29 Feb 2023 00:00:00", None),
            ("06 Nov 1600 08:49:37", None),
            ("06 Nov 1994 24:00:00", None),
            ("06 Nov 1994", None),
            ("", None),
        ] {
            assert_eq!(cookie_date(text), want, "{text}");
        }
    }

    #[test]
    fn paths() {
        for (request, cookie, matches) in [
            ("/auth/login", "/auth", true),
            ("/auth", "/auth", true),
            ("/authx", "/auth", false),
            ("/auth/x", "/auth/", true),
            ("/auth", "/auth/", false),
            ("/", "/", true),
            ("/x", "/", true),
        ] {
            assert_eq!(path_matches(request, cookie), matches, "{request} {cookie}");
        }
        for (request, want) in [("/a/b/c", "/a/b"), ("/a", "/"), ("/", "/"), ("/a/", "/a")] {
            assert_eq!(default_path(request), want, "{request}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(line in "\\PC{0,80}", date in "[0-9A-Za-z:, -]{0,30}") {
            let _ = SetCookie::parse(&line);
            let _ = cookie_date(&date);
        }

        #[test]
        fn attributes_may_come_in_any_order(mut attributes in Just(vec![
            "Path=/x", "Secure", "HttpOnly", "SameSite=Lax", "Domain=a.test", "Max-Age=5", "Partitioned",
        ]).prop_shuffle()) {
            let line = |attributes: &[&str]| format!("a=1; {}", attributes.join("; "));
            let shuffled = line(&attributes);
            attributes.sort_unstable();
            let sorted = line(&attributes);
            prop_assert_eq!(SetCookie::parse(&shuffled), SetCookie::parse(&sorted));
        }
    }
}
