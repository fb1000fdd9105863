//! The verbs, one file each.

pub mod analyze;
pub mod cache;
pub mod compare;
pub mod completions;
pub mod data;
pub mod evaluate;
pub mod export;
pub mod generate;
pub mod gradients;
pub mod predict;
pub mod probe;
pub mod receptive_field;
pub mod train;
pub mod web;
