//! A scratch user data directory that does not outlive its browser.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

/// What the profile says about third-party cookies. It is a dimension of the tests: Debian's
/// Chromium blocks them out of the box, Google's Chrome does not, Firefox partitions them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThirdPartyCookies {
    /// Whatever the browser was built with.
    #[default]
    Default,
    /// Allowed everywhere, in private contexts too.
    Allow,
    /// Blocked everywhere.
    Block,
}

impl ThirdPartyCookies {
    /// Its name on the command line.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Allow => "allow",
            Self::Block => "block",
        }
    }

    /// The value of Firefox's preference `network.cookie.cookieBehavior`, if one is to be written:
    /// accept all, or reject all from other sites. Its default, 5, is Total Cookie Protection.
    pub(crate) const fn cookie_behavior(self) -> Option<u8> {
        match self {
            Self::Default => None,
            Self::Allow => Some(0),
            Self::Block => Some(1),
        }
    }

    /// What MiniBrowser's option `--cookies-policy` takes, if it is to be given.
    pub(crate) const fn cookies_policy(self) -> Option<&'static str> {
        match self {
            Self::Default => None,
            Self::Allow => Some("always"),
            Self::Block => Some("no-third-party"),
        }
    }

    /// The value of Chromium's preference `profile.cookie_controls_mode`, if one is to be written.
    const fn cookie_controls_mode(self) -> Option<u8> {
        match self {
            Self::Default => None,
            Self::Allow => Some(0),
            Self::Block => Some(1),
        }
    }
}

/// A scratch profile. The directory is removed when this is dropped.
#[derive(Debug)]
pub struct Profile {
    path: PathBuf,
}

impl Profile {
    /// Makes the directory under the system's temporary directory, and in it the preferences of
    /// Chromium's that `third_party` asks for.
    ///
    /// # Errors
    /// When the directory or a file in it cannot be written.
    pub fn create(third_party: ThirdPartyCookies) -> io::Result<Self> {
        let profile = Self::bare()?;
        if let Some(mode) = third_party.cookie_controls_mode() {
            let default = profile.path.join("Default");
            fs::create_dir(&default)?;
            let preferences = json!({ "profile": { "cookie_controls_mode": mode } });
            fs::write(default.join("Preferences"), preferences.to_string())?;
        }
        Ok(profile)
    }

    /// Makes the directory and nothing in it but the one for temporary files.
    ///
    /// # Errors
    /// When a directory cannot be made.
    pub fn bare() -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("withcreds-profile-").tempdir()?;
        // From here on our own Drop answers for the directory, also when what follows fails.
        let profile = Self { path: directory.keep() };
        fs::create_dir(profile.scratch())?;
        Ok(profile)
    }

    /// The user data directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A directory inside the profile for the browser's own temporary files. A Chromium that is
    /// killed leaves its singleton socket in `$TMPDIR`; here it goes with the profile.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.path.join("tmp")
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // Chromium's children write for a moment after its main process is dead, and a file that
        // appears during the removal makes it fail. Nothing announces the last write, hence tries.
        for _ in 0..REMOVAL_TRIES {
            match fs::remove_dir_all(&self.path) {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::NotFound && !self.path.exists() => {
                    return;
                }
                Err(_) => thread::sleep(REMOVAL_PAUSE),
            }
        }
        tracing::warn!(path = %self.path.display(), "a browser profile could not be removed");
    }
}

/// Together about two seconds.
const REMOVAL_TRIES: u32 = 100;
const REMOVAL_PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_say_what_is_asked_and_nothing_more() {
        for (third_party, want) in [
            (ThirdPartyCookies::Default, None),
            (ThirdPartyCookies::Allow, Some(r#"{"profile":{"cookie_controls_mode":0}}"#)),
            (ThirdPartyCookies::Block, Some(r#"{"profile":{"cookie_controls_mode":1}}"#)),
        ] {
            let profile = Profile::create(third_party).unwrap();
            let written = fs::read_to_string(profile.path().join("Default/Preferences")).ok();
            assert_eq!(written.as_deref(), want, "{third_party:?}");
        }
    }

    #[test]
    fn the_directory_goes_with_the_profile() {
        let profile = Profile::create(ThirdPartyCookies::Block).unwrap();
        let path = profile.path().to_owned();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.starts_with("withcreds-profile-"), "{name}");
        drop(profile);
        assert!(!path.exists());
    }

    #[test]
    fn files_that_still_appear_do_not_keep_the_directory() {
        let profile = Profile::create(ThirdPartyCookies::Default).unwrap();
        let path = profile.path().to_owned();
        let busy = path.clone();
        let writer = thread::spawn(move || {
            for n in 0..2_000 {
                let _ = fs::write(busy.join(format!("late-{n}")), "x");
            }
        });
        drop(profile);
        writer.join().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_somebody_else_removed_is_no_trouble() {
        let profile = Profile::create(ThirdPartyCookies::Default).unwrap();
        fs::remove_dir_all(profile.path()).unwrap();
        drop(profile);
    }
}
