//! Many viewers at once, and viewers that misbehave: what one of them does to the others, to the
//! data backend, and to the process. The real binary is asked; nothing within is looked at.

#![expect(clippy::unwrap_used, reason = "what cannot be unwrapped here fails the test")]

mod bounded;
mod full_disk;
mod leaving;
mod loader;
mod memory;
mod slow;
mod soak;
mod turns;
