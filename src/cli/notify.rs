//! What systemd is told: ready, alive, stopping. Elsewhere nobody listens, and nothing is said.

#[cfg(target_os = "linux")]
use sd_notify::NotifyState;

/// The addresses are bound: whoever waits for the service may go on. From now on the watchdog, if
/// there is one, hears that requests would be served: the task that tells it runs among them.
#[cfg(target_os = "linux")]
pub(super) fn ready() {
    tell(NotifyState::Ready);
    if let Some(patience) = sd_notify::watchdog_enabled() {
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(patience / 2);
            loop {
                ticks.tick().await;
                tell(NotifyState::Watchdog);
            }
        });
    }
}

/// The end begins.
#[cfg(target_os = "linux")]
pub(super) fn stopping() {
    tell(NotifyState::Stopping);
}

#[cfg(target_os = "linux")]
fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot tell systemd");
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn ready() {}

#[cfg(not(target_os = "linux"))]
pub(super) fn stopping() {}
