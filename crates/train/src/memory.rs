//! How much memory this process took.

/// The peak memory of this process so far, in bytes; 0 where the system does not report it.
#[cfg(unix)]
pub(crate) fn peak_rss_bytes() -> u64 {
    use nix::sys::resource::{UsageWho, getrusage};
    // Apple's systems count bytes, the others KiB.
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| u64::try_from(usage.max_rss()).unwrap_or(0) * unit)
}

#[cfg(not(unix))]
pub(crate) fn peak_rss_bytes() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(unix)]
    fn the_peak_contains_what_was_just_allocated() {
        let megabytes = std::hint::black_box(vec![1u8; 64 << 20]);
        let peak = super::peak_rss_bytes();
        assert!(peak > megabytes.len() as u64 && peak < 1 << 40, "{peak}");
    }
}
