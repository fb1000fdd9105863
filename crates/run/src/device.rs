//! Devices, chosen at run time by name.

use std::future::Future;
use std::pin::pin;
use std::str::FromStr;
use std::task::{Context, Poll, Waker};

use burn::tensor::{Device, Tensor};

use crate::RunError;

/// A device by its name: `auto`, `cpu`, `wgpu`, `wgpu:N`, `cuda` or `cuda:N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceChoice {
    /// A hardware GPU if wgpu finds one, otherwise the CPU.
    #[default]
    Auto,
    /// The CPU, through Burn's flex backend.
    Cpu,
    /// wgpu's best adapter, which may be a software one, or the GPU with that number.
    Wgpu(Option<usize>),
    /// The CUDA device with that number, or the first.
    Cuda(Option<usize>),
}

/// An open device and its name.
#[derive(Clone, Debug)]
pub struct ChosenDevice {
    /// The device.
    pub device: Device,
    /// The name to show to users.
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
    /// [`RunError::NoDevice`] if there is no such device, or this build does not support its kind.
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

/// Copies a tensor's values from its device, in row-major order.
///
/// # Errors
///
/// [`RunError::Device`] if the device failed.
pub fn to_host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, RunError> {
    tensor.try_into_vec_as().map_err(|error| RunError::Device(error.to_string()))
}

/// As [`to_host`], for platforms that can only read from a device asynchronously, such as browsers.
///
/// # Errors
///
/// As [`to_host`].
pub async fn to_host_async<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, RunError> {
    let data = tensor.into_data_async().await.map_err(|error| RunError::Device(error.to_string()))?;
    Ok(data.iter::<f32>().collect())
}

/// How values come from a device.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Transfer {
    /// By [`to_host`].
    Blocking,
    /// By [`to_host_async`].
    Async,
}

impl Transfer {
    pub async fn read<const D: usize>(self, tensor: Tensor<D>) -> Result<Vec<f32>, RunError> {
        match self {
            Self::Blocking => to_host(tensor),
            Self::Async => to_host_async(tensor).await,
        }
    }
}

/// The value of a future that waits for nothing, such as one that only does [`Transfer::Blocking`].
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("it waits for nothing"),
    }
}

fn cpu() -> ChosenDevice {
    ChosenDevice { device: Device::flex(), name: "the CPU".into() }
}

// In a browser an adapter can only be requested asynchronously: `Device::wgpu_options().init_async()`.
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
        .map_err(|message| format!("no graphics adapter ({message}); install a driver"))
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
        Err("this build does not support wgpu; build it with the feature `wgpu`".into())
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
            return Err(format!("found {found} CUDA devices"));
        }
        Ok(ChosenDevice { device: Device::cuda(index), name: format!("CUDA device {index}") })
    }
}

#[cfg(not(feature = "cuda"))]
mod cuda {
    use super::ChosenDevice;

    pub fn open(_: Option<usize>) -> Result<ChosenDevice, String> {
        Err("this build does not support CUDA; build it with the feature `cuda`".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_parsed_and_displayed() {
        for name in ["auto", "cpu", "wgpu", "wgpu:1", "cuda", "cuda:0"] {
            assert_eq!(name.parse::<DeviceChoice>().expect("a choice").to_string(), name);
        }
        for name in ["gpu", "cpu:1", "wgpu:", "wgpu:x", ""] {
            assert!(name.parse::<DeviceChoice>().is_err(), "{name}");
        }
    }
}
