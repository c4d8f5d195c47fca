//! The engines: their names, where their programs are, how to get them.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::browser::BrowserError;

/// A browser engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Chromium, Chrome: Blink.
    Chromium,
    /// Firefox: Gecko.
    Firefox,
    /// WebKitGTK, the nearest relative of Safari that runs here.
    WebKit,
}

impl Engine {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Chromium, Self::Firefox, Self::WebKit];

    /// Its name in ids and on the command line.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox",
            Self::WebKit => "webkit",
        }
    }

    /// Its name for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Chromium => "Chromium",
            Self::Firefox => "Firefox",
            Self::WebKit => "WebKitGTK",
        }
    }

    /// How to get it, as a sentence without a full stop.
    #[must_use]
    pub const fn how_to_get(self) -> &'static str {
        match self {
            Self::Chromium => {
                "install one with `apt-get install chromium`, or say where it is with the \
                 environment variable CHROME or with --chromium PATH"
            }
            Self::Firefox => {
                "install one with `apt-get install firefox-esr`, or say where it is with the \
                 environment variable FIREFOX or with --firefox PATH"
            }
            Self::WebKit => {
                "install it with `apt-get install webkit2gtk-driver libwebkit2gtk-4.1-0 xvfb`, or \
                 say where WebKitWebDriver and MiniBrowser are with the environment variables \
                 WEBKIT_DRIVER and WEBKIT_MINIBROWSER"
            }
        }
    }

    /// The environment variable that names its program.
    const fn variable(self) -> &'static str {
        match self {
            Self::Chromium => "CHROME",
            Self::Firefox => "FIREFOX",
            Self::WebKit => "WEBKIT_DRIVER",
        }
    }

    /// The usual names of its program, the best first.
    const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Chromium => &[
                "google-chrome-stable",
                "google-chrome",
                "chromium",
                "chromium-browser",
                "chrome",
                "microsoft-edge-stable",
                "microsoft-edge",
            ],
            Self::Firefox => &["firefox-esr", "firefox"],
            Self::WebKit => &["WebKitWebDriver"],
        }
    }

    /// Places outside the `PATH`.
    const fn elsewhere(self) -> &'static [&'static str] {
        match self {
            Self::Chromium => &[
                "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
                "/Applications/Chromium.app/Contents/MacOS/Chromium",
            ],
            Self::Firefox => &["/Applications/Firefox.app/Contents/MacOS/firefox"],
            Self::WebKit => &[],
        }
    }

    /// The program to start: `explicit`, else the one that the engine's environment variable names,
    /// else the first of the usual names.
    ///
    /// # Errors
    /// [`BrowserError::NotFound`]; a path given explicitly or by the variable is not replaced by
    /// another program when there is nothing there.
    pub fn find(self, explicit: Option<&Path>) -> Result<PathBuf, BrowserError> {
        let variable = std::env::var_os(self.variable()).map(PathBuf::from);
        let (named, from) = match (explicit, &variable) {
            (Some(path), _) => (Some(path), "the given path".to_owned()),
            (None, Some(path)) => {
                (Some(path.as_path()), format!("the variable {}", self.variable()))
            }
            (None, None) => (None, String::new()),
        };
        if let Some(path) = named {
            let bare = (path.components().count() == 1).then(|| on_path(path)).flatten();
            return bare.or_else(|| path.is_file().then(|| path.to_owned())).ok_or_else(|| {
                let text = format!("{from} says {}, where there is no file", path.display());
                self.not_found(text)
            });
        }
        let usual = self.programs().iter().find_map(|name| on_path(Path::new(name)));
        let elsewhere = || self.elsewhere().iter().map(PathBuf::from).find(|path| path.is_file());
        usual.or_else(elsewhere).ok_or_else(|| {
            self.not_found(format!("looked for {} on the PATH", self.programs().join(", ")))
        })
    }

    /// Whether everything that the engine needs is here.
    ///
    /// # Errors
    /// [`BrowserError::NotFound`] for what is missing.
    pub fn check(self, explicit: Option<&Path>) -> Result<PathBuf, BrowserError> {
        #[cfg(not(feature = "chromium"))]
        if self == Self::Chromium {
            return Err(self.not_found("this build is without the feature `chromium`".to_owned()));
        }
        let program = self.find(explicit)?;
        if self == Self::WebKit {
            find_mini_browser()?;
            if !has_display() {
                find_xvfb()?;
            }
        }
        Ok(program)
    }

    /// Whether tests fail without it, rather than be skipped: Chromium with `CI` set, the others, which
    /// cannot be had everywhere, with `WITHCREDS_REQUIRE_ENGINES`.
    #[must_use]
    pub fn is_demanded(self) -> bool {
        let is_set = |name: &str| std::env::var_os(name).is_some();
        is_set("WITHCREDS_REQUIRE_ENGINES") || (self == Self::Chromium && is_set("CI"))
    }

    pub(crate) const fn not_found(self, looked_for: String) -> BrowserError {
        BrowserError::NotFound { engine: self, looked_for }
    }
}

