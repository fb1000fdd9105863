//! The binary, folders to run it in, and what is shared.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a program may take until it has written a file, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(300);

/// The binary, beside the folder that this test lies in.
pub fn binary() -> PathBuf {
    let own = std::env::current_exe().expect("a path");
    let folder = own.parent().and_then(Path::parent).expect("target/PROFILE/deps");
    let binary = folder.join(format!("convlens{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.exists(), "{} is not built; run: cargo build --release --package convlens", binary.display());
    binary
}

/// A folder of its own to run the binary in, with its own caches and no way to the network.
pub struct Place {
    folder: tempfile::TempDir,
    binary: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        Self::with_binary(binary())
    }

    pub fn with_binary(binary: PathBuf) -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), binary }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path().join(name), content).expect("writes");
        name.into()
    }

    /// The program, ready to be started here.
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

    /// Waits until a program has written a file, or has ended. Kills it and fails if that takes too long.
    pub fn wait_for(&self, file: &str, child: &mut Child) {
        let begin = Instant::now();
        while !self.path().join(file).exists() && child.try_wait().expect("waits").is_none() {
            if begin.elapsed() > PATIENCE {
                let _ = child.kill();
                panic!("{file} was not written in {} s", PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Runs the program to its end.
    pub fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("starts")
    }

    /// Runs it where it should succeed; its standard output.
    pub fn succeed(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "convlens {line}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs it where it should print JSON, an object a line.
    pub fn json(&self, line: &str) -> Vec<Value> {
        let lines = self.succeed(line);
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Runs it where it should fail as bad input does: exit code 2, one line, which is returned,
    /// and every file as it was.
    pub fn fail(&self, line: &str) -> String {
        self.fail_with(line, self.command(line))
    }

    pub fn fail_with(&self, line: &str, mut command: Command) -> String {
        let before = self.contents();
        let output = command.output().expect("starts");
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "convlens {line}: {error}");
        assert_eq!(error.lines().count(), 1, "convlens {line}: one line, not {error:?}");
        assert!(error.starts_with("convlens: ") || error.starts_with("error: "), "{error}");
        assert!(before == self.contents(), "convlens {line}: files were touched");
        error
    }

    /// As [`fail`](Self::fail), where other lines tell of progress before the last, which is
    /// returned.
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
        serde_json::from_slice(&self.read(file)).expect("JSON")
    }

    /// Every file here but the caches.
    fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut contents = BTreeMap::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("lists").flatten() {
                let path = entry.path();
                match path.is_dir() {
                    true if path.ends_with("cache") || path.ends_with("hf-home") => {}
                    true => folders.push(path),
                    false => _ = contents.insert(path.clone(), std::fs::read(path).expect("reads")),
                }
            }
        }
        contents
    }
}

/// A command line's words; single quotes keep spaces.
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

/// A folder beside the repository that some machines have: real data sets.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(name);
    path.exists().then_some(path)
}

/// Says aloud that a test was skipped, and why: past the test harness, which keeps to itself
/// what tests that pass print with `eprintln!`. Where `CONVLENS_SKIP_NOTHING` is set, that is a failure.
pub fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("CONVLENS_SKIP_NOTHING").is_none(), "{test}: {why}");
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}"); // nobody to tell where it fails
}
