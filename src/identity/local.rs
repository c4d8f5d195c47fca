//! Local accounts: a TOML file of names and argon2id hashes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use crate::identity::User;
use crate::secret::Secret;

/// Longer passwords are refused unhashed: nobody types them, and hashing costs.
const MAX_PASSWORD_BYTES: usize = 1024;

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
    user: Arc<User>,
    hash: Secret<PasswordHash>,
}

/// The accounts of this service.
#[derive(Debug)]
pub struct LocalAccounts {
    accounts: HashMap<String, Account>,
    /// What a password is compared with when there is no such user, so that both cost the same.
    decoy: Secret<PasswordHash>,
    /// Hashing takes a core and 19 MiB for a while: only so many at once.
    permits: Semaphore,
}

impl LocalAccounts {
    /// Reads a users file.
    ///
    /// # Errors
    ///
    /// [`AccountsError`], which names the file and the place.
    pub fn read(path: &Path) -> Result<Self, AccountsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| AccountsError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, AccountsError> {
        let file: UsersFile = toml::from_str(text).map_err(|e| AccountsError::Malformed {
            path: path.to_owned(),
            line: e.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1),
            reason: e.message().to_owned(),
        })?;
        let mut accounts = HashMap::new();
        for entry in file.user {
            let username = entry.username;
            if username.is_empty() {
                return Err(AccountsError::EmptyName);
            }
            let hash = parse_hash(entry.password.expose())
                .ok_or_else(|| AccountsError::NotAHash { username: username.clone() })?;
            let metadata = serde_json::to_string(&entry.metadata).ok();
            let mut user = User::named(entry.user_id.as_deref().unwrap_or(&username));
            if let Some(raw) = metadata.and_then(|text| RawValue::from_string(text).ok()) {
                user.metadata = raw;
            }
            if let Some(tenant) = entry.tenant.filter(|t| !t.trim().is_empty()) {
                user.tenant = tenant.into();
            }
            let account = Account { user: Arc::new(user), hash };
            if accounts.insert(username.clone(), account).is_some() {
                return Err(AccountsError::Duplicate { username });
            }
        }
        Self::new(accounts)
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
        let account = Account { user: Arc::new(user), hash: Secret::new(hash) };
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
        let decoy = match accounts.values().next() {
            Some(account) => account.hash.clone(),
            None => Secret::new(hash(b"nobody")?),
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { accounts, decoy, permits: Semaphore::new(cores) })
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

    /// The user, if the password is theirs. Unknown users and wrong passwords take the same time.
    /// The hash runs off the async threads, and only as many at once as there are cores.
    pub async fn log_in(
        self: &Arc<Self>,
        username: String,
        password: Secret<String>,
    ) -> Option<Arc<User>> {
        if password.expose().len() > MAX_PASSWORD_BYTES {
            return None;
        }
        let _permit = self.permits.acquire().await.ok()?;
        let accounts = Arc::clone(self);
        // A panic inside is passed on by the `?`: no login.
        tokio::task::spawn_blocking(move || accounts.verify(&username, password.expose()))
            .await
            .ok()?
    }

    fn verify(&self, username: &str, password: &str) -> Option<Arc<User>> {
        let account = self.accounts.get(username);
        let hash = account.map_or(&self.decoy, |account| &account.hash);
        let fits = Argon2::default().verify_password(password.as_bytes(), hash.expose()).is_ok();
        account.filter(|_| fits).map(|account| Arc::clone(&account.user))
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

fn parse_hash(text: &str) -> Option<Secret<PasswordHash>> {
    let hash = PasswordHash::new(text).ok()?;
    let complete =
        hash.algorithm.as_str() == "argon2id" && hash.salt.is_some() && hash.hash.is_some();
    complete.then(|| Secret::new(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<LocalAccounts, AccountsError> {
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
            let user = accounts.log_in(name.into(), Secret::new(password.into())).await;
            assert_eq!(user.as_ref().map(|u| &*u.id), want, "{case}");
        }
        let user =
            accounts.log_in("ada".into(), Secret::new("correct horse".into())).await.unwrap();
        assert_eq!(user.metadata.get(), r#"{"n":1,"role":"admin"}"#);
        assert_eq!(&*user.tenant, "default");
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
            let error = parse(text).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.contains(says), "{case}: {error}");
            assert!(!error.contains("hunter2"), "{case}: {error}");
        }
    }
}
