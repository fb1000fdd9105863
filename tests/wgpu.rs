//! Compares training and prediction on wgpu with the CPU.
//!
//! This needs a binary built with the feature `wgpu`; `CONVLENS_WGPU_BINARY` is its path.

use std::path::PathBuf;

use crate::common::{Place, skip};

#[test]
fn wgpu_and_the_cpu_give_the_same_results() {
    let Some(binary) = std::env::var_os("CONVLENS_WGPU_BINARY") else {
        return skip("wgpu", "CONVLENS_WGPU_BINARY is not set; set it to a binary built with --features wgpu");
    };
    let place = Place::with_binary(PathBuf::from(binary));
    reports_a_missing_adapter(&place);
    // The random draws are the same, so the steps differ by rounding only.
    for device in ["cpu", "wgpu"] {
        place.succeed(&format!(
            "train --preset linear --dataset sample --epochs 1 --batch-size 64 --device {device} --out runs/{device}"
        ));
    }
    let loss = |device: &str| {
        let metrics = place.read_json(&format!("runs/{device}/metrics.json"));
        metrics["test"]["loss"].as_f64().expect("is a number")
    };
    assert!((loss("cpu") - loss("wgpu")).abs() < 1e-3, "{} and {}", loss("cpu"), loss("wgpu"));
    assert_ne!(place.read_json("runs/wgpu/metrics.json")["device"], "the CPU");

    let logit = |device: &str| {
        let prediction =
            &place.json(&format!("predict --run runs/cpu --device {device} --json 'not a good film at all'"))[0];
        prediction["logits"]["pos"].as_f64().expect("is a number")
    };
    assert!((logit("cpu") - logit("wgpu")).abs() < 1e-4, "{} and {}", logit("cpu"), logit("wgpu"));
}

/// Settings without dropout, whose draws differ by device, and with few filters where there are many.
const PRESETS: [(&str, &str); 15] = [
    ("default", ""),
    ("linear", ""),
    ("seed", ""),
    ("relu", ""),
    ("conv", "--set encoder.filters=20"),
    ("best", "--set encoder.filters=20 --set embedding=180"),
    ("plain", "--set encoder.layer.dropout=0"),
    ("residual", "--set encoder.layer.dropout=0"),
    ("dense", "--set encoder.layer.dropout=0"),
    ("dilated", "--set encoder.layer.dropout=0"),
    ("bytenet", "--set encoder.layer.dropout=0"),
    ("gated", "--set encoder.layer.dropout=0"),
    ("lstm", ""),
    ("bilstm", ""),
    ("gru", ""),
];

#[test]
fn every_preset_trains_to_the_same_loss_on_wgpu() {
    let Some(binary) = std::env::var_os("CONVLENS_WGPU_BINARY") else {
        return skip("wgpu", "CONVLENS_WGPU_BINARY is not set; set it to a binary built with --features wgpu");
    };
    let place = Place::with_binary(PathBuf::from(binary));
    // Texts of different lengths, so that there is padding.
    let words = ["good", "bad", "film", "story", "dull", "bright", "the", "of"];
    let row = |row: usize| {
        let text: Vec<&str> = (0..3 + row % 9).map(|at| words[(row * 5 + at * (2 + row % 3)) % words.len()]).collect();
        format!("{},{}\n", text.join(" "), ["neg", "pos"][row % 2])
    };
    place.file("texts.csv", format!("text,label\n{}", (0..48).map(row).collect::<String>()));
    for (preset, settings) in PRESETS {
        let [cpu, wgpu] = ["cpu", "wgpu"].map(|device| {
            let run = format!("runs/{preset}-{device}");
            place.succeed(&format!(
                "train --data texts.csv --test-data texts.csv --preset {preset} --epochs 2 --batch-size 16 \
                 --set dropout=0 {settings} --device {device} --out {run}"
            ));
            place.read_json(&format!("{run}/metrics.json"))["test"]["loss"].as_f64().expect("is a number")
        });
        assert!((cpu - wgpu).abs() < 1e-4, "{preset}: {cpu} on the CPU and {wgpu} on wgpu");
    }
}

/// Without a Vulkan or OpenGL driver, `--device wgpu` fails with one line. `--device auto` never chooses a
/// software adapter.
fn reports_a_missing_adapter(place: &Place) {
    let line = "train --dataset sample --epochs 1 --device wgpu --out runs/none";
    let mut command = place.command(line);
    for drivers in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "__EGL_VENDOR_LIBRARY_FILENAMES"] {
        command.env(drivers, "/nonexistent");
    }
    let error = place.fail_with(line, command);
    assert!(error.contains("device wgpu: no graphics adapter") && error.contains("--device cpu"), "{error}");

    place.succeed("train --dataset sample --epochs 1 --device auto --out runs/auto");
    let device = place.read_json("runs/auto/metrics.json")["device"].clone();
    let is_software = |name: &str| name.contains("llvmpipe") || name.contains("lavapipe");
    assert!(device.as_str().is_some_and(|name| !is_software(name)), "{device}");
}
