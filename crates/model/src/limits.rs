//! Limits on the size of settings.
//!
//! A configuration file may come from anyone, so no value in it may overflow an integer or ask for
//! memory that no machine has. The limits are far above what is useful.

/// The largest value of a setting that has no limit of its own.
pub(crate) const MAX_SIZE: usize = 1 << 20;
/// The largest vocabulary.
pub(crate) const MAX_VOCABULARY: usize = 1 << 24;
/// The largest number of layers in a stack.
pub(crate) const MAX_LAYERS: usize = 1 << 12;
/// The largest number of channels of a layer whose input has as many channels.
pub(crate) const MAX_CHANNELS: usize = 1 << 14;
/// The largest number of parameters of a model.
pub(crate) const MAX_PARAMETERS: u64 = 1 << 30;
/// The largest standard deviation of initial weights.
const MAX_STD: f64 = 1e3;

/// Checks that a setting is from 1 to [`MAX_SIZE`].
pub(crate) fn check_size(name: &str, value: usize) -> Result<(), String> {
    check_up_to(name, value, MAX_SIZE)
}

/// Checks that a setting is from 1 to `largest`.
pub(crate) fn check_up_to(name: &str, value: usize, largest: usize) -> Result<(), String> {
    if value == 0 {
        return Err(format!("{name} must be 1 or more, but is 0"));
    }
    if value > largest {
        return Err(format!("{name} must be {largest} or less, but is {value}"));
    }
    Ok(())
}

/// Checks the standard deviation of initial weights.
pub(crate) fn check_std(name: &str, value: f64) -> Result<(), String> {
    if (0.0..=MAX_STD).contains(&value) {
        Ok(())
    } else {
        Err(format!("{name} must be a number from 0 to {MAX_STD}, but is {value:?}"))
    }
}

/// Checks a number of words that counts are compared with.
pub(crate) fn check_factor(name: &str, value: f64) -> Result<(), String> {
    if (0.0..=MAX_SIZE as f64).contains(&value) {
        Ok(())
    } else {
        Err(format!("{name} must be a number from 0 to {MAX_SIZE}, but is {value:?}"))
    }
}

/// Checks the probability that a value is dropped.
pub(crate) fn check_chance(name: &str, value: f64) -> Result<(), String> {
    if (0.0..1.0).contains(&value) {
        Ok(())
    } else {
        Err(format!("{name} must be a number from 0 to below 1, but is {value:?}"))
    }
}

/// Checks the filters of an encoder that has some of each width.
pub(crate) fn check_widths(filters: usize, kernel_sizes: &[usize]) -> Result<(), String> {
    check_size("filters", filters)?;
    if kernel_sizes.is_empty() {
        return Err("kernel_sizes must have at least one width".into());
    }
    check_up_to("the number of kernel_sizes", kernel_sizes.len(), MAX_LAYERS)?;
    kernel_sizes.iter().try_for_each(|&width| check_size("each of kernel_sizes", width))
}

/// A product that is `u64::MAX` where it would overflow.
pub(crate) fn product<const N: usize>(factors: [usize; N]) -> u64 {
    factors.into_iter().fold(1, |product: u64, factor| product.saturating_mul(factor as u64))
}
