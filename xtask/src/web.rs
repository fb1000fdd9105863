//! `cargo xtask web`: builds the page's modules for wasm32 and passes the page to `convlens web`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::run_binary;

const TARGET: &str = "wasm32-unknown-unknown";
/// A compiler that builds for wasm32, if the usual one does not. Its linker is set with
/// `CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER`.
const RUSTC: &str = "CONVLENS_WASM_RUSTC";
/// The page's modules: their folders, and the features that they are built with.
const MODULES: [(&str, &str); 4] =
    [("small", ""), ("cpu", "whole"), ("cpu-library", "whole,library"), (WEBGPU, "whole,library,webgpu")];
const WEBGPU: &str = "webgpu";
const WITHOUT_WEBGPU: &str = "--no-webgpu";
const BUILD_ONLY: &str = "--build-only";

const USAGE: &str = "\
cargo xtask web [--no-webgpu] [--build-only] [FLAGS OF convlens web]

Builds the page's modules for wasm32, then writes the page of a run and serves it. The first build
takes minutes, most of them for WebGPU's module. It needs one Rust target and one tool:

  rustup target add wasm32-unknown-unknown
  cargo install wasm-bindgen-cli --version VERSION     the version of wasm-bindgen in Cargo.lock

Without them the command stops and prints what to run. Its own flags:
  --no-webgpu      build the modules for the CPU only
  --build-only     build the page without a run
";

/// Builds the page, then runs `convlens web` on it.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let is_own = |word: &OsString| word == WITHOUT_WEBGPU || word == BUILD_ONLY;
    let (own, others): (Vec<_>, Vec<_>) = arguments.iter().cloned().partition(is_own);
    let has = |flag: &str| own.iter().any(|word| word == flag);
    if others.iter().any(|word| word == "--help" || word == "-h") {
        println!("{USAGE}");
        return run_binary::run(&["web".into(), "--help".into()]);
    }
    let with_webgpu = !has(WITHOUT_WEBGPU);
    let result = match Tools::find() {
        Err(message) => Err(message),
        Ok(_) if has(BUILD_ONLY) && !others.is_empty() => {
            let others: Vec<_> = others.iter().map(|word| word.to_string_lossy()).collect();
            Err(format!("{BUILD_ONLY} writes no page of a run, so it takes no `{}`", others.join(" ")))
        }
        Ok(tools) if has(BUILD_ONLY) => build_only(&tools, with_webgpu),
        Ok(tools) => build_and_run(&tools, with_webgpu, others),
    };
    run_binary::report(result)
}

fn build_only(tools: &Tools, with_webgpu: bool) -> Result<ExitCode, String> {
    let page = tools.page();
    build(tools, &page, with_webgpu)?;
    println!("{}: the page, without a run", page.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds the page and has `convlens web` put a run on it.
fn build_and_run(tools: &Tools, with_webgpu: bool, arguments: Vec<OsString>) -> Result<ExitCode, String> {
    let page = tools.page();
    let mut words: Vec<OsString> = vec!["web".into(), "--page".into(), page.clone().into()];
    words.extend(arguments);
    // Building the page takes minutes, so the run and the folder are checked first.
    let binary = run_binary::build(&words)?;
    let checked = run_binary::run_built(&binary, &[words.as_slice(), &["--check".into()]].concat())?;
    if checked != ExitCode::SUCCESS {
        return Ok(checked);
    }
    build(tools, &page, with_webgpu)?;
    run_binary::replace_with(&binary, &words)
}

/// What the page is built with.
struct Tools {
    root: PathBuf,
    /// A compiler that builds for wasm32.
    rustc: OsString,
    /// The target folder of the page's modules.
    built: PathBuf,
}

impl Tools {
    /// Finds the tools. If some are missing, the error has the commands that install them.
    fn find() -> Result<Self, String> {
        let root = run_binary::root();
        let rustc = std::env::var_os(RUSTC).unwrap_or_else(|| "rustc".into());
        let missing: Vec<String> = [missing_target(&rustc)?, missing_bindgen(&root)?].into_iter().flatten().collect();
        if !missing.is_empty() {
            return Err(format!("the page cannot be built yet:\n  {}", missing.join("\n  ")));
        }
        Ok(Self { root, rustc, built: target_folder()? })
    }

    fn page(&self) -> PathBuf {
        self.built.join("page")
    }
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
        run_to_success(&mut cargo, &format!("cargo failed to build the page's module {name}"))?;
        let module = built.join(TARGET).join("web/convlens_web.wasm");
        let mut bindgen = Command::new("wasm-bindgen");
        bindgen.args(["--target", "web", "--no-typescript", "--remove-name-section", "--remove-producers-section"]);
        bindgen.arg("--out-dir").arg(page.join(name)).arg(&module);
        run_to_success(&mut bindgen, &format!("wasm-bindgen failed on the page's module {name}"))?;
    }
    Ok(())
}

/// A folder of its own in the target folder that this program was built into.
fn target_folder() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("the path of this program: {error}"))?;
    let target = own.ancestors().nth(2).unwrap_or(Path::new("target"));
    Ok(target.join("web"))
}

