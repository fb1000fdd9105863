//! What several benches measure with.

/// The user and system time of this process; 0 where the system does not report it.
#[cfg(unix)]
pub fn cpu_seconds() -> f64 {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6
}

#[cfg(not(unix))]
pub fn cpu_seconds() -> f64 {
    0.0
}
