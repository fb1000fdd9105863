//! `cargo xtask web`: builds the page's modules for wasm32 and hands the page to `convlens web`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::run_binary;

const TARGET: &str = "wasm32-unknown-unknown";
/// A compiler that builds for wasm32, where the usual one does not; its linker is Cargo's business
/// (`CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER`).
const RUSTC: &str = "CONVLENS_WASM_RUSTC";
/// The page's modules: their folders, and the features they are built with.
const MODULES: [(&str, &str); 4] =
    [("table", ""), ("cpu", "whole"), ("cpu-library", "whole,library"), (WEBGPU, "whole,library,webgpu")];
const WEBGPU: &str = "webgpu";
const WITHOUT_WEBGPU: &str = "--no-webgpu";
const BUILD_ONLY: &str = "--build-only";

const USAGE: &str = "\
cargo xtask web [--no-webgpu] [--build-only] [FLAGS OF convlens web]

Builds the page's modules for wasm32, then writes the page of a run and serves it. The first build
takes minutes, most of them for WebGPU's module.
  --no-webgpu      build the CPU's modules alone
  --build-only     build the page and no more
";

/// Builds the page, then runs `convlens web` on it.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let is_ours = |word: &OsString| word == WITHOUT_WEBGPU || word == BUILD_ONLY;
    let (ours, theirs): (Vec<_>, Vec<_>) = arguments.iter().cloned().partition(is_ours);
    let asked = |flag: &str| ours.iter().any(|word| word == flag);
    if theirs.iter().any(|word| word == "--help" || word == "-h") {
        println!("{USAGE}");
        return run_binary::run(&["web".into(), "--help".into()]);
    }
    let with_webgpu = !asked(WITHOUT_WEBGPU);
    run_binary::ended(find_tools().and_then(|tools| write(&tools, with_webgpu, asked(BUILD_ONLY), theirs)))
}

/// Builds the page and, unless it is all that is asked for, has `convlens web` put a run on it.
fn write(tools: &Tools, with_webgpu: bool, is_all: bool, theirs: Vec<OsString>) -> Result<ExitCode, String> {
    let page = tools.built.join("page");
    if is_all {
        build(tools, &page, with_webgpu)?;
        println!("{}: the page, without a run", page.display());
        return Ok(ExitCode::SUCCESS);
    }
    let mut words: Vec<OsString> = vec!["web".into(), "--page".into(), page.clone().into()];
    words.extend(theirs);
    // Before minutes of building: is there a run, and will it do?
    let binary = run_binary::build(&words)?;
    let checked = run_binary::run_built(&binary, &[words.as_slice(), &["--check".into()]].concat())?;
    if checked != ExitCode::SUCCESS {
        return Ok(checked);
    }
    build(tools, &page, with_webgpu)?;
    run_binary::hand_over(&binary, &words)
}

/// What the page is built with.
struct Tools {
    root: PathBuf,
    /// A compiler that builds for wasm32.
    rustc: OsString,
    /// The folder of what is built.
    built: PathBuf,
}

/// What the page is built with, or which command installs it.
fn find_tools() -> Result<Tools, String> {
    let root = run_binary::root();
    let rustc = std::env::var_os(RUSTC).unwrap_or_else(|| "rustc".into());
    check_target(&rustc)?;
    check_bindgen(&root)?;
    Ok(Tools { root, rustc, built: target_folder()? })
}

/// Builds the page and its modules.
fn build(Tools { root, rustc, built }: &Tools, page: &Path, with_webgpu: bool) -> Result<(), String> {
    if page.exists() {
        fs::remove_dir_all(page).map_err(|error| format!("{}: {error}", page.display()))?;
    }
    copy(&root.join("crates/web/page"), page)?;
    for (name, features) in MODULES.into_iter().filter(|(name, _)| with_webgpu || *name != WEBGPU) {
        eprintln!("building the page's module {name} (the first build takes minutes)");
        let mut cargo = Command::new(run_binary::cargo());
        cargo.current_dir(root).env("RUSTC", rustc);
        cargo.args(["build", "--profile", "web", "--package", "convlens-web", "--target", TARGET, "--target-dir"]);
        cargo.arg(built).args(["--no-default-features", "--features", features]);
        succeed(&mut cargo, "cargo could not build the page's module")?;
        let module = built.join(TARGET).join("web/convlens_web.wasm");
        let mut bindgen = Command::new("wasm-bindgen");
        bindgen.args(["--target", "web", "--no-typescript", "--remove-name-section", "--remove-producers-section"]);
        bindgen.arg("--out-dir").arg(page.join(name)).arg(&module);
        succeed(&mut bindgen, "wasm-bindgen could not read the page's module")?;
    }
    Ok(())
}

/// Beside the binary's builds, in the target folder that this program was built into.
fn target_folder() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let target = own.ancestors().nth(2).unwrap_or(Path::new("target"));
    Ok(target.join("web"))
}

fn check_target(rustc: &OsString) -> Result<(), String> {
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    let folder = output.map_err(|error| format!("{}: {error}", rustc.display()))?.stdout;
    match Path::new(String::from_utf8_lossy(&folder).trim()).is_dir() {
        true => Ok(()),
        false => Err(format!(
            "this Rust does not build for the browser yet: run `rustup target add {TARGET}` (or name a compiler that does in {RUSTC})"
        )),
    }
}

/// The tool must be of the library's own version.
fn check_bindgen(root: &Path) -> Result<(), String> {
    let lock = root.join("Cargo.lock");
    let lock = fs::read_to_string(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    let version = lock.split("name = \"wasm-bindgen\"\nversion = \"").nth(1).and_then(|rest| rest.split('"').next());
    let version = version.ok_or("Cargo.lock names no wasm-bindgen")?;
    let output = Command::new("wasm-bindgen").arg("--version").output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    match said.split_whitespace().nth(1) {
        Some(found) if found == version => Ok(()),
        found => Err(format!(
            "wasm-bindgen {version} is needed ({}): run `cargo install wasm-bindgen-cli --version {version}`",
            found.map_or("none is on the PATH".into(), |found| format!("{found} is on the PATH"))
        )),
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let wrong = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(to).map_err(|error| wrong(to, error))?;
    for entry in fs::read_dir(from).map_err(|error| wrong(from, error))?.flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).map_err(|error| wrong(&entry.path(), error))?;
    }
    Ok(())
}

fn succeed(command: &mut Command, otherwise: &str) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(otherwise.into()),
        Err(error) => Err(format!("{}: {error}", command.get_program().display())),
    }
}