/// How to install the target, if the compiler does not have it.
fn missing_target(rustc: &OsString) -> Result<Option<String>, String> {
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    let folder = output.map_err(|error| format!("{}: {error}", rustc.display()))?.stdout;
    let is_there = Path::new(String::from_utf8_lossy(&folder).trim()).is_dir();
    Ok((!is_there).then(|| {
        format!(
            "{} does not build for {TARGET}: run `rustup target add {TARGET}` (without rustup, set {RUSTC} to a compiler that does)",
            rustc.display()
        )
    }))
}

/// How to install the tool, if it is missing or not of the same version as the library.
fn missing_bindgen(root: &Path) -> Result<Option<String>, String> {
    let version = locked_version(root, "wasm-bindgen")?;
    let output = Command::new("wasm-bindgen").arg("--version").output();
    let printed = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let found = printed.split_whitespace().nth(1);
    Ok((found != Some(version.as_str())).then(|| {
        let found = found.map_or("none was found".into(), |found| format!("{found} was found"));
        format!(
            "wasm-bindgen {version} is needed and {found}: run `cargo install wasm-bindgen-cli --version {version}`"
        )
    }))
}

/// The version of a package in `Cargo.lock`.
fn locked_version(root: &Path, name: &str) -> Result<String, String> {
    let path = root.join("Cargo.lock");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lock: toml::Table = text.parse().map_err(|error| format!("{}: {error}", path.display()))?;
    let packages = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    let field = |package: &toml::Value, key: &str| package.get(key).and_then(toml::Value::as_str).map(String::from);
    let mut versions = packages.filter(|package| field(package, "name").as_deref() == Some(name));
    let version = versions.next().and_then(|package| field(package, "version"));
    version.ok_or_else(|| format!("{}: it has no package {name}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(to).map_err(|error| failed(to, error))?;
    for entry in fs::read_dir(from).map_err(|error| failed(from, error))? {
        let path = entry.map_err(|error| failed(from, error))?.path();
        fs::copy(&path, to.join(path.file_name().unwrap_or_default())).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

fn run_to_success(command: &mut Command, failure: &str) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(failure.into()),
        Err(error) => Err(format!("{}: {error}", command.get_program().display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_version_is_found() {
        let version = locked_version(&run_binary::root(), "burn").expect("a version");
        assert_eq!(version.split('.').count(), 3, "{version}");
        assert!(locked_version(&run_binary::root(), "no-such-package").is_err());
    }

    /// `xtask/peers/burn-train` is a workspace of its own, so it must name Burn's version a second time.
    #[test]
    fn the_peer_is_built_with_the_same_burn() {
        let burn = |path: &str, table: &str| {
            let manifest = fs::read_to_string(run_binary::root().join(path)).expect("reads");
            let manifest: toml::Table = manifest.parse().expect("TOML");
            let manifest = toml::Value::Table(manifest);
            let table = table.split('.').fold(&manifest, |value, key| &value[key]);
            table["burn"]["version"].as_str().expect("a version").to_owned()
        };
        let peer = burn("xtask/peers/burn-train/Cargo.toml", "dependencies");
        assert_eq!(peer, burn("Cargo.toml", "workspace.dependencies"));
    }
}
