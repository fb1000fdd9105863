#![doc = include_str!("../README.md")]

#[cfg(feature = "whole")]
mod reader;
mod reading;
#[cfg(feature = "whole")]
mod table;
// In the page it is a module of its own; natively it is built with the others, for tests and documentation.
#[cfg(not(all(feature = "whole", target_arch = "wasm32")))]
mod small_reader;
#[cfg(feature = "whole")]
mod tag_reader;
#[cfg(feature = "whole")]
mod training;
#[cfg(feature = "whole")]
mod writer;

#[cfg(feature = "whole")]
pub use reader::Reader;
pub use reading::Reading;
#[cfg(not(all(feature = "whole", target_arch = "wasm32")))]
pub use small_reader::SmallReader;
#[cfg(feature = "whole")]
pub use table::columns;
#[cfg(feature = "whole")]
pub use tag_reader::{TagReader, TagReading};
#[cfg(feature = "whole")]
pub use training::Training;
#[cfg(feature = "whole")]
pub use writer::{PromptReading, Writer};

use wasm_bindgen::JsError;

/// Converts an error to a JavaScript `Error` with one line.
fn js_error(error: impl std::fmt::Display) -> JsError {
    JsError::new(&error.to_string())
}

/// Prints panics, which are bugs of this crate, to the browser's console.
#[cfg(target_arch = "wasm32")]
#[wasm_bindgen::prelude::wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}
