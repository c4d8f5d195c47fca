//! A browser's processes, and how they end.
//!
//! A browser is many processes, and each of them names the profile: on its command line, or in its
//! environment, where its temporary files are told to go. A profile's name is random and never used
//! twice, which makes it a safer handle than a pid. Only Linux has `/proc`; elsewhere these
//! functions find nothing, and the death of the process group has to be enough.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::browser::profile::Profile;

/// The pids of all processes whose command line or environment names `profile`. A zombie has
/// neither and is not among them.
pub(crate) fn users_of(profile: &Path) -> Vec<u32> {
    let needle = profile.as_os_str().as_bytes();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            ["cmdline", "environ"].iter().any(|file| {
                fs::read(format!("/proc/{pid}/{file}"))
                    .is_ok_and(|text| text.windows(needle.len()).any(|part| part == needle))
            })
        })
        .collect()
}

/// Whether one of the processes that use `profile` is `program`.
pub(crate) fn runs(profile: &Path, program: &Path) -> bool {
    let needle = program.as_os_str().as_bytes();
    users_of(profile).into_iter().any(|pid| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(needle))
    })
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

/// A program that was started for a browser, and all that it started: a process group of its own,
/// which Ctrl-C at the terminal does not reach. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    pid: Option<u32>,
    /// What the processes are known by.
    profile: PathBuf,
}

impl Group {
    /// Starts `command` with its temporary files in the profile, where all of its processes can be
    /// found by them.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(mut command: Command, profile: &Profile) -> io::Result<Self> {
        command
            .env("TMPDIR", profile.scratch())
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn()?;
        Ok(Self { pid: child.id(), child, profile: profile.path().to_owned() })
    }

    /// The process, for its pipes and its end.
    pub(crate) const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until the program has ended by itself, or `patience` is over.
    pub(crate) async fn has_ended(&mut self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.child.wait()).await.is_ok()
    }

    /// Ends the program with a signal that it may answer with tidying up.
    pub(crate) fn terminate(&self) {
        if let Some(pid) = self.pid {
            signal("TERM", &[pid.to_string()]);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.pid {
            signal("KILL", &[format!("-{pid}")]);
        }
        // Those that left the group.
        end_users_of(&self.profile, Duration::ZERO);
    }
}

fn kill(pids: &[u32]) {
    let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
    signal("KILL", &pids);
}

fn signal(name: &str, targets: &[String]) {
    // The shell's own `kill` is always there; the program of that name is not.
    let _ = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("kill -s {name} -- {}", targets.join(" ")))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

const ROUNDS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

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

    #[tokio::test]
    async fn a_group_takes_its_children_along() {
        let profile = Profile::bare().unwrap();
        let mut command = super::Command::new("sh");
        // The grandchild leaves the group, as a daemon does, and is known by its environment only.
        command.args(["-c", "sleep 600 & setsid sleep 600 & wait"]);
        let group = Group::start(command, &profile).unwrap();
        while users_of(profile.path()).len() < 3 {
            tokio::task::yield_now().await;
        }
        drop(group);
        assert_eq!(users_of(profile.path()), [0_u32; 0]);
    }
}
