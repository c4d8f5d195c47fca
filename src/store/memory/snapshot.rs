//! Sessions over a graceful restart: one sealed file, written at the stop and used up at the start.
//!
//! It is used up because whatever ends after the start must stay ended: a file that is left lying
//! would revive it after the next crash.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::{Gate, Load, MemoryStore, lock};
use crate::effects::random;
use crate::policy::session::{StoreKey, UnixMillis};
use crate::seal::{KeyRing, Seal};
use crate::store::Stored;
use crate::store::codec::{self, Input};

const MAGIC: &[u8; 21] = b"withcreds snapshot 1\n";
const PURPOSE: &str = "snapshot v1";
/// So much is sealed at once.
const CHUNK_BYTES: usize = 64 << 10;
/// No chunk is longer, whatever the file says.
const MAX_CHUNK_BYTES: usize = 64 << 20;

/// Why a snapshot was not written or not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The system says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Another program's file.
    #[error("{}: this is no snapshot of withcreds", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Sealed with a key that is not in the ring, cut, or touched.
    #[error(
        "{}: it cannot be opened: it is damaged, or sealed with a key that is not among session.keys",
        path.display()
    )]
    Sealed {
        /// The file.
        path: PathBuf,
    },
}

impl MemoryStore {
    /// Writes all live sessions to a file that only this user may read; the file is there
    /// completely or not at all. How many there were. From then on this store lets no session
    /// begin, change or end: a logout that the file does not know of would be undone by it.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Io`].
    pub fn save(
        &self,
        path: &Path,
        keys: &KeyRing,
        now: UnixMillis,
    ) -> Result<usize, SnapshotError> {
        *self.gate.write().unwrap_or_else(PoisonError::into_inner) = Gate::Shut;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary =
            path.with_file_name(format!(".{name}.{:08x}", u32::from_le_bytes(random())));
        let written = self.write(&temporary, keys, now).and_then(|count| {
            fs::rename(&temporary, path)?;
            // Renamed for good only when the folder says so, too.
            let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(count)
        });
        written.map_err(|source| {
            let _ = fs::remove_file(&temporary);
            SnapshotError::Io { path: path.to_owned(), source }
        })
    }

    fn write(&self, path: &Path, keys: &KeyRing, now: UnixMillis) -> io::Result<usize> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = BufWriter::new(options.open(path)?);
        let mut chunks = Chunks::new(keys, random());
        file.write_all(MAGIC)?;
        file.write_all(&chunks.file)?;
        let mut plain = Vec::with_capacity(CHUNK_BYTES * 2);
        let mut count = 0;
        for key in self.keys_by_age(now) {
            let Some(stored) = self.shard(&key).find(&key).map(|slot| slot.stored.clone()) else {
                continue;
            };
            let session = codec::encode(&stored);
            plain.extend_from_slice(key.as_bytes());
            codec::number(&mut plain, session.len() as u64);
            plain.extend_from_slice(&session);
            count += 1;
            if plain.len() >= CHUNK_BYTES {
                chunks.write(&mut file, &plain, false)?;
                plain.clear();
            }
        }
        chunks.write(&mut file, &plain, true)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(count)
    }

    /// The live ones, oldest first, so that each user's come back in their order.
    fn keys_by_age(&self, now: UnixMillis) -> Vec<StoreKey> {
        let mut keys = Vec::with_capacity(self.len());
        for shard in &self.shards {
            let shard = lock(shard);
            let live =
                shard.iter().filter(|slot| !self.lifetimes.is_expired(slot.stored.activity, now));
            keys.extend(live.map(|slot| (slot.stored.activity.created, slot.key)));
        }
        keys.sort_by_key(|(created, _)| *created);
        keys.into_iter().map(|(_, key)| key).collect()
    }

    /// Takes in what [`save`](Self::save) wrote, and removes the file. No file is an empty one.
    /// How many sessions are still alive and fit.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`]; then some sessions may have been taken in, and the store should be
    /// thrown away.
    pub fn load(
        &self,
        path: &Path,
        keys: &KeyRing,
        now: UnixMillis,
    ) -> Result<usize, SnapshotError> {
        let io = |source| SnapshotError::Io { path: path.to_owned(), source };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(io(error)),
        };
        let mut file = BufReader::new(file);
        let (mut magic, mut id) = ([0; MAGIC.len()], [0; 16]);
        let begun = file.read_exact(&mut magic).and_then(|()| file.read_exact(&mut id));
        if begun.is_err() || magic != *MAGIC {
            return Err(SnapshotError::Foreign { path: path.to_owned() });
        }
        let mut chunks = Chunks::new(keys, id);
        let mut count = 0;
        loop {
            let sealed = || SnapshotError::Sealed { path: path.to_owned() };
            let (plain, last) = chunks.read(&mut file).ok_or_else(sealed)?;
            count += self.take_in(&plain, now).ok_or_else(sealed)?;
            if last {
                break;
            }
        }
        fs::remove_file(path).map_err(io)?;
        Ok(count)
    }

    fn take_in(&self, plain: &[u8], now: UnixMillis) -> Option<usize> {
        let (mut input, mut count) = (Input(plain), 0);
        while !input.0.is_empty() {
            let key = StoreKey::from_bytes(*input.bytes(32).ok()?.first_chunk()?);
            let length = usize::try_from(input.number().ok()?).ok()?;
            let stored = codec::decode(input.bytes(length).ok()?)?;
            count += usize::from(self.revive(&key, stored, now));
        }
        Some(count)
    }

    fn revive(&self, key: &StoreKey, stored: Stored, now: UnixMillis) -> bool {
        let owner = self.hash(stored.owner());
        let mut rings = self.lock_rings(owner, owner);
        let over = self.lifetimes.is_expired(stored.activity, now);
        let known = self.shard(key).find(key).is_some();
        if over || known || !self.budget.exchange(Load::default(), super::load_of(&stored)) {
            return false;
        }
        self.put_in(&mut rings, key, stored, now);
        true
    }
}

