//! The binary, folders to run it in, and helpers that every test uses.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a test waits for something that usually takes seconds. Generous, so that a slow or busy
/// machine passes too; a test that runs into it reports what it waited for.
const PATIENCE: Duration = Duration::from_secs(600);

/// The path of the binary. It is in the parent of the folder that holds this test program.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("has a path");
    let folder = test.parent().and_then(Path::parent).expect("is in target/PROFILE/deps");
    let binary = folder.join(format!("convlens{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.exists(), "{} is not built; run: cargo build --release --package convlens", binary.display());
    binary
}

/// A temporary folder to run the binary in, with its own caches and no access to the network.
pub struct Place {
    folder: tempfile::TempDir,
    binary: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        Self::with_binary(binary())
    }

    pub fn with_binary(binary: PathBuf) -> Self {
        Self { folder: tempfile::tempdir().expect("creates a folder"), binary }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file and returns its name.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path().join(name), content).expect("writes");
        name.into()
    }

    /// A command that runs the program in this folder.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(words(line)).current_dir(self.path()).stdin(Stdio::null());
        for variable in ["RUST_LOG", "RUST_BACKTRACE", "HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "XDG_CACHE_HOME"] {
            command.env_remove(variable);
        }
        command
            .env("HF_HOME", self.path().join("hf-home"))
            .env("HF_ENDPOINT", "http://127.0.0.1:9")
            .env("CONVLENS_CACHE", self.path().join("cache"));
        command
    }

    /// Waits until a program has written a file or has ended. Kills it and panics if neither happens
    /// within [`PATIENCE`].
    pub fn wait_for(&self, file: &str, child: &mut Child) {
        let start = Instant::now();
        while !self.path().join(file).exists() && child.try_wait().expect("has a status").is_none() {
            if start.elapsed() > PATIENCE {
                let _ = child.kill();
                panic!("the program did not write {file} within {} seconds", PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts the program, interrupts it as Ctrl-C does once it has written a file, and returns what it says on standard
    /// error. Panics if it does not end as an interrupted program does.
    #[cfg(unix)]
    pub fn interrupt(&self, line: &str, file: &str) -> String {
        let mut child = self.command(line).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
        self.wait_for(file, &mut child);
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("sends");
        let output = child.wait_with_output().expect("ends");
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{error}");
        error
    }

    /// Runs the program to its end.
    pub fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("starts")
    }

    /// Runs the program, asserts that it succeeds, and returns its standard output.
    pub fn succeed(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "convlens {line}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs the program and returns the JSON objects that it prints, one per line.
    pub fn json(&self, line: &str) -> Vec<Value> {
        let lines = self.succeed(line);
        lines.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect()
    }

    /// Runs the program on bad input and returns its one line on standard error. Asserts that the exit
    /// code is 2 and that no file has changed.
    pub fn fail(&self, line: &str) -> String {
        self.fail_with(line, self.command(line))
    }

    /// Like [`fail`](Self::fail), for a prepared command; `line` only describes it.
    pub fn fail_with(&self, line: &str, mut command: Command) -> String {
        let before = self.contents();
        let output = command.output().expect("starts");
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "convlens {line}: {error}");
        assert_eq!(error.lines().count(), 1, "convlens {line}: expected one line, not {error:?}");
        assert!(error.starts_with("convlens: "), "{error}");
        assert!(before == self.contents(), "convlens {line}: files have changed");
        error
    }

    /// Like [`fail`](Self::fail), for commands that report progress first. Returns the last line.
    pub fn fail_last(&self, line: &str) -> String {
        let output = self.run(line);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "convlens {line}: {error}");
        error.lines().last().unwrap_or_default().to_owned()
    }

    pub fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.path().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    pub fn read_json(&self, file: &str) -> Value {
        serde_json::from_slice(&self.read(file)).expect("is JSON")
    }

    /// The content of every file in this folder, without the caches.
    fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut contents = BTreeMap::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("lists").flatten() {
                let path = entry.path();
                let is_cache = path.ends_with("cache") || path.ends_with("hf-home");
                if !path.is_dir() {
                    contents.insert(path.clone(), std::fs::read(path).expect("reads"));
                } else if !is_cache {
                    folders.push(path);
                }
            }
        }
        contents
    }
}

/// Splits a command line into words. Text in single quotes is one word.
fn words(line: &str) -> Vec<String> {
    let quoted = line.split('\'').enumerate();
    quoted
        .flat_map(|(index, part)| match index % 2 {
            1 => vec![part.to_owned()],
            _ => part.split_whitespace().map(String::from).collect(),
        })
        .collect()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A path in `../shared`, a folder of real data sets that only some machines have. `None` if it does
/// not exist.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(name);
    path.exists().then_some(path)
}

/// Reports that a test was skipped, and why. Fails the test if `CONVLENS_SKIP_NOTHING` is set.
///
/// Writes to standard error directly, because the test harness hides what passing tests print with
/// `eprintln!`.
pub fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("CONVLENS_SKIP_NOTHING").is_none(), "{test}: {why}");
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}"); // if this fails, nobody can be told
}
