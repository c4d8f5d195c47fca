//! Places with small numbers, in chunks: growing copies nothing, and a number takes four bytes
//! where a pointer takes eight.

/// No place at all.
pub(super) const NOWHERE: u32 = u32::MAX;
/// What a chunk takes at most: a size that allocators hand out without rounding it up.
const CHUNK_BYTES: usize = 8192;

#[derive(Debug)]
enum Place<T> {
    /// The next free place.
    Free(u32),
    Taken(T),
}

/// Values by number. A number is given out again once its value is gone.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Box<[Place<T>]>>,
    free: u32,
    len: usize,
}

impl<T> Slab<T> {
    /// What one place takes.
    pub(super) const PLACE_BYTES: usize = size_of::<Place<T>>();
    /// Places in a chunk.
    const CHUNK: usize = CHUNK_BYTES / Self::PLACE_BYTES;

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        if self.free == NOWHERE {
            self.grow();
        }
        let at = self.free;
        if let Some(place) = self.place(at)
            && let Place::Free(next) = std::mem::replace(place, Place::Taken(value))
        {
            self.free = next;
            self.len += 1;
        }
        at
    }

    fn grow(&mut self) {
        let start = u32::try_from(self.chunks.len() * Self::CHUNK)
            .unwrap_or_else(|_| unreachable!("the bounds of the store are far below"));
        let place = |n: usize| {
            let next = start + u32::try_from(n).unwrap_or(0) + 1;
            Place::Free(if n + 1 == Self::CHUNK { NOWHERE } else { next })
        };
        self.chunks.push((0..Self::CHUNK).map(place).collect());
        self.free = start;
    }

    pub(super) fn remove(&mut self, at: u32) -> Option<T> {
        let free = self.free;
        let place = self.place(at).filter(|place| matches!(place, Place::Taken(_)))?;
        let Place::Taken(value) = std::mem::replace(place, Place::Free(free)) else { return None };
        self.free = at;
        self.len -= 1;
        Some(value)
    }

    pub(super) fn get(&self, at: u32) -> Option<&T> {
        let at = at as usize;
        match self.chunks.get(at / Self::CHUNK)?.get(at % Self::CHUNK)? {
            Place::Taken(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        match self.place(at)? {
            Place::Taken(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten().filter_map(|place| match place {
            Place::Taken(value) => Some(value),
            Place::Free(_) => None,
        })
    }

    fn place(&mut self, at: u32) -> Option<&mut Place<T>> {
        let at = at as usize;
        self.chunks.get_mut(at / Self::CHUNK)?.get_mut(at % Self::CHUNK)
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: NOWHERE, len: 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_map(steps in proptest::collection::vec((any::<bool>(), 0u32..300), 0..600)) {
            let (mut slab, mut map) = (Slab::default(), std::collections::BTreeMap::new());
            for (insert, n) in steps {
                if insert {
                    let at = slab.insert(n);
                    prop_assert!(map.insert(at, n).is_none(), "{at} was given out twice");
                } else {
                    prop_assert_eq!(slab.remove(n), map.remove(&n));
                }
                prop_assert_eq!(slab.len(), map.len());
            }
            for at in 0..400 {
                prop_assert_eq!(slab.get(at), map.get(&at));
            }
            prop_assert_eq!(slab.iter().count(), map.len());
        }
    }
}
