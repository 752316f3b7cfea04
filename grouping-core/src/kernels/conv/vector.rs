//! Vectors of f32 by the intrinsics of an instruction set, for loops that LLVM does not vectorise well.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m128, __m256, __m512, _mm_add_ps, _mm_loadu_ps, _mm_mul_ps, _mm_set1_ps, _mm_storeu_ps, _mm_sub_ps,
    _mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_storeu_ps, _mm256_sub_ps,
    _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_storeu_ps, _mm512_sub_ps,
};

/// A vector of f32.
///
/// # Safety
/// Its methods run only where the CPU has its instructions, and pointers are valid for [`LANES`](Self::LANES) values.
pub(super) trait Vector: Copy {
    const LANES: usize;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn splat(value: f32) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn subtract(self, other: Self) -> Self;
    /// `a · b + c`.
    unsafe fn mul_add(a: Self, b: Self, c: Self) -> Self;
}

/// Implements [`Vector`] by intrinsics.
macro_rules! vector {
    ($vector:ident, $lanes:literal, $load:ident, $store:ident, $splat:ident, $add:ident, $subtract:ident, $mul_add:expr) => {
        #[cfg(target_arch = "x86_64")]
        impl Vector for $vector {
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: as the trait asks.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: as the trait asks.
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                // SAFETY: as the trait asks.
                unsafe { $splat(value) }
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: as the trait asks.
                unsafe { $add(self, other) }
            }

            #[inline(always)]
            unsafe fn subtract(self, other: Self) -> Self {
                // SAFETY: as the trait asks.
                unsafe { $subtract(self, other) }
            }

            #[inline(always)]
            unsafe fn mul_add(a: Self, b: Self, c: Self) -> Self {
                // SAFETY: as the trait asks.
                unsafe { $mul_add(a, b, c) }
            }
        }
    };
}

vector!(
    __m512,
    16,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_set1_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_fmadd_ps
);
vector!(
    __m256,
    8,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_set1_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_fmadd_ps
);
vector!(__m128, 4, _mm_loadu_ps, _mm_storeu_ps, _mm_set1_ps, _mm_add_ps, _mm_sub_ps, |a, b, c| _mm_add_ps(
    _mm_mul_ps(a, b),
    c
));

/// The vector that every CPU of the target has.
#[cfg(target_arch = "x86_64")]
pub(super) type Baseline = __m128;
/// The vector that every CPU of the target has.
#[cfg(not(target_arch = "x86_64"))]
pub(super) type Baseline = [f32; 4];

#[cfg(not(target_arch = "x86_64"))]
impl Vector for [f32; 4] {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the trait asks; f32 arrays have the alignment of f32.
        unsafe { *from.cast() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the trait asks; f32 arrays have the alignment of f32.
        unsafe { *to.cast() = self }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; 4]
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] + other[i])
    }

    #[inline(always)]
    unsafe fn subtract(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] - other[i])
    }

    #[inline(always)]
    unsafe fn mul_add(a: Self, b: Self, c: Self) -> Self {
        use crate::simd::{BaselineLanes, Lanes};
        std::array::from_fn(|i| BaselineLanes::mul_add(a[i], b[i], c[i]))
    }
}
