//! Under which keys things live.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::policy::session::StoreKey;
use crate::store::{Owner, Stored};

/// The braces say which part of a name chooses the machine of a cluster.
pub(super) fn session_name(key: &StoreKey) -> String {
    format!("withcreds:s:{{{}}}", encoded(key.as_bytes()))
}

pub(super) fn owner_name(owner: Owner<'_>) -> String {
    format!("withcreds:u:{{{}}}", hashed(&[owner.tenant, owner.user]))
}

pub(super) fn idp_name(kind: &str, issuer: &str, value: &str) -> String {
    format!("withcreds:n:{{{}}}", hashed(&[kind, issuer, value]))
}

/// The lists that name a session, its user's first. No name has a blank in it.
pub(super) fn lists(stored: &Stored) -> Vec<String> {
    let mut names = vec![owner_name(stored.owner())];
    if let Some(idp) = &stored.idp {
        names.extend(idp.sid.as_deref().map(|sid| idp_name("sid", &idp.issuer, sid)));
        names.push(idp_name("sub", &idp.issuer, &idp.sub));
    }
    names
}

/// Each part with its length: no two lists of parts read alike.
fn hashed(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    encoded(&hash.finalize())
}

pub(super) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn key_of(id: &str) -> Option<StoreKey> {
    let bytes = URL_SAFE_NO_PAD.decode(id).ok()?;
    Some(StoreKey::from_bytes(*bytes.first_chunk()?))
}
