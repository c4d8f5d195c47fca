//! How often clients may fail to log in.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::policy::client::household;
use crate::policy::rate::{Quota, RateTable};
use crate::policy::session::UnixMillis;

/// Addresses that are counted at the same time: one mebibyte.
const ADDRESSES: usize = 1 << 16;

/// Failed logins by client address.
pub(crate) struct LoginLimit {
    table: Mutex<RateTable>,
    /// Keyed, so that nobody can choose addresses that share a place with a victim's.
    hasher: RandomState,
}

impl LoginLimit {
    pub(crate) fn new(quota: Quota) -> Self {
        Self { table: RateTable::new(quota, ADDRESSES).into(), hasher: RandomState::new() }
    }

    /// Takes one attempt of this client, before its password is looked at: a thousand at the same
    /// moment must not all find that nobody has failed yet.
    ///
    /// # Errors
    ///
    /// How long to wait, if there is none left.
    pub(crate) fn take(&self, client: IpAddr, now: UnixMillis) -> Result<(), Duration> {
        let key = self.hasher.hash_one(household(client));
        self.table.lock().unwrap_or_else(PoisonError::into_inner).take(key, now)
    }

    /// Gives it back: it did not fail.
    pub(crate) fn give_back(&self, client: IpAddr) {
        let key = self.hasher.hash_one(household(client));
        self.table.lock().unwrap_or_else(PoisonError::into_inner).give_back(key);
    }
}
