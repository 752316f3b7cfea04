//! Arithmetic on vectors of three.

pub(crate) fn minus(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(crate) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(crate) fn length(a: [f64; 3]) -> f64 {
    dot(a, a).sqrt()
}

/// Of length 1; none of a vector without a direction.
pub(crate) fn unit(a: [f64; 3]) -> Option<[f64; 3]> {
    let norm = length(a);
    (norm > 0.0 && norm.is_finite()).then(|| a.map(|x| x / norm))
}

/// Twice the area of a triangle, along its normal.
pub(crate) fn area_vector([a, b, c]: [[f64; 3]; 3]) -> [f64; 3] {
    cross(minus(b, a), minus(c, a))
}

/// `w₀·a + w₁·b + w₂·c`.
pub(crate) fn blend<const N: usize>([a, b, c]: [[f64; N]; 3], weights: [f64; 3]) -> [f64; N] {
    std::array::from_fn(|i| weights[0] * a[i] + weights[1] * b[i] + weights[2] * c[i])
}
