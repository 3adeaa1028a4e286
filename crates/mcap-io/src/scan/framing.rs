//! Cutting a stream of bytes where the scanner wants it cut.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};

/// Bytes that have arrived and were not taken yet.
///
/// What lies within one pushed piece is sliced from it. What is spread over several is assembled
/// in a buffer that grows as they arrive, so that a forged length reserves nothing.
#[derive(Default)]
pub(super) struct Framer {
    pieces: VecDeque<Bytes>,
    /// The beginning of what is being assembled; it comes before `pieces`.
    partial: Vec<u8>,
    taken_bytes: u64,
    crc: crc32fast::Hasher,
}

impl Framer {
    pub(super) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.pieces.push_back(bytes);
        }
    }

    /// How many bytes were taken or skipped so far.
    pub(super) fn position(&self) -> u64 {
        self.taken_bytes
    }

    /// How many bytes have arrived so far.
    pub(super) fn arrived_bytes(&self) -> u64 {
        self.taken_bytes + self.waiting_bytes() as u64
    }

    /// How many bytes have arrived and were not taken.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum::<usize>() + self.partial.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.partial.is_empty() && self.pieces.is_empty()
    }

    /// The CRC-32 of what was taken or skipped since the last [`Framer::restart_crc`].
    pub(super) fn crc(&self) -> crc32fast::Hasher {
        self.crc.clone()
    }

    pub(super) fn restart_crc(&mut self) {
        self.crc.reset();
    }

    /// What it holds in memory, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.partial.capacity() + self.pieces.iter().map(Bytes::len).sum::<usize>()
    }

    /// Takes out what has arrived and was not taken; until it is put back nothing may be pushed.
    pub(super) fn swap_out(&mut self) -> Bytes {
        let mut bytes = std::mem::take(&mut self.partial);
        for piece in self.pieces.drain(..) {
            bytes.extend_from_slice(&piece);
        }
        self.pieces = VecDeque::new();
        bytes.into()
    }

    /// Puts back what was taken out.
    pub(super) fn swap_in(&mut self, bytes: Bytes) {
        self.pieces.push_front(bytes);
    }

    /// The next `N` bytes, not taken; `None` until they have arrived.
    pub(super) fn peek<const N: usize>(&mut self) -> Option<[u8; N]> {
        if self.partial.is_empty()
            && let Some(found) = self.pieces.front().and_then(|piece| piece.first_chunk())
        {
            return Some(*found);
        }
        self.assemble(N);
        self.partial.first_chunk().copied()
    }

    /// Takes exactly `len` bytes; `None` until they have arrived.
    pub(super) fn take(&mut self, len: usize) -> Option<Bytes> {
        let taken = match self.pieces.front_mut() {
            Some(piece) if self.partial.is_empty() && piece.len() >= len => {
                let taken = piece.split_to(len);
                if piece.is_empty() {
                    self.pieces.pop_front();
                }
                taken
            }
            _ => {
                self.assemble(len);
                if self.partial.len() < len {
                    return None;
                }
                let rest = self.partial.split_off(len);
                Bytes::from(std::mem::replace(&mut self.partial, rest))
            }
        };
        self.count(&taken);
        Some(taken)
    }

    /// Takes up to `len` bytes of what has arrived, in the pieces in which it came; `None` when
    /// there is nothing.
    pub(super) fn take_some(&mut self, len: u64) -> Option<Bytes> {
        let mut piece = match std::mem::take(&mut self.partial) {
            partial if partial.is_empty() => self.pieces.pop_front()?,
            partial => Bytes::from(partial),
        };
        if let Some(len) = usize::try_from(len).ok().filter(|len| *len < piece.len()) {
            self.pieces.push_front(piece.split_off(len));
        }
        self.count(&piece);
        Some(piece)
    }

    /// Skips up to `len` bytes of what has arrived, and tells how many.
    pub(super) fn skip(&mut self, len: u64) -> u64 {
        let mut left = len;
        while left > 0
            && let Some(piece) = self.take_some(left)
        {
            left -= piece.len() as u64;
        }
        len - left
    }

    /// Moves what has arrived into `partial` until that is `len` long.
    fn assemble(&mut self, len: usize) {
        let here = self.waiting_bytes().min(len);
        if here > self.partial.capacity() {
            // Doubled so that few bytes are moved, but never past the end that is known.
            let capacity = self.partial.capacity().saturating_mul(2).clamp(here, len);
            self.partial.reserve_exact(capacity - self.partial.len());
        }
        while self.partial.len() < len
            && let Some(piece) = self.pieces.front_mut()
        {
            let here = piece.len().min(len - self.partial.len());
            self.partial.extend_from_slice(&piece[..here]);
            piece.advance(here);
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
    }

    fn count(&mut self, bytes: &[u8]) {
        self.taken_bytes += bytes.len() as u64;
        self.crc.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_one_piece_is_not_copied() {
        let whole = Bytes::from_static(b"0123456789");
        let mut framer = Framer::default();
        framer.push(whole.clone());
        assert_eq!(framer.peek::<3>(), Some(*b"012"));
        let taken = framer.take(4).unwrap();
        assert_eq!(taken.as_ptr(), whole.as_ptr());
        assert_eq!((framer.position(), framer.arrived_bytes()), (4, 10));
    }

    #[test]
    fn what_is_assembled_takes_no_more_than_its_size() {
        let mut framer = Framer::default();
        let len = 1_000_001;
        for piece in vec![7; len].chunks(1000) {
            framer.push(Bytes::copy_from_slice(piece));
            framer.peek::<9>();
            let taken = framer.take(len);
            assert!(framer.memory_bytes() <= len);
            assert!(taken.is_none_or(|taken| taken.len() == len));
        }
        assert_eq!(framer.position(), len as u64);
    }

    #[test]
    fn cuts_fall_where_they_are_asked_for_however_the_bytes_come() {
        let whole: Vec<u8> = (0..=255).collect();
        for size in 1..40 {
            let mut framer = Framer::default();
            let mut pieces = whole.chunks(size).map(Bytes::copy_from_slice);
            let mut next = |framer: &mut Framer| framer.push(pieces.next().unwrap());
            while framer.peek::<9>().is_none() {
                next(&mut framer);
            }
            while framer.arrived_bytes() < 30 {
                next(&mut framer);
            }
            assert_eq!(framer.take(30).unwrap(), &whole[..30]);
            let mut skipped = 0;
            while skipped < 100 {
                skipped += framer.skip(100 - skipped);
                if skipped < 100 {
                    next(&mut framer);
                }
            }
            while framer.arrived_bytes() < 256 {
                next(&mut framer);
            }
            assert!(framer.take(127).is_none());
            assert_eq!(framer.take(126).unwrap(), &whole[130..]);
            assert!(framer.is_empty());
            assert_eq!(framer.crc().finalize(), crc32fast::hash(&whole));
        }
    }
}
