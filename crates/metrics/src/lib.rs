//! What the loader counts and measures.
//!
//! [`table`] has one constant for each metric: its name, its labels, its unit and what it tells.
//! Whoever has something to count names the constant; where the numbers go is decided once, by the
//! process that installs a recorder. Without one nothing is kept, and counting costs next to
//! nothing.
//!
//! Invariants: what is no constant here is not counted; the values of a label come from a bounded
//! set, never from what a user or a backend names.

mod metric;
pub mod table;

pub use self::metric::{Counter, Definition, Gauge, Held, Histogram, Kind, Unit};
pub use self::table::ALL;

/// Tells the recorder what every metric means. To be called once it is installed.
pub fn describe() {
    for definition in ALL {
        definition.describe();
    }
}
