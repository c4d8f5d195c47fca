//! A CORS policy in force, and how it is replaced.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::policy::cors::CorsPolicy;

/// A policy that can be replaced while requests are served: the CORS headers of one answer come from
/// one policy, the old or the new.
#[derive(Debug, Clone)]
pub struct LivePolicy(Arc<ArcSwap<CorsPolicy>>);

impl LivePolicy {
    /// The policy at this moment.
    #[must_use]
    pub fn current(&self) -> Arc<CorsPolicy> {
        self.0.load_full()
    }

    /// Puts another policy in its place, for every filter that shares this one.
    pub fn replace(&self, policy: CorsPolicy) {
        self.0.store(Arc::new(policy));
    }
}

impl From<CorsPolicy> for LivePolicy {
    fn from(policy: CorsPolicy) -> Self {
        Arc::new(policy).into()
    }
}

impl From<Arc<CorsPolicy>> for LivePolicy {
    fn from(policy: Arc<CorsPolicy>) -> Self {
        Self(Arc::new(ArcSwap::new(policy)))
    }
}
