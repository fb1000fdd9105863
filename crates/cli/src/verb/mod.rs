//! The verbs, a file each.

pub mod completions;
pub mod data;
pub mod evaluate;
pub mod predict;
pub mod train;
