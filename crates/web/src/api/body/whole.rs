//! A body that is needed whole, within the memory that all of them may take together.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uplift_runner::Overloaded;

use super::PlainBody;
use crate::error::{ErrorCode, WebError};

/// Memory that whole bodies may take at any time, bytes. Beyond, senders are asked to come back.
const MAX_HELD_BYTES: usize = 256 << 20;
/// It is given out in pages of so many bytes.
const PAGE_BYTES: usize = 64 << 10;

/// The memory for all whole bodies of a server.
pub(crate) fn room_for_bodies() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_HELD_BYTES / PAGE_BYTES))
}

/// Memory that is taken; given back when dropped.
pub(crate) struct Held {
    room: Arc<Semaphore>,
    pages: Vec<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Held {
    pub(crate) fn none_of(room: &Arc<Semaphore>) -> Self {
        Self { room: Arc::clone(room), pages: Vec::new(), bytes: 0 }
    }

    /// Takes memory for more bytes.
    ///
    /// # Errors
    /// When others have all of it.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), WebError> {
        let pages = (self.bytes + bytes).div_ceil(PAGE_BYTES) - self.bytes.div_ceil(PAGE_BYTES);
        if pages > 0 {
            let full = WebError::Overloaded(Overloaded { retry_after_s: 1 });
            let pages = u32::try_from(pages).map_err(|_| full.clone())?;
            self.pages.push(Arc::clone(&self.room).try_acquire_many_owned(pages).map_err(|_| full)?);
        }
        self.bytes += bytes;
        Ok(())
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
    pub(crate) async fn read(body: &mut PlainBody, room: &Arc<Semaphore>) -> Result<Self, WebError> {
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
        let room = Arc::new(Semaphore::new(2));
        let mut held = Held::none_of(&room);
        assert_eq!(held.grow(1), Ok(()));
        assert_eq!((held.grow(PAGE_BYTES - 1), room.available_permits()), (Ok(()), 1));
        assert_eq!((held.grow(1), room.available_permits()), (Ok(()), 0));
        assert!(held.grow(PAGE_BYTES).is_err() && Held::none_of(&room).grow(1).is_err());
        drop(held);
        assert_eq!(room.available_permits(), 2);
    }
}
