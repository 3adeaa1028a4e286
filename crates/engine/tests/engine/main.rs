//! The engine against a data backend on loopback: what goes in at one end, as MCAP in every shape,
//! comes out at the other as one stable merge.

mod backend;
mod drive;
mod merging;
mod output;
