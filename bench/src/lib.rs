//! Recordings to measure with, and comparisons with other programs.
