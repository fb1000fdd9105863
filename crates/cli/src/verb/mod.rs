//! The verbs, a file each.

pub mod analyze;
pub mod completions;
pub mod data;
pub mod evaluate;
pub mod export;
pub mod predict;
pub mod train;
