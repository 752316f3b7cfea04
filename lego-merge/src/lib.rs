#![doc = include_str!("../README.md")]

pub mod adapter;
mod card;
pub mod compare;
pub mod dora;
mod error;
pub mod inspect;
pub mod merge;
pub mod msu;
pub mod recipe;
pub mod verify;

pub use error::{Error, Result};
