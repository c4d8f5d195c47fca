//! A session as bytes, for wherever it leaves the process: sealed before it does, so nothing here
//! defends itself against forgers, only against other versions.

use std::sync::Arc;

use crate::identity::User;
use crate::policy::agent::Agent;
use crate::policy::session::{Activity, UnixMillis};
use crate::secret::Secret;
use crate::store::{IdpSession, Stored, Tokens};

/// Says how what follows is written, should it ever be done in another way.
const FORMAT: u8 = 1;

/// Writes a session.
pub(super) fn encode(stored: &Stored) -> Vec<u8> {
    let Stored { user, idp, activity, version, agent } = stored;
    let mut out = Vec::with_capacity(64 + stored.payload());
    out.push(FORMAT);
    number(&mut out, activity.created.0);
    number(&mut out, activity.last_seen.0);
    number(&mut out, u64::from(*version));
    out.extend_from_slice(&agent.to_bytes());
    for text in [user.id(), user.tenant(), user.metadata()] {
        put(&mut out, Some(text));
    }
    out.push(u8::from(idp.is_some()));
    if let Some(idp) = idp {
        let IdpSession { issuer, sub, sid, tokens } = &**idp;
        let Tokens { access, access_expires_at, refresh, id } = tokens;
        for text in [Some(&**issuer), Some(&**sub), sid.as_deref()] {
            put(&mut out, text);
        }
        for token in [access, refresh, id] {
            put(&mut out, token.as_ref().map(|token| &**token.expose()));
        }
        number(&mut out, access_expires_at.map_or(0, |at| at.0.saturating_add(1)));
    }
    out
}

/// Bytes that [`encode`] has not written.
pub(super) struct Malformed;

/// Reads one; `None` for anything that [`encode`] does not write.
pub(super) fn decode(bytes: &[u8]) -> Option<Stored> {
    Input(bytes).session().ok()
}

/// Seven bits a byte, the lowest first.
pub(super) fn number(out: &mut Vec<u8>, mut n: u64) {
    loop {
        let low = u8::try_from(n & 0x7f).unwrap_or(0);
        n >>= 7;
        if n == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// A length more by one, so that nothing and an empty text differ.
fn put(out: &mut Vec<u8>, text: Option<&str>) {
    number(out, text.map_or(0, |text| text.len() as u64 + 1));
    out.extend_from_slice(text.unwrap_or("").as_bytes());
}

/// What is left to read.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    fn session(mut self) -> Result<Stored, Malformed> {
        if self.byte()? != FORMAT {
            return Err(Malformed);
        }
        let activity =
            Activity { created: UnixMillis(self.number()?), last_seen: UnixMillis(self.number()?) };
        let version = u32::try_from(self.number()?).map_err(|_| Malformed)?;
        let agent = Agent::from_bytes([self.byte()?, self.byte()?]);
        let user = User::from_parts(self.text()?, self.text()?, self.text()?);
        let idp = match self.byte()? {
            0 => None,
            1 => Some(Arc::new(self.idp()?)),
            _ => return Err(Malformed),
        };
        if !self.0.is_empty() {
            return Err(Malformed);
        }
        Ok(Stored { user, idp, activity, version, agent })
    }

    fn idp(&mut self) -> Result<IdpSession, Malformed> {
        let (issuer, sub) = (self.text()?.into(), self.text()?.into());
        let sid = self.text_or_none()?.map(Into::into);
        let (access, refresh, id) = (self.token()?, self.token()?, self.token()?);
        let access_expires_at = self.number()?.checked_sub(1).map(UnixMillis);
        let tokens = Tokens { access, access_expires_at, refresh, id };
        Ok(IdpSession { issuer, sub, sid, tokens })
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn bytes(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (first, rest) = self.0.split_at_checked(n).ok_or(Malformed)?;
        self.0 = rest;
        Ok(first)
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            n |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(Malformed)
    }

    fn text_or_none(&mut self) -> Result<Option<&'a str>, Malformed> {
        let Some(length) = self.number()?.checked_sub(1) else { return Ok(None) };
        let bytes = self.bytes(usize::try_from(length).map_err(|_| Malformed)?)?;
        std::str::from_utf8(bytes).map(Some).map_err(|_| Malformed)
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        self.text_or_none()?.ok_or(Malformed)
    }

    fn token(&mut self) -> Result<Option<Secret<Box<str>>>, Malformed> {
        Ok(self.text_or_none()?.map(|text| Secret::new(text.into())))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(text: Option<String>) -> Option<Secret<Box<str>>> {
        text.map(|text| Secret::new(text.into()))
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            texts: [String; 3], moments: [u64; 2], version: u32, agent in [0u8..9, 0u8..7],
            idp: Option<([String; 2], [Option<String>; 4], Option<u32>)>, cut: prop::sample::Index,
        ) {
            let idp = idp.map(|([issuer, sub], [sid, access, refresh, id], at)| Arc::new(IdpSession {
                issuer: issuer.into(),
                sub: sub.into(),
                sid: sid.map(Into::into),
                tokens: Tokens {
                    access: token(access),
                    access_expires_at: at.map(|at| UnixMillis(at.into())),
                    refresh: token(refresh),
                    id: token(id),
                },
            }));
            let [created, last_seen] = moments.map(UnixMillis);
            let stored = Stored {
                user: User::from_parts(&texts[0], &texts[1], &texts[2]),
                idp,
                activity: Activity { created, last_seen },
                version,
                agent: Agent::from_bytes(agent),
            };
            let bytes = encode(&stored);
            prop_assert_eq!(decode(&bytes), Some(stored));
            prop_assert_eq!(decode(&bytes[..cut.index(bytes.len())]), None);
        }

        #[test]
        fn anything_else_is_no_session(mut bytes: Vec<u8>) {
            // Whatever it makes of it, it does not panic.
            let _ = decode(&bytes);
            bytes.insert(0, 2);
            prop_assert_eq!(decode(&bytes), None);
        }
    }
}
