//! lego

#[cfg(feature = "lab")]
pub mod lab;
