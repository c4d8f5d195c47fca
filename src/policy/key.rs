//! The keys of `[session] keys`: what counts as one, and what only looks like one.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// As many bytes as the ciphers take; more are taken as well.
const MIN_BYTES: usize = 32;
const MAX_BYTES: usize = 1024;
/// Of 32 random bytes, fewer than this many differ once in 10^20 times.
const MIN_DISTINCT: usize = 16;

/// A key that the service seals with. It never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey(Box<[u8]>);

/// Why a text is no key. No variant holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Neither hex nor base64url.
    #[error("it is neither base64url nor hex")]
    Malformed,
    /// Fewer than 32 bytes.
    #[error("it has {0} bytes and needs {MIN_BYTES} or more")]
    Short(usize),
    /// Absurdly long.
    #[error("it has {0} bytes; {MAX_BYTES} are the limit")]
    Long(usize),
    /// One byte, or a few, again and again.
    #[error("it repeats itself: whoever tries simple keys first finds it")]
    Repeated,
    /// Bytes in a row, a text, a word such as `example`: from a manual, not from a generator.
    #[error("it is an example or a phrase, not random: whoever has read the manual finds it")]
    Example,
}

impl KeyError {
    /// The stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "session_key_malformed",
            Self::Short(_) => "session_key_short",
            Self::Long(_) => "session_key_long",
            Self::Repeated => "session_key_repeated",
            Self::Example => "session_key_example",
        }
    }
}

impl SessionKey {
    /// Wraps bytes from a CSPRNG.
    #[must_use]
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes.into())
    }

    /// The key as the configuration takes it.
    #[must_use]
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for SessionKey {
    type Err = KeyError;

    /// Reads hex (if it is nothing else) or base64, whose two alphabets and padding are all taken.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        // `openssl rand -hex 32` is valid base64 as well; nobody means that.
        let bytes = from_hex(text).or_else(|| from_base64(text)).ok_or(KeyError::Malformed)?;
        match bytes.len() {
            short @ 0..MIN_BYTES => return Err(KeyError::Short(short)),
            MIN_BYTES..=MAX_BYTES => {}
            long => return Err(KeyError::Long(long)),
        }
        let mut seen = [false; 256];
        for byte in &bytes {
            seen[usize::from(*byte)] = true;
        }
        let in_a_row = bytes.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == 1)
            || bytes.windows(2).all(|pair| pair[0].wrapping_sub(pair[1]) == 1);
        // Of random bytes every third is printable; 32 such in a row are a phrase.
        let is_text = std::str::from_utf8(&bytes).is_ok_and(|t| !t.contains(char::is_control));
        if in_a_row || is_text && seen.iter().filter(|seen| **seen).count() > 2 {
            return Err(KeyError::Example);
        }
        if seen.iter().filter(|seen| **seen).count() < MIN_DISTINCT {
            return Err(KeyError::Repeated);
        }
        Ok(Self(bytes.into()))
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(***)")
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let url: String = text
        .trim_end_matches('=')
        .chars()
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            other => other,
        })
        .collect();
    URL_SAFE_NO_PAD.decode(url).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        let digits = bytes.iter().flat_map(|b| [b >> 4, b & 15]);
        digits.filter_map(|d| char::from_digit(d.into(), 16)).collect()
    }

    #[test]
    fn keys_are_read_in_every_usual_spelling() {
        // Made by a generator once, for this test.
        let text = "Q3v1mT8cWq0-Zs_9kLr5XyJ2bNd7uHe4fPaGoUiVwBE";
        let key: SessionKey = text.parse().unwrap();
        assert_eq!(key.to_text(), text);
        let standard = text.replace('-', "+").replace('_', "/") + "=";
        for same in
            [standard, hex(key.expose()), hex(key.expose()).to_uppercase(), format!(" {text}\n")]
        {
            assert!(same.parse() == Ok(key.clone()), "{same}");
        }
    }

    #[test]
    fn what_only_looks_like_a_key_is_refused() {
        let row: Vec<u8> = (0..32).collect();
        let back: Vec<u8> = (0..32).rev().collect();
        let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        for (case, text, want) in [
            ("empty", String::new(), KeyError::Short(0)),
            ("no alphabet", "%".repeat(64), KeyError::Malformed),
            (
                "a phrase in plain",
                "correct horse battery staple, and more".into(),
                KeyError::Malformed,
            ),
            ("half", "00112233445566778899aabbccddeeff".into(), KeyError::Short(16)),
            ("zeros", "0".repeat(64), KeyError::Repeated),
            ("one byte", "61".repeat(32), KeyError::Repeated),
            ("two bytes", "a5f1".repeat(16), KeyError::Repeated),
            ("a short row again", "0123456789abcdef".repeat(4), KeyError::Repeated),
            ("in a row", hex(&row), KeyError::Example),
            ("backwards", base64(&back), KeyError::Example),
            ("a phrase", base64(b"this is an example: change me!!!"), KeyError::Example),
            (
                "a phrase in French",
                base64("clé d'exemple à remplacer, s'il te plaît".as_bytes()),
                KeyError::Example,
            ),
            ("endless", "a1f3".repeat(2000), KeyError::Long(4000)),
        ] {
            assert_eq!(text.parse::<SessionKey>(), Err(want), "{case}");
        }
    }

    #[test]
    fn a_key_never_prints() {
        assert_eq!(format!("{:?}", SessionKey::from_random([65; 32])), "SessionKey(***)");
    }
}
