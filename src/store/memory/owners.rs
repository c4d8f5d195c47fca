//! Which sessions a user has: a ring of numbers for each user, newest first.

use std::num::NonZeroU32;

use hashbrown::HashTable;

use super::slab::Slab;

/// Shard and slot of a session in one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SessionId(NonZeroU32);

impl SessionId {
    const SHARD_BITS: u32 = 9;

    pub(super) fn new(shard: usize, slot: u32) -> Self {
        let shard = u32::try_from(shard).unwrap_or(0);
        // One more, so that zero stays free for the compiler to tell taken places from free ones.
        let id = (slot << Self::SHARD_BITS | shard).wrapping_add(1);
        Self(NonZeroU32::new(id).unwrap_or(NonZeroU32::MAX))
    }

    pub(super) fn shard(self) -> usize {
        (self.0.get() - 1) as usize & ((1 << Self::SHARD_BITS) - 1)
    }

    pub(super) fn slot(self) -> u32 {
        (self.0.get() - 1) >> Self::SHARD_BITS
    }
}

#[derive(Debug)]
struct Node {
    /// Hash of tenant and id, by a key that nobody outside knows.
    owner: u64,
    session: SessionId,
    /// Neighbours in the ring.
    newer: u32,
    older: u32,
    /// Length of the ring; kept by its newest node only.
    count: u32,
}

/// The rings of some users.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// The newest node of each ring.
    newest: HashTable<u32>,
    nodes: Slab<Node>,
}

impl Owners {
    /// What a session takes here, its share of the table included.
    pub(super) const NODE_BYTES: usize = Slab::<Node>::PLACE_BYTES + 8;

    /// How many sessions a user has.
    pub(super) fn count(&self, owner: u64) -> usize {
        self.find(owner).and_then(|at| self.nodes.get(at)).map_or(0, |node| node.count as usize)
    }

    /// A user's sessions, oldest first.
    pub(super) fn oldest_first(&self, owner: u64) -> impl Iterator<Item = SessionId> {
        // In a ring, newer than the newest is the oldest.
        let newest = self.find(owner).and_then(|at| self.nodes.get(at));
        let mut left = newest.map_or(0, |node| node.count);
        let mut next = newest.map_or(0, |node| node.newer);
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let node = self.nodes.get(next)?;
            next = node.newer;
            Some(node.session)
        })
    }

    /// Adds the user's newest session; gives the number of its node.
    pub(super) fn push(&mut self, owner: u64, session: SessionId) -> u32 {
        let node = Node { owner, session, newer: 0, older: 0, count: 1 };
        let at = self.nodes.insert(node);
        if let Some(head) = self.find(owner) {
            let (oldest, count) =
                self.nodes.get(head).map_or((head, 0), |head| (head.newer, head.count));
            self.tie(head, at);
            self.tie(at, oldest);
            if let Some(node) = self.nodes.get_mut(at) {
                node.count = count + 1;
            }
            self.lead(owner, at);
        } else {
            self.tie(at, at);
            let Self { newest, nodes } = self;
            newest.insert_unique(owner, at, |at| nodes.get(*at).map_or(0, |node| node.owner));
        }
        at
    }

    /// Takes a node out of its ring.
    pub(super) fn remove(&mut self, at: u32) {
        let Some(node) = self.nodes.remove(at) else { return };
        let Some(head) = self.find_or(node.owner, at) else { return };
        if node.older == at {
            if let Ok(entry) = self.newest.find_entry(node.owner, |n| *n == at) {
                entry.remove();
            }
            return;
        }
        self.tie(node.older, node.newer);
        let (new_head, count) = if head == at {
            (node.older, node.count)
        } else {
            (head, self.nodes.get(head).map_or(1, |head| head.count))
        };
        if let Some(newest) = self.nodes.get_mut(new_head) {
            newest.count = count - 1;
        }
        if head == at
            && let Some(entry) = self.newest.find_mut(node.owner, |n| *n == at)
        {
            *entry = new_head;
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.newest.is_empty() && self.nodes.len() == 0
    }

    fn find(&self, owner: u64) -> Option<u32> {
        let is_theirs = |at: &u32| self.nodes.get(*at).is_some_and(|node| node.owner == owner);
        self.newest.find(owner, is_theirs).copied()
    }

    /// [`find`](Self::find), when the head itself may be gone already.
    fn find_or(&self, owner: u64, gone: u32) -> Option<u32> {
        self.newest.find(owner, |at| *at == gone).copied().or_else(|| self.find(owner))
    }

    fn lead(&mut self, owner: u64, at: u32) {
        let Self { newest, nodes } = self;
        let is_theirs = |n: &u32| nodes.get(*n).is_some_and(|node| node.owner == owner);
        if let Some(entry) = newest.find_mut(owner, is_theirs) {
            *entry = at;
        }
    }

    fn tie(&mut self, older: u32, newer: u32) {
        if let Some(node) = self.nodes.get_mut(older) {
            node.newer = newer;
        }
        if let Some(node) = self.nodes.get_mut(newer) {
            node.older = older;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_node_is_small() {
        assert_eq!(Slab::<Node>::PLACE_BYTES, 24);
    }

    #[test]
    fn numbers_come_back() {
        for (shard, slot) in [(0, 0), (511, 0), (0, 1 << 20), (511, (1 << 23) - 2)] {
            let id = SessionId::new(shard, slot);
            assert_eq!((id.shard(), id.slot()), (shard, slot));
        }
    }

    proptest! {
        /// Three users, two of whom share a hash bucket.
        #[test]
        fn behaves_like_a_list(steps in proptest::collection::vec((0u8..3, 0usize..8, any::<bool>()), 0..200)) {
            let mut owners = Owners::default();
            let mut lists: HashMap<u64, Vec<(u32, SessionId)>> = HashMap::new();
            for (n, (user, at, push)) in steps.into_iter().enumerate() {
                let owner = [7, 7 | 1 << 30, 9][usize::from(user)];
                let list = lists.entry(owner).or_default();
                if push {
                    let session = SessionId::new(0, u32::try_from(n).unwrap());
                    list.push((owners.push(owner, session), session));
                } else if at < list.len() {
                    owners.remove(list.remove(at).0);
                }
                for (owner, list) in &lists {
                    prop_assert_eq!(owners.count(*owner), list.len());
                    let want: Vec<_> = list.iter().map(|(_, session)| *session).collect();
                    prop_assert_eq!(owners.oldest_first(*owner).collect::<Vec<_>>(), want);
                }
            }
            prop_assert_eq!(owners.is_empty(), lists.values().all(Vec::is_empty));
        }
    }
}
