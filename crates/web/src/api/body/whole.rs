//! The memory that requests on their way to the queue may take together, and bodies that are needed whole.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uplift_runner::Overloaded;

use super::PlainBody;
use crate::error::{ErrorCode, WebError};

/// Bytes of bodies, and of events read from them, that may be on their way to the queue at any time. Beyond, senders are
/// asked to come back. As events they take about three times as much memory.
const MAX_HELD_BYTES: usize = 32 << 20;
/// They are given out in pages of so many bytes: small, so that a body that stops at its beginning keeps nobody out.
const PAGE_BYTES: usize = 4 << 10;

/// The memory for requests of a server on their way to the queue. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Room {
    pages: Arc<Semaphore>,
    all: usize,
    decoding: Arc<Semaphore>,
}

impl Room {
    fn of_pages(all: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { pages: Arc::new(Semaphore::new(all)), all, decoding: Arc::new(Semaphore::new(cores)) }
    }

    /// Waits for a turn to decode: more at a time than there are cores would not be faster, and take more memory.
    pub(crate) async fn turn_to_decode(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.decoding).acquire_owned().await.ok()
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::of_pages(MAX_HELD_BYTES / PAGE_BYTES)
    }
}

/// Memory that is taken; given back when dropped.
pub(crate) struct Held {
    room: Room,
    pages: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Held {
    pub(crate) fn none_of(room: &Room) -> Self {
        Self { room: room.clone(), pages: None, bytes: 0 }
    }

    /// Takes memory for more bytes. Who has all of it may go on: one request may be larger than the memory for many.
    ///
    /// # Errors
    /// When others have some of what it takes.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), WebError> {
        let taken = self.pages.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let pages = (self.bytes + bytes).div_ceil(PAGE_BYTES).min(self.room.all).saturating_sub(taken);
        if pages > 0 {
            let full = WebError::Overloaded(Overloaded { retry_after_s: 1 });
            let pages = u32::try_from(pages).map_err(|_| full.clone())?;
            let more = Arc::clone(&self.room.pages).try_acquire_many_owned(pages).map_err(|_| full)?;
            match &mut self.pages {
                Some(held) => held.merge(more),
                none => *none = Some(more),
            }
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Gives all of it back.
    pub(crate) fn give_back(&mut self) {
        (self.pages, self.bytes) = (None, 0);
    }
}

/// A body in memory.
pub(crate) struct Whole {
    pub(crate) bytes: Bytes,
    /// The memory it takes.
    pub(crate) held: Held,
}

impl Whole {
    /// Reads a body to its end. One of no bytes is whole too: a request without anything in it, in protobuf.
    ///
    /// # Errors
    /// As [`PlainBody::next`], and when bodies of others have all the memory.
    pub(crate) async fn read(body: &mut PlainBody, room: &Room) -> Result<Self, WebError> {
        let (mut bytes, mut held) = (BytesMut::new(), Held::none_of(room));
        loop {
            let part = match body.next().await {
                Ok(Some(part)) => part,
                Ok(None) => break,
                Err(error) if error.code() == ErrorCode::EmptyBody => break,
                Err(error) => return Err(error),
            };
            held.grow(part.len())?;
            bytes.extend_from_slice(&part);
        }
        Ok(Self { bytes: bytes.freeze(), held })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_taken_in_pages_and_given_back() {
        let room = Room::of_pages(2);
        let left = || room.pages.available_permits();
        let mut held = Held::none_of(&room);
        assert_eq!(held.grow(1), Ok(()));
        assert_eq!((held.grow(PAGE_BYTES - 1), left()), (Ok(()), 1));
        let mut other = Held::none_of(&room);
        assert_eq!((other.grow(1), left()), (Ok(()), 0));
        assert!(held.grow(1).is_err() && Held::none_of(&room).grow(1).is_err());
        drop(other);
        assert_eq!((held.grow(1), left()), (Ok(()), 0));
        assert_eq!(held.grow(10 * PAGE_BYTES), Ok(()), "who has all may go on");
        held.give_back();
        assert_eq!((left(), held.grow(3 * PAGE_BYTES), left()), (2, Ok(()), 0));
        drop(held);
        assert_eq!(left(), 2);
    }
}
