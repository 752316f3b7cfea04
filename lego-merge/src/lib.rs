#![doc = include_str!("../README.md")]

pub mod adapter;
pub mod card;
#[cfg(feature = "cli")]
pub mod cli;
pub mod compare;
pub mod dora;
mod error;
pub mod inspect;
#[cfg(feature = "lab")]
pub mod lab;
pub mod merge;
pub mod msu;
pub mod recipe;
pub mod verify;

pub use error::{Error, Result};
