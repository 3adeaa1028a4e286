//! The bucket against servers that speak the protocols of S3, Azure and Google Cloud, and where a
//! fault has to come at one moment, against a store in memory.

mod check;
mod claims;
mod completion;
mod damage;
mod listing;
mod parts;
mod removal;
mod sources;
mod stores;
