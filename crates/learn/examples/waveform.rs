//! Sound as text: WaveNet's gated units (van den Oord et al. 2016) learn a chord sample by sample, continue it, and the
//! continuation is written as a WAV file.
//!
//! A sample is one of 256 levels on a µ-law scale (section 2.2, equation 1), so a sound is a text of 256 characters.

use std::borrow::Cow;
use std::f64::consts::TAU;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use convlens_learn::{Learner, NextTokens, StepPosition, Targets};
use convlens_run::TrainingConfig;
use convlens_run::model::{EncoderConfig, GatedBranch, GatedConfig, LayerConfig, ModelConfig};
use convlens_run::text::{TokenizerKind, train};

const RATE: u32 = 4_000;
const LEVELS: f64 = 255.0;
/// How many samples a window of training predicts.
const WINDOW: usize = 400;
/// How many windows a step has.
const WINDOWS: usize = 4;
const STEPS: usize = 150;

/// The frequencies of the chord, in hertz, and their amplitudes.
const CHORD: [(f64, f64); 2] = [(220.0, 0.5), (330.0, 0.3)];

fn sample(at: usize) -> f64 {
    CHORD.iter().map(|(frequency, amplitude)| amplitude * (turn(*frequency, at)).sin()).sum()
}

/// The phase of a frequency at a sample.
fn turn(frequency: f64, at: usize) -> f64 {
    TAU * frequency * at as f64 / f64::from(RATE)
}

/// The share of a sound's power that it has at a frequency.
fn share(sound: &[f64], frequency: f64) -> f64 {
    let part =
        |of: fn(f64) -> f64| sound.iter().enumerate().map(|(at, value)| value * of(turn(frequency, at))).sum::<f64>();
    let power: f64 = sound.iter().map(|value| value * value).sum();
    2.0 * (part(f64::sin).powi(2) + part(f64::cos).powi(2)) / (sound.len() as f64 * power)
}

/// The level of a value from -1 to 1.
fn encode(value: f64) -> u32 {
    let compressed = value.signum() * (1.0 + LEVELS * value.abs()).ln() / (1.0 + LEVELS).ln();
    ((compressed + 1.0) / 2.0 * LEVELS).round() as u32
}

fn decode(level: u32) -> f64 {
    let compressed = 2.0 * f64::from(level) / LEVELS - 1.0;
    compressed.signum() * ((1.0 + LEVELS).powf(compressed.abs()) - 1.0) / LEVELS
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let levels: Vec<u32> = (0..8 * RATE as usize).map(|at| encode(sample(at))).collect();
    let layer = LayerConfig { kernel_size: 2, causal: true, ..LayerConfig::default() };
    let gated = GatedConfig { hidden: 32, units: 7, dilation_base: 2, cycle: None, branch: GatedBranch::Skip, layer };
    let model = ModelConfig { init_std: 0.3, ..ModelConfig::new(256, EncoderConfig::Gated(gated), 256) };
    let training = TrainingConfig { learning_rate: 5e-3, decay: true, ..TrainingConfig::default() };
    // The learner asks a tokenizer only for its padding, which equal windows do not need.
    let tokenizer = train(TokenizerKind::CasedCharacters, 300, std::iter::once("sound"))?;
    let mut learner = Learner::new(&model, &training, &tokenizer, None, &Device::flex())?;
    let mut loss = f64::NAN;
    for step in 1..=STEPS {
        let window = |number: usize| {
            let first = (step * 7_919 + number * 6_101) % (levels.len() - WINDOW - 1);
            Cow::Borrowed(&levels[first..=first + WINDOW])
        };
        let targets = Targets::Next(vec![NextTokens { count: WINDOW, label: 0 }; WINDOWS]);
        let at = StepPosition { epoch: 1, step, done: step - 1, steps: STEPS };
        let (next, scores) = learner.step((0..WINDOWS).map(window).collect(), &targets, at)?;
        (learner, loss) = (next, scores.tally()?.metrics().loss);
    }
    println!("{loss:.2} nats per sample, of {:.2} for levels that are all equally probable", 256f64.ln());

    // The first half second is given; the model writes the next second.
    let trained = learner.trained().valid();
    let mut state = trained.begin(1).ok_or("the units are causal")?;
    let (given, all) = (RATE as usize / 2, 3 * RATE as usize / 2);
    let (mut sound, mut next) = (Vec::new(), levels[0]);
    let first = levels[..given].iter().map(|&level| Some(level));
    for known in first.chain(std::iter::repeat_n(None, all - given)) {
        let level = known.unwrap_or(next);
        sound.push(level);
        let id = Tensor::<1, Int>::from_data(TensorData::new(vec![level as i32], [1]), &trained.device());
        let logits = trained.predict_next(&mut state, id, None);
        next = logits.argmax(1).into_scalar::<i64>() as u32;
    }
    let written: Vec<f64> = sound[given..].iter().map(|&level| decode(level)).collect();
    let at_notes: f64 = CHORD.iter().map(|(frequency, _)| share(&written, *frequency)).sum();
    println!("{:.0} % of the continuation's power is at the notes of the chord", 100.0 * at_notes);

    let path = std::env::temp_dir().join(format!("convlens-waveform-{}.wav", std::process::id()));
    let format = hound::SampleFormat::Int;
    let spec = hound::WavSpec { channels: 1, sample_rate: RATE, bits_per_sample: 16, sample_format: format };
    let mut file = hound::WavWriter::create(&path, spec)?;
    sound.iter().try_for_each(|&level| file.write_sample((decode(level) * f64::from(i16::MAX)) as i16))?;
    file.finalize()?;
    println!("written to {}", path.display());
    Ok(())
}