/// WebKitGTK's own small browser, which its driver starts. Distributions keep it out of the `PATH`.
pub(crate) fn find_mini_browser() -> Result<PathBuf, BrowserError> {
    if let Some(path) = std::env::var_os(MINI_BROWSER).map(PathBuf::from) {
        return path.is_file().then_some(path.clone()).ok_or_else(|| {
            let text = format!("{MINI_BROWSER} says {}, where there is no file", path.display());
            Engine::WebKit.not_found(text)
        });
    }
    let children = |folder: &str| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>()
    };
    let mut folders = vec![PathBuf::from("/usr/libexec"), PathBuf::from("/usr/lib64")];
    folders.push(PathBuf::from("/usr/lib"));
    // Debian: one folder for each architecture.
    folders.extend(children("/usr/lib").into_iter().filter(|path| path.is_dir()));
    folders
        .iter()
        .flat_map(|folder| ["webkit2gtk-4.1", "webkitgtk-6.0"].map(|api| folder.join(api)))
        .map(|folder| folder.join("MiniBrowser"))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            let text = "looked for MiniBrowser below /usr/lib, /usr/lib64 and /usr/libexec";
            Engine::WebKit.not_found(text.to_owned())
        })
}

/// The virtual display, for machines without one.
pub(crate) fn find_xvfb() -> Result<PathBuf, BrowserError> {
    on_path(Path::new("Xvfb")).ok_or_else(|| {
        let text = "there is no display, and Xvfb, which would make one, is not on the PATH";
        Engine::WebKit.not_found(text.to_owned())
    })
}

/// Whether a window can be shown.
pub(crate) fn has_display() -> bool {
    !cfg!(target_os = "linux")
        || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some())
}

/// A bare program name, as a shell would find it.
fn on_path(name: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

const MINI_BROWSER: &str = "WEBKIT_MINIBROWSER";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_path_is_not_replaced_by_another_program() {
        for (engine, parts) in [
            (Engine::Chromium, ["apt-get install chromium", "CHROME", "--chromium PATH"]),
            (Engine::Firefox, ["apt-get install firefox-esr", "FIREFOX", "--firefox PATH"]),
            (Engine::WebKit, ["webkit2gtk-driver", "WEBKIT_DRIVER", "xvfb"]),
        ] {
            let text = engine.find(Some(Path::new("/no/such/browser"))).unwrap_err().to_string();
            for part in parts.iter().chain(&["/no/such/browser", engine.title()]) {
                assert!(text.contains(part), "{text}");
            }
        }
    }

    #[test]
    fn a_bare_name_is_looked_for_on_the_path() {
        let found = Engine::Firefox.find(Some(Path::new("sh"))).unwrap();
        assert!(found.is_absolute() && found.ends_with("sh"), "{}", found.display());
    }
}
