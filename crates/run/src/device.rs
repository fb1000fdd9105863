//! Which device computes: chosen at run time, and named.

use std::str::FromStr;

use burn::tensor::{Device, Tensor};

use crate::RunError;

/// What `--device` takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A real GPU where wgpu finds one, else the CPU.
    #[default]
    Auto,
    /// The CPU, through Burn's flex.
    Cpu,
    /// wgpu's best adapter, or the GPU of that number; here, asked for, a software adapter will do.
    Wgpu(Option<usize>),
    /// The CUDA device of that number, or the first.
    Cuda(Option<usize>),
}

/// A device, ready to compute, and its name for people.
#[derive(Clone, Debug)]
pub struct ChosenDevice {
    /// The device.
    pub device: Device,
    /// What it is.
    pub name: String,
}

impl FromStr for DeviceChoice {
    type Err = RunError;

    fn from_str(name: &str) -> Result<Self, RunError> {
        let unknown = || RunError::UnknownDevice(name.into());
        let (kind, index) = match name.split_once(':') {
            Some((kind, index)) => (kind, Some(index.parse().map_err(|_| unknown())?)),
            None => (name, None),
        };
        match (kind, index) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            ("wgpu", index) => Ok(Self::Wgpu(index)),
            ("cuda", index) => Ok(Self::Cuda(index)),
            _ => Err(unknown()),
        }
    }
}

impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, index) = match self {
            Self::Auto => ("auto", None),
            Self::Cpu => ("cpu", None),
            Self::Wgpu(index) => ("wgpu", *index),
            Self::Cuda(index) => ("cuda", *index),
        };
        match index {
            Some(index) => write!(f, "{kind}:{index}"),
            None => f.write_str(kind),
        }
    }
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    ///
    /// [`RunError::NoDevice`] where there is no such device, or none of its kind in this build.
    pub fn open(self) -> Result<ChosenDevice, RunError> {
        match self {
            Self::Auto => Ok(wgpu::real_gpu().unwrap_or_else(cpu)),
            Self::Cpu => Ok(cpu()),
            Self::Wgpu(index) => wgpu::open(index).map_err(|message| self.missing(message)),
            Self::Cuda(index) => cuda::open(index).map_err(|message| self.missing(message)),
        }
    }

    fn missing(self, message: String) -> RunError {
        RunError::NoDevice { device: self.to_string(), message }
    }
}

/// A tensor's values, row after row, from whichever device they are on.
///
/// # Errors
///
/// [`RunError::Device`] where the device failed.
pub fn to_host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, RunError> {
    tensor.try_into_vec_as().map_err(|error| RunError::Device(error.to_string()))
}

/// As [`to_host`], where a device can only be read from while the program goes on with other work.
///
/// # Errors
///
/// As [`to_host`].
pub async fn to_host_async<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, RunError> {
    let data = tensor.into_data_async().await.map_err(|error| RunError::Device(error.to_string()))?;
    Ok(data.iter::<f32>().collect())
}

fn cpu() -> ChosenDevice {
    ChosenDevice { device: Device::flex(), name: "the CPU".into() }
}

// A browser gives an adapter to those alone who can wait for it: `Device::wgpu_options().init_async()`.
#[cfg(all(feature = "wgpu", not(target_family = "wasm")))]
mod wgpu {
    use super::ChosenDevice;
    use burn::tensor::{Device, DeviceKind};

    pub fn real_gpu() -> Option<ChosenDevice> {
        [DeviceKind::DiscreteGpu(0), DeviceKind::IntegratedGpu(0), DeviceKind::VirtualGpu(0)]
            .into_iter()
            .find_map(|kind| init(kind).ok())
    }

    pub fn open(index: Option<usize>) -> Result<ChosenDevice, String> {
        match index {
            None => init(DeviceKind::DefaultDevice),
            Some(index) => init(DeviceKind::DiscreteGpu(index)).or_else(|_| init(DeviceKind::IntegratedGpu(index))),
        }
        .map_err(|message| format!("no graphics adapter ({message}); install a driver, or use --device cpu"))
    }

    fn init(kind: DeviceKind) -> Result<ChosenDevice, String> {
        let device = Device::wgpu_options().device_kind(kind).init().map_err(|error| error.to_string())?;
        let name = device.identity().map_or_else(|| "a GPU".to_owned(), |identity| identity.name);
        Ok(ChosenDevice { device, name: format!("{name} (wgpu)") })
    }
}

#[cfg(not(all(feature = "wgpu", not(target_family = "wasm"))))]
mod wgpu {
    use super::ChosenDevice;

    pub fn real_gpu() -> Option<ChosenDevice> {
        None
    }

    pub fn open(_: Option<usize>) -> Result<ChosenDevice, String> {
        Err("this build has no wgpu; build with `--features wgpu`, or run it as `cargo xtask … --device wgpu`".into())
    }
}

#[cfg(feature = "cuda")]
mod cuda {
    use super::ChosenDevice;
    use burn::tensor::{Device, DeviceType};

    pub fn open(index: Option<usize>) -> Result<ChosenDevice, String> {
        let index = index.unwrap_or(0);
        let found = std::panic::catch_unwind(|| Device::enumerate(DeviceType::Cuda).into_vec().len()).unwrap_or(0);
        if index >= found {
            return Err(format!("{found} CUDA devices found; use --device cpu"));
        }
        Ok(ChosenDevice { device: Device::cuda(index), name: format!("CUDA device {index}") })
    }
}

#[cfg(not(feature = "cuda"))]
mod cuda {
    use super::ChosenDevice;

    pub fn open(_: Option<usize>) -> Result<ChosenDevice, String> {
        Err("this build has no CUDA; build with `--features cuda`".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_and_written() {
        for name in ["auto", "cpu", "wgpu", "wgpu:1", "cuda", "cuda:0"] {
            assert_eq!(name.parse::<DeviceChoice>().expect("a choice").to_string(), name);
        }
        for name in ["gpu", "cpu:1", "wgpu:", "wgpu:x", ""] {
            assert!(name.parse::<DeviceChoice>().is_err(), "{name}");
        }
    }
}
