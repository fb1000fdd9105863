#![doc = include_str!("../README.md")]

#[cfg(feature = "whole")]
mod reader;
mod reading;
#[cfg(feature = "whole")]
mod table;
// For a page in a module of its own; natively beside the others, to be tested and documented.
#[cfg(not(all(feature = "whole", target_arch = "wasm32")))]
mod table_reader;
#[cfg(feature = "whole")]
mod training;

#[cfg(feature = "whole")]
pub use reader::Reader;
pub use reading::Reading;
#[cfg(feature = "whole")]
pub use table::columns;
#[cfg(not(all(feature = "whole", target_arch = "wasm32")))]
pub use table_reader::TableReader;
#[cfg(feature = "whole")]
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
