//! Interruption: Ctrl-C, and the signals with which a system ends a program.

use std::io::Read;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Failure, INTERRUPTED};

/// Signals within this time count as one: a terminal sends Ctrl-C to all of its programs, and a
/// program that waits for another one passes it on as well.
const SAME: Duration = Duration::from_secs(1);
/// How often a program that waits for another one looks for an interruption.
const POLL: Duration = Duration::from_millis(50);

/// Calls `on_signal` whenever this program is interrupted.
///
/// Programs that never call this are ended by the signal at once, as is usual.
fn on_interruption(mut on_signal: impl FnMut() + Send + 'static) {
    let mut last = None::<Instant>;
    let handler = move || {
        if last.is_none_or(|last| last.elapsed() > SAME) {
            last = Some(Instant::now());
            on_signal();
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        log::warn!("Ctrl-C will end this program at once, without a checkpoint: {error}");
    }
}

/// Interruptions of a program that has work to finish before it ends.
///
/// The first interruption is a request; the second one ends the program.
#[derive(Debug)]
pub struct Interruption {
    is_requested: Arc<AtomicBool>,
    /// The last line of a program that may end at any time.
    last_line: Arc<Mutex<Option<String>>>,
}

impl Interruption {
    /// Handles interruptions from here on. A program calls this once.
    pub fn new() -> Self {
        let interruption = Self { is_requested: Arc::default(), last_line: Arc::default() };
        let (is_requested, last_line) = (interruption.is_requested.clone(), interruption.last_line.clone());
        on_interruption(move || {
            let last_line = lock(&last_line).take();
            if let Some(line) = last_line {
                Failure::Interrupted(line).report();
                std::process::exit(INTERRUPTED.into());
            }
            if is_requested.swap(true, Ordering::Relaxed) {
                std::process::exit(INTERRUPTED.into());
            }
        });
        interruption
    }

    /// Whether the program was asked to end.
    pub fn is_requested(&self) -> &AtomicBool {
        &self.is_requested
    }

    /// From here on, an interruption ends the program at once, with this last line.
    ///
    /// # Errors
    ///
    /// [`Failure::Interrupted`] if the program was asked to end before.
    pub fn end_at_once(&self, line: String) -> Result<(), Failure> {
        *lock(&self.last_line) = Some(line.clone());
        if self.is_requested.load(Ordering::Relaxed) { Err(Failure::Interrupted(line)) } else { Ok(()) }
    }
}

/// Locks a line; a panic elsewhere does not make it invalid.
fn lock(line: &Mutex<Option<String>>) -> MutexGuard<'_, Option<String>> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Programs that do a part of the work, and that are interrupted when this one is.
#[derive(Debug)]
pub struct Children {
    interruptions: Arc<AtomicUsize>,
}

impl Children {
    /// From here on, this program ends only after its children. A program calls this once.
    pub fn new() -> Self {
        let interruptions = Arc::new(AtomicUsize::new(0));
        let count = interruptions.clone();
        on_interruption(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        Self { interruptions }
    }

    /// Whether this program was interrupted.
    pub fn are_stopped(&self) -> bool {
        self.interruptions.load(Ordering::Relaxed) > 0
    }

    /// Waits for a child, and returns its standard output, if that is a pipe.
    ///
    /// # Errors
    ///
    /// If the system cannot wait for the child, or its output cannot be read.
    pub fn wait(&self, mut child: Child) -> std::io::Result<(ExitStatus, Vec<u8>)> {
        let reader = child.stdout.take().map(|mut stdout| {
            thread::spawn(move || {
                let mut output = Vec::new();
                stdout.read_to_end(&mut output).map(|_| output)
            })
        });
        let mut passed_on = 0;
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
            if count > passed_on {
                interrupt(&child);
                passed_on = count;
            }
            thread::sleep(POLL);
        };
        let output = reader.map_or(Ok(Ok(Vec::new())), |reader| reader.join());
        Ok((status, output.unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()))?))
    }
}

/// Interrupts a child as Ctrl-C does.
#[cfg(unix)]
fn interrupt(child: &Child) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    let sent = i32::try_from(child.id()).map(|id| kill(Pid::from_raw(id), Signal::SIGINT));
    if !matches!(sent, Ok(Ok(()))) {
        log::warn!("process {}: could not be interrupted", child.id());
    }
}

/// On Windows the console interrupts all of its programs.
#[cfg(not(unix))]
fn interrupt(_child: &Child) {}