/// Chunks of one file, each sealed for its place in it: none can be left out, repeated, or taken
/// over from another file.
struct Chunks {
    seal: Seal,
    file: [u8; 16],
    next: u64,
}

impl Chunks {
    fn new(keys: &KeyRing, file: [u8; 16]) -> Self {
        Self { seal: keys.seal_for(PURPOSE), file, next: 0 }
    }

    fn context(&self, last: bool) -> [u8; 25] {
        let mut context = [u8::from(last); 25];
        context[..16].copy_from_slice(&self.file);
        context[16..24].copy_from_slice(&self.next.to_le_bytes());
        context
    }

    fn write(&mut self, file: &mut impl Write, plain: &[u8], last: bool) -> io::Result<()> {
        let sealed = self.seal.seal(&self.context(last), plain);
        let length = u32::try_from(sealed.len()).map_err(io::Error::other)?;
        self.next += 1;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(&sealed)
    }

    /// The next chunk, and whether it is the last.
    fn read(&mut self, file: &mut impl Read) -> Option<(Vec<u8>, bool)> {
        let mut length = [0; 4];
        file.read_exact(&mut length).ok()?;
        let length = u32::from_le_bytes(length) as usize;
        let mut sealed = Vec::new();
        if length > MAX_CHUNK_BYTES {
            return None;
        }
        // Grows as it is filled: a damaged length allocates nothing by itself.
        file.take(length as u64).read_to_end(&mut sealed).ok()?;
        let opened = [false, true].into_iter().find_map(|last| {
            self.seal.open(&self.context(last), &sealed).map(|plain| (plain, last))
        })?;
        self.next += 1;
        Some(opened)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::identity::User;
    use crate::policy::key::SessionKey;
    use crate::policy::session::SessionSecret;
    use crate::store::conformance::LIFETIMES;
    use crate::store::{
        Evict, Found, NewSession, Owner, SessionStore as _, StoreError, StoreLimits, Ticket,
    };

    const START: UnixMillis = UnixMillis(1_000_000);
    const MANY: u64 = 2000;

    fn store(max_sessions: usize) -> MemoryStore {
        let (max_sessions_per_user, max_bytes, evict) = (10, usize::MAX, Evict::Nobody);
        let limits = StoreLimits { max_sessions, max_sessions_per_user, max_bytes, evict };
        MemoryStore::new(LIFETIMES, limits)
    }

    fn secret(n: u64) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        bytes
    }

    fn key(n: u64) -> StoreKey {
        SessionSecret::from_random(secret(n)).store_key()
    }

