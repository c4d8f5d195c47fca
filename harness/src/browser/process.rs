//! What the system knows about a browser's processes.
//!
//! `headless_chrome` owns the child and shows nothing but its pid. A browser is many processes,
//! though, and each of them names the profile on its command line. A profile's name is random and
//! never used twice, which makes it a safer handle than a pid. Only Linux has `/proc`; elsewhere
//! these functions find nothing, and what `headless_chrome` does has to be enough.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// The pids of all processes whose command line names `profile`. A zombie has no command line and
/// is not among them.
pub(crate) fn users_of(profile: &Path) -> Vec<u32> {
    let needle = profile.as_os_str().as_bytes();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.windows(needle.len()).any(|part| part == needle))
        })
        .collect()
}

/// Kills what still uses `profile` and returns once nothing does, or after about two seconds.
/// With `grace`, the processes have that long to end by themselves first.
pub(crate) fn end_users_of(profile: &Path, grace: Duration) {
    let patience = grace.as_millis() / PAUSE.as_millis();
    for round in 0..u128::from(ROUNDS) + patience {
        let users = users_of(profile);
        if users.is_empty() {
            return;
        }
        if round >= patience {
            kill(&users);
        }
        // They are not our children, or not ours to wait for: only looking again tells.
        thread::sleep(PAUSE);
    }
    tracing::warn!(profile = %profile.display(), "processes of a browser could not be ended");
}

/// True if we run as root, where Chromium's sandbox does not work.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    // The entry belongs to whoever runs the process; `geteuid` would need unsafe code.
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

fn kill(pids: &[u32]) {
    // The shell's own `kill` is always there; the program of that name is not.
    let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
    let _ = Command::new("sh")
        .arg("-c")
        .arg(format!("kill -KILL {}", pids.join(" ")))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

const ROUNDS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_processes_that_name_the_profile_are_found_and_ended() {
        let profile = tempfile::Builder::new().prefix("withcreds-profile-").tempdir().unwrap();
        let start = |name: &str| {
            Command::new("sh").args(["-c", "read x", name]).stdin(Stdio::piped()).spawn().unwrap()
        };
        let mut ours = start(profile.path().to_str().unwrap());
        let mut other = start("/tmp/withcreds-profile-of-somebody-else");
        assert_eq!(users_of(profile.path()), [ours.id()]);
        end_users_of(profile.path(), Duration::ZERO);
        assert_eq!(users_of(profile.path()), [0_u32; 0]);
        assert!(!ours.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
