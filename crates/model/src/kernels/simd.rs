//! Loops compiled for the widest vectors that the processor has.

/// Evaluates an expression that is compiled for several processors; the one that it runs on decides.
/// Everything that it calls in its inner loops must be `#[inline(always)]`, or it stays compiled for the
/// oldest processor. `vectorized!(fused => …)` names a [`Fused`] that the expression may use.
macro_rules! vectorized {
    ($fused:ident => $work:expr) => {
        pulp::Arch::new().dispatch($crate::kernels::simd::Vectorized(
            #[inline(always)]
            |$fused: $crate::kernels::simd::Fused| $work,
        ))
    };
    ($work:expr) => {
        $crate::kernels::simd::vectorized!(_fused => $work)
    };
}

pub(super) use vectorized;

/// A closure that is inlined into the code for each processor. (pulp's own implementation for closures
/// takes them by value; the function that the compiler makes for that is not inlined.)
pub(super) struct Vectorized<F>(pub F);

impl<R, F: FnMut(Fused) -> R> pulp::WithSimd for Vectorized<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(mut self, _simd: S) -> R {
        (self.0)(Fused(S::F32_LANES >= 8 || cfg!(target_arch = "aarch64")))
    }
}

/// Whether the processor multiplies and adds in one instruction. Where it does not, doing so takes a call
/// of the system's function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fused(pub bool);

impl Fused {
    /// `a · b + c`
    #[inline(always)]
    pub fn multiply_add(self, a: f32, b: f32, c: f32) -> f32 {
        if self.0 { a.mul_add(b, c) } else { a * b + c }
    }
}