    fn ring(n: u8) -> KeyRing {
        KeyRing::new(vec![SessionKey::from_random([n; 32])]).unwrap()
    }

    fn filled() -> MemoryStore {
        let store = store(10_000);
        for n in 0..MANY {
            let now = START.after(Duration::from_millis(n));
            let session = NewSession::of(User::named(&format!("user-{}", n / 2)));
            store.add(&key(n), session, None, now).unwrap();
        }
        store
    }

    #[test]
    fn sessions_survive_a_restart_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.snapshot");
        let old = filled();
        assert!(old.end(&key(4), super::super::End::Revoked, START, |_| true).is_some());
        assert_eq!(old.save(&path, &ring(1), START).unwrap(), 1999);
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(
                &fs::metadata(&path).unwrap().permissions(),
            );
            assert_eq!(mode & 0o777, 0o600);
        }
        // A request that is still running: it must not believe that it has logged anybody out.
        let ticket = Ticket::new(SessionSecret::from_random(secret(7)));
        let late = tokio_test::block_on(old.remove(&ticket, START));
        assert!(matches!(late, Err(StoreError::Unavailable { .. })), "{late:?}");
        assert!(matches!(old.look_up(&key(7), true, START), Found::Live(_)));

        let text = fs::read(&path).unwrap();
        assert!(!text.windows(5).any(|w| w == b"user-"), "names are readable");

        let later = START.after(LIFETIMES.idle);
        let new = store(10_000);
        // One has expired meanwhile; a few milliseconds later the next would have.
        assert_eq!(new.load(&path, &ring(1), UnixMillis(later.0 + 1)).unwrap(), 1998);
        assert_eq!(new.bytes(), old.bytes() - super::super::OVERHEAD - User::named("user-0").len());
        let Found::Live(stored) = new.look_up(&key(7), false, later) else { panic!("lost") };
        assert_eq!((stored.user.id(), stored.activity.created.0), ("user-3", START.0 + 7));
        assert_eq!(new.look_up(&key(4), false, later), Found::Nothing);
        let owner = Owner { tenant: "default", user: "user-500" };
        let listed = new.list(owner, later);
        assert_eq!(listed.iter().map(|(k, _)| *k).collect::<Vec<_>>(), [key(1001), key(1000)]);
        // It is used up: what ends from now on stays ended.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(store(10).load(&path, &ring(1), later).unwrap(), 0);
    }

    #[test]
    fn a_smaller_store_takes_what_fits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        filled().save(&path, &ring(1), START).unwrap();
        let new = store(100);
        assert_eq!((new.load(&path, &ring(1), START).unwrap(), new.len()), (100, 100));
    }

    #[test]
    fn what_is_damaged_or_foreign_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        filled().save(&path, &ring(1), START).unwrap();
        let good = fs::read(&path).unwrap();
        let mut touched = good.clone();
        touched[good.len() / 2] ^= 1;
        // Chunk by chunk: lengths lead from one to the next.
        let first = 37 + 4 + u32::from_le_bytes(*good[37..].first_chunk().unwrap()) as usize;
        let without_last = &good[..first];
        let without_first = [&good[..37], &good[first..]].concat();
        for (case, bytes, key, foreign) in [
            ("another key", &good[..], 2, false),
            ("touched", &touched, 1, false),
            ("cut within a chunk", &good[..good.len() - 1], 1, false),
            ("cut between chunks", without_last, 1, false),
            ("without the beginning", &without_first, 1, false),
            ("cut within the head", &good[..30], 1, true),
            ("empty", b"", 1, true),
            ("another program's", b"<html><title>a page of some length</title></html>", 1, true),
        ] {
            fs::write(&path, bytes).unwrap();
            let error = store(10_000).load(&path, &ring(key), START).unwrap_err();
            assert_eq!(matches!(error, SnapshotError::Foreign { .. }), foreign, "{case}: {error}");
            assert!(path.exists(), "{case}: what was not used is not removed");
        }
        fs::write(&path, &good).unwrap();
        let both = KeyRing::new([2, 1].map(|n| SessionKey::from_random([n; 32])).to_vec()).unwrap();
        assert_eq!(store(10_000).load(&path, &both, START).unwrap(), 2000, "a rotated key");
    }
}
