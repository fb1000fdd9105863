#![doc = include_str!("../README.md")]

mod reader;
mod table;
mod training;

pub use reader::{Reader, Reading};
pub use table::columns;
pub use training::Training;

use wasm_bindgen::JsError;

/// What went wrong, as JavaScript has it: an `Error` with one line.
fn said(error: impl std::fmt::Display) -> JsError {
    JsError::new(&error.to_string())
}

/// Makes a panic, a defect of this program, say in the browser's console what it was.
#[cfg(target_arch = "wasm32")]
#[wasm_bindgen::prelude::wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}
