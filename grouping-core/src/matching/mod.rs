//! What fits what: seats to weights, and one orthonormal basis to another.

pub mod apportion;
pub mod procrustes;
