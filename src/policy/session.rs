//! Sessions as values: the secret in the cookie, the key it is stored under, its life time.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// A moment, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// This moment and a duration more; stays at the end of time rather than overflow.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// This moment less a duration; the epoch at the earliest.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(millis))
    }
}

/// The 32 random bytes that a session cookie carries. Whoever has them is the user, so they are
/// neither stored nor printed: the store knows only [`StoreKey`].
#[derive(Clone)]
pub struct SessionSecret([u8; 32]);

impl SessionSecret {
    /// Wraps bytes from a CSPRNG.
    #[must_use]
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads a cookie value: 43 characters of base64url, nothing else.
    #[must_use]
    pub fn parse(cookie_value: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        // The length is checked first: the decoder is never run over hostile megabytes.
        if cookie_value.len() != 43 {
            return None;
        }
        match URL_SAFE_NO_PAD.decode_slice(cookie_value, &mut bytes) {
            Ok(32) => Some(Self(bytes)),
            _ => None,
        }
    }

    /// The value for the cookie: base64url without padding.
    #[must_use]
    pub fn to_cookie_value(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The key under which the store keeps this session. A dump of the store opens no session.
    ///
    /// Label and secret together fit into one SHA-256 block: the secret is uniformly random, so a
    /// plain hash with a label derives as well as HKDF would, at a quarter of the cost.
    #[must_use]
    pub fn store_key(&self) -> StoreKey {
        let hash = Sha256::new().chain_update(b"withcreds session v1").chain_update(self.0);
        StoreKey(hash.finalize().into())
    }

    /// The bytes themselves, as a key for CSRF tokens and sealed records.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret(***)")
    }
}

/// What the store knows a session by: a hash of its secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreKey([u8; 32]);

impl StoreKey {
    /// Eight uniformly distributed bytes, for choosing shards and buckets.
    #[must_use]
    pub(crate) fn spread(&self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

impl StoreKey {
    /// The name by which a user's list of sessions calls this one. A hash of a hash: whoever reads
    /// the list learns nothing about the store, and handles need no place of their own.
    #[must_use]
    pub fn handle(&self) -> Handle {
        let hash = Sha256::new().chain_update(b"withcreds handle v1").chain_update(self.0);
        let mut handle = [0; HANDLE_BYTES];
        handle.copy_from_slice(&hash.finalize()[..HANDLE_BYTES]);
        Handle(handle)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

const HANDLE_BYTES: usize = 12;

/// The public name of a session: for its user's eyes, opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle([u8; HANDLE_BYTES]);

impl Handle {
    /// Reads 16 characters of base64url.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; HANDLE_BYTES];
        if text.len() != HANDLE_BYTES / 3 * 4 {
            return None;
        }
        URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok().map(|_| Self(bytes))
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(***)")
    }
}

/// How long sessions live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Since the last request that used the session.
    pub idle: Duration,
    /// Since login, however busy the user is.
    pub absolute: Duration,
}

/// When a session began and was last used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// Login.
    pub created: UnixMillis,
    /// Last use that extended it.
    pub last_seen: UnixMillis,
}

impl Lifetimes {
    /// The end that no activity moves.
    #[must_use]
    pub fn expires_at(&self, activity: Activity) -> UnixMillis {
        activity.created.after(self.absolute)
    }

    /// The end that comes if nothing more happens; never later than [`Self::expires_at`].
    #[must_use]
    pub fn idle_expires_at(&self, activity: Activity) -> UnixMillis {
        activity.last_seen.after(self.idle).min(self.expires_at(activity))
    }

    /// Whether the session is over at `now`. The last millisecond still counts as alive.
    #[must_use]
    pub fn is_expired(&self, activity: Activity, now: UnixMillis) -> bool {
        now > self.idle_expires_at(activity)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn cookie_values_are_read_strictly() {
        let secret = SessionSecret::from_random([7; 32]);
        let value = secret.to_cookie_value();
        assert_eq!(value.len(), 43);
        let again = SessionSecret::parse(&value).expect("own value");
        assert!(again.store_key() == secret.store_key());
        for (case, bad) in [
            ("empty", String::new()),
            ("short", value[..42].to_owned()),
            ("long", format!("{value}A")),
            ("padded", format!("{}=", &value[..42])),
            ("standard alphabet", format!("{}+", &value[..42])),
            ("not ASCII", "é".repeat(43)),
            ("loose last bits", format!("{}B", &value[..42])),
        ] {
            assert!(SessionSecret::parse(&bad).is_none(), "{case}");
        }
    }

    #[test]
    fn a_handle_names_one_session() {
        let [one, two] = [1, 2].map(|n| SessionSecret::from_random([n; 32]).store_key().handle());
        assert_ne!(one, two);
        assert_eq!(Handle::parse(&one.to_string()), Some(one));
        for bad in ["", "abc", "../../etc/passwd", "AAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAA"] {
            assert_eq!(Handle::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn secrets_never_print() {
        let secret = SessionSecret::from_random([65; 32]);
        let shown = format!("{secret:?} {:?}", secret.store_key());
        assert_eq!(shown, "SessionSecret(***) StoreKey(***)");
    }

    proptest! {
        #[test]
        fn a_session_once_expired_stays_so(
            created in 0u64..1 << 45, used in 0u64..1 << 40, later in 0u64..1 << 40, more in 0u64..1 << 40,
        ) {
            let life = Lifetimes { idle: HOUR, absolute: HOUR * 12 };
            let activity =
                Activity { created: UnixMillis(created), last_seen: UnixMillis(created + used) };
            let now = created + later;
            if life.is_expired(activity, UnixMillis(now)) {
                prop_assert!(life.is_expired(activity, UnixMillis(now + more)));
            }
            prop_assert!(life.idle_expires_at(activity) <= life.expires_at(activity));
        }
    }
}
