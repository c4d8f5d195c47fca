//! Local accounts: a TOML file of names and argon2id hashes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::identity::User;
use crate::secret::Secret;

/// Longer passwords are refused unhashed: nobody types them, and hashing costs.
pub(crate) const MAX_PASSWORD_BYTES: usize = 1024;
/// Logins that wait for a core.
const MAX_WAITING: usize = 256;
/// In KiB times passes: a hash that is over sooner than a thread could be woken for it, which is for
/// tests and demonstrations only.
const CHEAP: u64 = 32;

/// More logins at once than can be checked in a reasonable time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many logins at once")]
pub struct Busy;

/// Why the accounts cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountsError {
    /// The file cannot be read.
    #[error("cannot read the users file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, or not of the expected form. The text never holds a value of the file.
    #[error("the users file {} is malformed at line {line}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A password that is no argon2id hash.
    #[error(
        "the password of user `{username}` is not an argon2id hash: make one with `withcreds hash-password`"
    )]
    NotAHash {
        /// Whose.
        username: String,
    },
    /// One name twice.
    #[error("user `{username}` is listed twice")]
    Duplicate {
        /// Who.
        username: String,
    },
    /// A name without characters.
    #[error("a user has an empty username")]
    EmptyName,
    /// Hashing failed.
    #[error("cannot hash the password: {0}")]
    Hash(argon2::password_hash::Error),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersFile {
    #[serde(default)]
    user: Vec<UserEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserEntry {
    username: String,
    password: Secret<String>,
    user_id: Option<String>,
    tenant: Option<String>,
    #[serde(default)]
    metadata: toml::Table,
}

#[derive(Debug)]
struct Account {
    user: User,
    hash: Secret<PasswordHash>,
}

/// The accounts of this service.
#[derive(Debug)]
pub struct LocalAccounts {
    accounts: HashMap<String, Account>,
    /// What a password is compared with when there is no such user, so that both cost the same. No
    /// hash costs more.
    decoy: Secret<PasswordHash>,
    /// Whether all hashes are cheap. All or none: who asks for an unknown user waits the same way.
    cheap: bool,
    /// Hashing takes a core and 19 MiB for a while: only so many at once.
    cores: Arc<Semaphore>,
    /// Who waits for a core; beyond this, logins are turned away.
    queue: Arc<Semaphore>,
}

impl LocalAccounts {
    /// Reads a users file.
    ///
    /// # Errors
    ///
    /// Every mistake, with file and place.
    pub fn read(path: &Path) -> Result<Self, Vec<AccountsError>> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| vec![AccountsError::Read { path: path.to_owned(), source }])?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Vec<AccountsError>> {
        let file: UsersFile = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            let (path, reason) = (path.to_owned(), e.message().to_owned());
            vec![AccountsError::Malformed { path, line, reason }]
        })?;
        let (mut accounts, mut errors) = (HashMap::new(), Vec::new());
        for entry in file.user {
            let username = entry.username;
            if username.is_empty() {
                errors.push(AccountsError::EmptyName);
                continue;
            }
            let Some(hash) = parse_hash(entry.password.expose()) else {
                errors.push(AccountsError::NotAHash { username });
                continue;
            };
            let metadata = serde_json::to_string(&entry.metadata).unwrap_or("{}".to_owned());
            let id = entry.user_id.as_deref().unwrap_or(&username);
            let user = User::from_parts(id, entry.tenant.as_deref().unwrap_or(""), &metadata);
            let account = Account { user, hash };
            if accounts.insert(username.clone(), account).is_some() {
                errors.push(AccountsError::Duplicate { username });
            }
        }
        if errors.is_empty() { Self::new(accounts).map_err(|e| vec![e]) } else { Err(errors) }
    }

    /// Accounts that hold one user with this password; for demonstrations and tests. The hash is
    /// cheap, because the password is meant to be long, random, and forgotten with the process.
    ///
    /// # Errors
    ///
    /// [`AccountsError::Hash`] if the system has no randomness.
    pub fn single(username: &str, password: &str, user: User) -> Result<Self, AccountsError> {
        let cheap = Params::new(8, 1, 1, None).unwrap_or_default();
        let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, cheap)
            .hash_password(password.as_bytes())
            .map_err(AccountsError::Hash)?;
        let account = Account { user, hash: Secret::new(hash) };
        Self::new(HashMap::from([(username.to_owned(), account)]))
    }

    /// No accounts: every login fails.
    ///
    /// # Errors
    ///
    /// [`AccountsError::Hash`] if the system has no randomness.
    pub fn none() -> Result<Self, AccountsError> {
        Self::new(HashMap::new())
    }

    fn new(accounts: HashMap<String, Account>) -> Result<Self, AccountsError> {
        let decoy = match accounts.values().map(|a| &a.hash).max_by_key(|hash| cost(hash.expose()))
        {
            Some(hash) => hash.clone(),
            None => Secret::new(hash(b"nobody")?),
        };
        let cheap = cost(decoy.expose()) <= CHEAP;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (cores, queue) =
            (Arc::new(Semaphore::new(cores)), Arc::new(Semaphore::new(MAX_WAITING)));
        Ok(Self { accounts, decoy, cheap, cores, queue })
    }

    /// How many accounts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether nobody can log in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// The user, if the password is theirs; `Ok(None)` otherwise. Unknown users and wrong passwords take the same time.
    /// The hash runs off the async threads, and only as many at once as there are cores; unless it
    /// is cheaper than the way there.
    ///
    /// # Errors
    ///
    /// [`Busy`] when too many wait already.
    pub async fn log_in(
        self: &Arc<Self>,
        username: String,
        password: Secret<String>,
    ) -> Result<Option<User>, Busy> {
        if password.expose().len() > MAX_PASSWORD_BYTES {
            return Ok(None);
        }
        if self.cheap {
            return Ok(self.verify(&username, password.expose()));
        }
        let place = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| Busy)?;
        let core = Arc::clone(&self.cores).acquire_owned().await.map_err(|_| Busy)?;
        let accounts = Arc::clone(self);
        // Both permits go along: a client that hangs up ends its request, not the hashing.
        let verified = tokio::task::spawn_blocking(move || {
            let _held = (place, core);
            accounts.verify(&username, password.expose())
        });
        verified.await.map_err(|_| Busy)
    }

    fn verify(&self, username: &str, password: &str) -> Option<User> {
        let account = self.accounts.get(username);
        let hash = account.map_or(&self.decoy, |account| &account.hash);
        let fits = Argon2::default().verify_password(password.as_bytes(), hash.expose()).is_ok();
        account.filter(|_| fits).map(|account| account.user.clone())
    }
}

