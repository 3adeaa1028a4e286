//! The engine against a data backend on loopback: what goes in at one end, as MCAP in every shape,
//! comes out at the other as one stable merge; and what each fault ends in.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backend;
mod drive;
mod faults;
mod faulty;
mod files;
mod keeping;
mod merging;
mod output;
mod races;
mod ranges;
mod reading;
mod replicas;
mod setting;
mod shipped;
mod signed;
mod standing;
mod statics;
