//! Sealing: what leaves the process (a cookie, a snapshot, a record in a shared store) is encrypted
//! and authenticated, and opens only for the purpose it was sealed for.
//!
//! One ring of keys comes from the configuration, newest first. New things are sealed with the
//! newest; all keys open, so a key is rotated by putting another in front of it, and dropped once
//! nothing that it sealed is alive.

use std::fmt;

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;

use crate::effects::random;
use crate::policy::key::SessionKey;

/// Says how what follows is sealed, should it ever be done in another way.
const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
/// How much longer sealed bytes are than plain ones.
pub const OVERHEAD: usize = 1 + NONCE_BYTES + TAG_BYTES;

/// The keys of `[session] keys`, newest first; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRing {
    keys: Vec<SessionKey>,
}

impl KeyRing {
    /// A ring of these keys, newest first; `None` if there is none.
    #[must_use]
    pub fn new(keys: Vec<SessionKey>) -> Option<Self> {
        (!keys.is_empty()).then_some(Self { keys })
    }

    /// A ring of one key that ends with the process: what it seals opens nowhere else.
    #[must_use]
    pub fn random() -> Self {
        Self { keys: vec![SessionKey::from_random(random())] }
    }

    /// The seal for one purpose. Two purposes have nothing in common: what one sealed, the other
    /// does not open.
    #[must_use]
    pub fn seal_for(&self, purpose: &str) -> Seal {
        Seal { ciphers: self.keys.iter().map(|key| cipher(key.expose(), purpose)).collect() }
    }
}

/// Seals and opens for one purpose.
#[derive(Clone)]
pub struct Seal {
    ciphers: Vec<XChaCha20Poly1305>,
}

impl Seal {
    /// The seal that a secret alone makes, such as that in a session cookie: nobody opens it
    /// without the cookie.
    #[must_use]
    pub fn of_secret(secret: &[u8; 32], purpose: &str) -> Self {
        Self { ciphers: vec![cipher(secret, purpose)] }
    }

    /// Seals. `context` is not stored, and has to be the same for opening: it ties the sealed
    /// bytes to the place they stand in.
    ///
    /// The nonce is 24 random bytes: two never meet, however many are drawn.
    #[must_use]
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = random();
        let payload = Payload { msg: plain, aad: context };
        let sealed = self.ciphers[0]
            .encrypt(&XNonce::from(nonce), payload)
            .unwrap_or_else(|_| unreachable!("only 256 GiB at once are too long"));
        let mut bytes = Vec::with_capacity(plain.len() + OVERHEAD);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        bytes
    }

    /// Opens what any key of the ring has sealed, if nobody touched it since.
    #[must_use]
    pub fn open(&self, context: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
        let (&FORMAT, rest) = bytes.split_first()? else { return None };
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let nonce = XNonce::from(*nonce);
        let open = |cipher: &XChaCha20Poly1305| {
            cipher.decrypt(&nonce, Payload { msg: sealed, aad: context }).ok()
        };
        self.ciphers.iter().find_map(open)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(***)")
    }
}

fn cipher(key: &[u8], purpose: &str) -> XChaCha20Poly1305 {
    let mut derived = [0; 32];
    Hkdf::<Sha256>::new(Some(b"withcreds"), key)
        .expand(purpose.as_bytes(), &mut derived)
        .unwrap_or_else(|_| unreachable!("32 bytes are not too many"));
    XChaCha20Poly1305::new(&derived.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> SessionKey {
        SessionKey::from_random([n; 32])
    }

    fn ring(keys: &[u8]) -> KeyRing {
        KeyRing::new(keys.iter().map(|n| key(*n)).collect()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let (seal, other) = (ring(&[1]).seal_for("a"), ring(&[1]).seal_for("b"));
        let sealed = seal.seal(b"here", b"text");
        assert_eq!(sealed.len(), 4 + OVERHEAD);
        assert_eq!(seal.open(b"here", &sealed).as_deref(), Some(&b"text"[..]));
        assert_eq!(seal.open(b"there", &sealed), None);
        assert_eq!(other.open(b"here", &sealed), None);
        assert_eq!(ring(&[2]).seal_for("a").open(b"here", &sealed), None);
        for at in 0..sealed.len() {
            let mut touched = sealed.clone();
            touched[at] ^= 1;
            assert_eq!(seal.open(b"here", &touched), None, "byte {at}");
            assert_eq!(seal.open(b"here", &sealed[..at]), None, "cut at {at}");
        }
        assert_ne!(seal.seal(b"here", b"text"), sealed, "a nonce was used twice");
    }

    #[test]
    fn keys_rotate() {
        let old = ring(&[1]).seal_for("a").seal(b"", b"text");
        let both = ring(&[2, 1]).seal_for("a");
        assert!(both.open(b"", &old).is_some());
        let new = both.seal(b"", b"text");
        assert!(ring(&[2]).seal_for("a").open(b"", &new).is_some());
        assert!(ring(&[1]).seal_for("a").open(b"", &new).is_none());
        assert!(KeyRing::new(Vec::new()).is_none());
    }

    #[test]
    fn nothing_prints() {
        let shown = format!("{:?} {:?}", ring(&[65]), ring(&[65]).seal_for("a"));
        assert!(!shown.contains("65"), "{shown}");
    }
}
