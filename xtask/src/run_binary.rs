//! Builds `convlens`, with a GPU backend if there is a GPU or a flag asks for one, and runs it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

/// Builds `convlens` and runs it with `arguments`. Returns its exit code.
pub fn run(arguments: &[OsString]) -> ExitCode {
    report(build(arguments).and_then(|binary| replace_with(&binary, arguments)))
}

/// Runs the built `convlens` as the last thing. On Unix it replaces this process, so that it gets every signal.
pub fn replace_with(binary: &Path, arguments: &[OsString]) -> Result<ExitCode, String> {
    let mut command = Command::new(binary);
    command.args(arguments);
    #[cfg(unix)]
    let status = Err(std::os::unix::process::CommandExt::exec(&mut command));
    #[cfg(not(unix))]
    let status = command.status();
    exit_code(binary, status)
}

/// Runs the built `convlens` and waits for it.
pub fn run_built(binary: &Path, arguments: &[OsString]) -> Result<ExitCode, String> {
    exit_code(binary, Command::new(binary).args(arguments).status())
}

fn exit_code(binary: &Path, status: io::Result<ExitStatus>) -> Result<ExitCode, String> {
    let status = status.map_err(|error| format!("{}: {error}", binary.display()))?;
    Ok(ExitCode::from(status.code().unwrap_or(1) as u8))
}

/// Prints an error, if there is one, and returns the exit code.
pub fn report(result: Result<ExitCode, String>) -> ExitCode {
    result.unwrap_or_else(|line| {
        eprintln!("xtask: {line}");
        ExitCode::from(2)
    })
}

/// Builds `convlens` with the features that these arguments need. Returns the path of the binary.
pub fn build(arguments: &[OsString]) -> Result<PathBuf, String> {
    let (features, why) = features(arguments);
    eprintln!("building convlens {why} (the first build takes minutes)");
    let mut build = Command::new(cargo());
    build.args(["build", "--release", "--package", "convlens", "--manifest-path"]).arg(root().join("Cargo.toml"));
    if !features.is_empty() {
        build.args(["--features", &features.join(",")]);
    }
    match build.status() {
        Ok(status) if status.success() => Ok(binary()),
        Ok(_) => Err("`cargo build --release --package convlens` failed".into()),
        Err(error) => Err(format!("cargo: {error}")),
    }
}

/// The Cargo that runs this program.
pub fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The workspace's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).into()
}

/// The path of `convlens`: the same folder as this program, since both are built in release.
fn binary() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name(format!("convlens{}", std::env::consts::EXE_SUFFIX))
}

/// Verbs without `--device`.
const WITHOUT_DEVICE: [&str; 6] = ["completions", "data", "export", "gradients", "receptive-field", "web"];

/// Which backends to build in addition to the CPU's, and why. wgpu adds a quarter of an hour on two cores, so
/// it is built only where it is useful.
fn features(arguments: &[OsString]) -> (Vec<&'static str>, String) {
    let device = device_flag(arguments);
    match device.as_deref() {
        Some(device) if device.starts_with("wgpu") => (vec!["wgpu"], "with wgpu, as --device asks".into()),
        Some(device) if device.starts_with("cuda") => (vec!["cuda"], "with CUDA, as --device asks".into()),
        Some("cpu") => (vec![], "for the CPU only, as --device asks".into()),
        _ if arguments.first().is_some_and(|verb| WITHOUT_DEVICE.iter().any(|without| verb == without)) => {
            (vec![], "for the CPU only, which is enough for this verb".into())
        }
        _ if has_gpu() => (vec!["wgpu"], "with wgpu, for the GPU of this machine".into()),
        _ => (vec![], "for the CPU only: no GPU was found (--device wgpu builds for one anyway)".into()),
    }
}

fn device_flag(arguments: &[OsString]) -> Option<String> {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let after = words.iter().position(|word| *word == "--device").and_then(|place| words.get(place + 1));
    let joined = words.iter().find_map(|word| word.strip_prefix("--device="));
    joined.or(after.copied()).map(String::from)
}

fn has_gpu() -> bool {
    if !cfg!(target_os = "linux") {
        return true; // Metal and DirectX are part of the system
    }
    let nodes = std::fs::read_dir("/dev/dri").into_iter().flatten().flatten();
    let renders = nodes.into_iter().any(|node| node.file_name().to_string_lossy().starts_with("renderD"));
    renders || Path::new("/dev/nvidia0").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_flag_decides_on_the_features() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(features(&words("train --device wgpu:1")).0, ["wgpu"]);
        assert_eq!(features(&words("train --device=cuda --seed 1")).0, ["cuda"]);
        assert!(features(&words("train --device cpu")).0.is_empty());
        assert!(features(&words("web --run runs/r")).0.is_empty());
    }
}
