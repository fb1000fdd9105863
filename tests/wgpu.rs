//! A training run and a prediction on wgpu, against the CPU's numbers.
//!
//! The binary with wgpu is another build; `CONVLENS_WGPU_BINARY` says where it lies.

use std::path::PathBuf;

use crate::common::{Place, skip};

#[test]
fn wgpu_computes_what_the_cpu_computes() {
    let Some(binary) = std::env::var_os("CONVLENS_WGPU_BINARY") else {
        return skip("wgpu", "CONVLENS_WGPU_BINARY names no binary built with --features wgpu");
    };
    let place = Place::with_binary(PathBuf::from(binary));
    // The same draws, so the same steps but for rounding.
    for device in ["cpu", "wgpu"] {
        place.succeed(&format!(
            "train --dataset sample --epochs 1 --batch-size 64 --device {device} --out runs/{device}"
        ));
    }
    let loss = |device: &str| {
        let metrics = place.read_json(&format!("runs/{device}/metrics.json"));
        metrics["test"]["loss"].as_f64().expect("a number")
    };
    assert!((loss("cpu") - loss("wgpu")).abs() < 1e-3, "{} and {}", loss("cpu"), loss("wgpu"));
    assert_ne!(place.read_json("runs/wgpu/metrics.json")["device"], "the CPU");

    let logit = |device: &str| {
        let prediction =
            &place.json(&format!("predict --run runs/cpu --device {device} --json 'not a good film at all'"))[0];
        prediction["logits"]["pos"].as_f64().expect("a number")
    };
    assert!((logit("cpu") - logit("wgpu")).abs() < 1e-4, "{} and {}", logit("cpu"), logit("wgpu"));
}
