//! Sources that would fill the memory: legal ones of huge chunks and messages, and ones that
//! declare what they do not hold. Up to four at once, against the real binary: each ends in a right
//! answer or in one that names it, a small recording beside them is answered all the while, and
//! the process stays within the memory of its container.

#![expect(clippy::unwrap_used, reason = "what cannot be unwrapped here fails the test")]

mod forged;
mod huge;
mod running;
