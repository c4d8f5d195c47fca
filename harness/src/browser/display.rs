//! A virtual display for an engine that has no headless mode.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::browser::BrowserError;
use crate::browser::engine::find_xvfb;
use crate::browser::process::{self, Group};
use crate::browser::profile::Profile;

/// A running Xvfb; ends when dropped, and its socket with it.
#[derive(Debug)]
pub(crate) struct Display {
    name: String,
    group: Group,
    /// Its own: what ends the browser must not kill it before it can tidy up.
    profile: Profile,
}

impl Display {
    /// Starts one on the first free number, which the server itself finds.
    ///
    /// # Errors
    /// [`BrowserError::NotFound`] without Xvfb, [`BrowserError::Launch`] if it does not come up.
    pub(crate) async fn start((width, height): (u32, u32)) -> Result<Self, BrowserError> {
        let binary = find_xvfb()?;
        let profile = Profile::bare().map_err(BrowserError::Profile)?;
        let failed = |reason: String| BrowserError::Launch { binary: binary.clone(), reason };
        let mut command = Command::new(&binary);
        command
            // The number is written to where the first argument says: standard output.
            .args(["-displayfd", "1", "-nolisten", "tcp", "-noreset", "-screen", "0"])
            .arg(format!("{width}x{height}x24"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut group =
            Group::start(command, &profile).map_err(|error| failed(error.to_string()))?;
        let Some(stdout) = group.child().stdout.take() else { return Err(BrowserError::Gone) };
        let mut lines = BufReader::new(stdout).lines();
        match timeout(START_DEADLINE, lines.next_line()).await {
            Ok(Ok(Some(number))) => {
                Ok(Self { name: format!(":{}", number.trim()), group, profile })
            }
            Ok(_) => Err(failed("it ended right after its start".to_owned())),
            Err(_elapsed) => Err(failed(format!("no display after {START_DEADLINE:?}"))),
        }
    }

    /// What `DISPLAY` has to say.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The server listens there. With `-displayfd` it makes no lock file.
    fn socket(&self) -> PathBuf {
        PathBuf::from(format!("/tmp/.X11-unix/X{}", self.name.trim_start_matches(':')))
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        // Killed, it would leave its socket: the next server would have to find out that it is
        // nobody's.
        self.group.terminate();
        let profile = self.profile.path();
        for _ in 0..PATIENCE {
            if process::users_of(profile).is_empty() {
                return;
            }
            thread::sleep(PAUSE);
        }
        process::end_users_of(profile, Duration::ZERO);
        let _ = fs::remove_file(self.socket());
    }
}

const START_DEADLINE: Duration = Duration::from_secs(15);
/// Together a second.
const PATIENCE: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browser::Engine;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_display_leaves_nothing_behind() {
        if find_xvfb().is_err() {
            assert!(!Engine::WebKit.is_demanded(), "Xvfb is missing");
            return;
        }
        let display = Display::start((640, 480)).await.unwrap();
        let (socket, profile) = (display.socket(), display.profile.path().to_owned());
        assert!(socket.exists(), "{}", socket.display());
        drop(display);
        assert!(!socket.exists(), "{}", socket.display());
        assert!(!profile.exists());
        assert_eq!(process::users_of(&profile), [0_u32; 0]);
    }
}
