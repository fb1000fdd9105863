//! How large a setting may be.

/// No setting may be larger: what is, was not meant.
pub(crate) const LARGEST: usize = 1 << 20;

/// Whether a setting has a size.
pub(crate) fn check_size(name: &str, value: usize) -> Result<(), String> {
    match value {
        0 => Err(format!("{name} must be 1 or more")),
        1..=LARGEST => Ok(()),
        _ => Err(format!("{name} must be {LARGEST} or less")),
    }
}

/// Whether so many filters of each width make an encoder.
pub(super) fn check_widths(filters: usize, kernel_sizes: &[usize]) -> Result<(), String> {
    if filters == 0 {
        return Err("filters must be 1 or more".into());
    }
    if kernel_sizes.is_empty() {
        return Err("kernel_sizes must name at least one width".into());
    }
    match kernel_sizes.iter().all(|width| (1..=LARGEST).contains(width)) {
        true => Ok(()),
        false => Err(format!("kernel_sizes must be from 1 to {LARGEST}")),
    }
}
