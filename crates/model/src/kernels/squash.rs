//! Sigmoid and tanh that the compiler can vectorise.

use super::simd::Fused;

/// The sigmoid, with an error below 3e-7. It has no branch, so the compiler computes several at a time;
/// the system's function, called for one number after the other, took two thirds of the LSTM's kernel.
#[inline(always)]
pub(super) fn sigmoid(x: f32, fused: Fused) -> f32 {
    1.0 / (1.0 + exp(-x, fused))
}

/// The hyperbolic tangent, with an error below 5e-7; see [`sigmoid`].
#[inline(always)]
pub(super) fn tanh(x: f32, fused: Fused) -> f32 {
    fused.multiply_add(2.0, sigmoid(2.0 * x, fused), -1.0)
}

/// eˣ, with x clamped to ±87, as 2ⁿ · eʳ with |r| ≤ ln 2 / 2, where eʳ is the polynomial of Cephes' `expf` (Moshier 1992).
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "the constants as published")]
pub(super) fn exp(x: f32, fused: Fused) -> f32 {
    /// Added to a number below 2²², it leaves the nearest integer in the lowest bits.
    const TO_WHOLE: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 87.0);
    let shifted = fused.multiply_add(x, std::f32::consts::LOG2_E, TO_WHOLE);
    let n = shifted - TO_WHOLE;
    let r = fused.multiply_add(n, 2.121_944_4e-4, fused.multiply_add(n, -0.693_359_375, x));
    let p = fused.multiply_add(1.987_569_15e-4, r, 1.398_199_95e-3);
    let p = fused.multiply_add(p, r, 8.333_451_9e-3);
    let p = fused.multiply_add(p, r, 4.166_579_6e-2);
    let p = fused.multiply_add(p, r, 1.666_666_55e-1);
    let p = fused.multiply_add(p, r, 5.000_000_1e-1);
    let p = fused.multiply_add(p * r, r, r) + 1.0;
    p * f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_match_the_systems_functions() {
        for fused in [Fused(false), Fused(true)] {
            for step in -4_000..=4_000 {
                let x = step as f32 / 40.0;
                assert!((sigmoid(x, fused) - 1.0 / (1.0 + (-x).exp())).abs() < 3e-7, "{x}");
                assert!((tanh(x, fused) - x.tanh()).abs() < 5e-7, "{x}");
            }
            assert!(sigmoid(f32::NAN, fused).is_nan() && tanh(f32::NAN, fused).is_nan());
        }
    }
}
