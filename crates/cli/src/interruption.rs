//! Ctrl-C, and a system's wish that this program end.

use std::io::Read;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::INTERRUPTED;

/// Two within this time are one: a terminal tells all its programs of Ctrl-C, and one that waits for
/// another hands it on as well.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How often a program that waits for another looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// Has `told` called whenever this program is told to end.
fn on_interruption(mut told: impl FnMut() + Send + 'static) {
    let mut last = None::<Instant>;
    let handler = move || {
        if last.is_none_or(|last| last.elapsed() > AT_ONCE) {
            last = Some(Instant::now());
            told();
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        log::warn!("Ctrl-C will end this at once, and write no checkpoint: {error}");
    }
}

/// A flag that the first sets; the second ends the program at once.
pub fn stop_on_interruption() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    on_interruption(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
    });
    stop
}

/// Programs that do a part of the work, and are told to end when this one is.
#[derive(Debug)]
pub struct Children {
    interruptions: Arc<AtomicUsize>,
}

impl Children {
    /// From here on this program ends when its children have.
    pub fn new() -> Self {
        let interruptions = Arc::new(AtomicUsize::new(0));
        let count = interruptions.clone();
        on_interruption(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        Self { interruptions }
    }

    /// Whether this program was told to end.
    pub fn are_stopped(&self) -> bool {
        self.interruptions.load(Ordering::Relaxed) > 0
    }

    /// Waits for one of them; what it says on standard output, if that is ours to read.
    ///
    /// # Errors
    ///
    /// Where the system cannot wait for it, or what it says cannot be read.
    pub fn wait(&self, mut child: Child) -> std::io::Result<(ExitStatus, Vec<u8>)> {
        let said = child.stdout.take().map(|mut stdout| {
            thread::spawn(move || {
                let mut said = Vec::new();
                stdout.read_to_end(&mut said).map(|_| said)
            })
        });
        let mut handed_on = 0;
        let status = loop {
            match child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => break status,
                Err(error) => {
                    let _ = child.kill().and_then(|()| child.wait());
                    return Err(error);
                }
            }
            let count = self.interruptions.load(Ordering::Relaxed);
            if count > handed_on {
                interrupt(&child);
                handed_on = count;
            }
            thread::sleep(LOOK);
        };
        let said = said.map_or(Ok(Ok(Vec::new())), |said| said.join());
        Ok((status, said.unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()))?))
    }
}

/// As Ctrl-C does.
#[cfg(unix)]
fn interrupt(child: &Child) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    let sent = i32::try_from(child.id()).map(|id| kill(Pid::from_raw(id), Signal::SIGINT));
    if !matches!(sent, Ok(Ok(()))) {
        log::warn!("process {}: could not be told to end", child.id());
    }
}

/// The console tells all its programs.
#[cfg(not(unix))]
fn interrupt(_child: &Child) {}
