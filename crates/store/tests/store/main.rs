//! The disk store from outside: its bound, what makes room, and what outlives whom. And the bucket,
//! against the servers of others.

#![expect(clippy::unwrap_used, reason = "what cannot be unwrapped here fails the test")]

mod bound;
mod bucket;
mod discard;
mod eviction;
mod full_disk;
mod keeping;
mod listing;
mod mix;
mod sample;
