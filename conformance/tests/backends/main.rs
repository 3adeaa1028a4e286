//! The checker against backends that are good, and against ones that are wrong in one way each.

#![expect(clippy::unwrap_used, reason = "what cannot be unwrapped here fails the test")]

mod advice;
mod broken;
mod evidence;
mod good;
mod hostile;
mod house;