/// Hashes a password into an argon2id PHC string with the crate's recommended cost (19 MiB, two
/// passes).
///
/// # Errors
///
/// [`AccountsError::Hash`] if the system has no randomness.
pub fn hash_password(password: &str) -> Result<String, AccountsError> {
    hash(password.as_bytes()).map(|hash| hash.to_string())
}

fn hash(password: &[u8]) -> Result<PasswordHash, AccountsError> {
    Argon2::default().hash_password(password).map_err(AccountsError::Hash)
}

/// Memory in KiB times passes: what a hash costs, near enough. What does not say it is dear.
fn cost(hash: &PasswordHash) -> u64 {
    let decimal = |name: &str| hash.params.get_decimal(name).map_or(u64::MAX, u64::from);
    decimal("m").saturating_mul(decimal("t"))
}

fn parse_hash(text: &str) -> Option<Secret<PasswordHash>> {
    let hash = PasswordHash::new(text).ok()?;
    let complete =
        hash.algorithm.as_str() == "argon2id" && hash.salt.is_some() && hash.hash.is_some();
    complete.then(|| Secret::new(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<LocalAccounts, Vec<AccountsError>> {
        LocalAccounts::parse(text, Path::new("users.toml"))
    }

    #[tokio::test]
    async fn the_right_password_and_no_other() {
        let hash = hash_password("correct horse").unwrap();
        let accounts = Arc::new(
            parse(&format!(
                "[[user]]\nusername = 'ada'\nuser_id = 'u1'\npassword = '{hash}'\nmetadata = {{ role = 'admin', n = 1 }}\n"
            ))
            .unwrap(),
        );
        for (case, name, password, want) in [
            ("right", "ada", "correct horse", Some("u1")),
            ("wrong", "ada", "correct horsf", None),
            ("empty", "ada", "", None),
            ("unknown user", "bob", "correct horse", None),
            ("name in another case", "Ada", "correct horse", None),
        ] {
            let user = accounts.log_in(name.into(), Secret::new(password.into())).await.unwrap();
            assert_eq!(user.as_ref().map(User::id), want, "{case}");
        }
        let right = Secret::new("correct horse".to_owned());
        let user = accounts.log_in("ada".into(), right).await.unwrap().unwrap();
        assert_eq!(user.metadata(), r#"{"n":1,"role":"admin"}"#);
        assert_eq!(user.tenant(), "default");
    }

    #[tokio::test]
    async fn one_dear_hash_and_all_go_off_the_async_threads() {
        let dear = hash_password("pw").unwrap();
        let cheap =
            Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
        let cheap = cheap.hash_password(b"pw").unwrap().to_string();
        let user = |name: &str, hash: &str| {
            format!("[[user]]\nusername = '{name}'\npassword = '{hash}'\n")
        };
        for (text, off) in [
            (user("a", &cheap), false),
            (user("a", &dear), true),
            (user("a", &cheap) + &user("b", &dear), true),
            (String::new(), true),
        ] {
            let accounts = Arc::new(parse(&text).unwrap());
            for name in ["a", "nobody"] {
                let mut login =
                    tokio_test::task::spawn(accounts.log_in(name.into(), Secret::new("x".into())));
                assert_eq!(login.poll().is_pending(), off, "{text} {name}");
            }
        }
    }

    #[test]
    fn bad_files_are_named_without_their_secrets() {
        let hash = hash_password("x").unwrap();
        for (case, text, says) in [
            ("plain text", "[[user]]\nusername='ada'\npassword='hunter2'", "hash-password"),
            (
                "twice",
                &format!("{0}{0}", format!("[[user]]\nusername='ada'\npassword='{hash}'\n")),
                "listed twice",
            ),
            ("unknown key", "[[user]]\nusername='a'\npasswort='hunter2'", "line 3"),
            ("no TOML", "user = [", "malformed"),
            ("number for a password", "[[user]]\nusername='a'\npassword=5", "line 3"),
            (
                "empty name",
                &format!("[[user]]\nusername=''\npassword='{hash}'\n"),
                "empty username",
            ),
        ] {
            let errors = parse(text).err().unwrap_or_default();
            let error: String = errors.iter().map(ToString::to_string).collect();
            assert!(error.contains(says), "{case}: {error}");
            assert!(!error.contains("hunter2"), "{case}: {error}");
        }
    }
}
