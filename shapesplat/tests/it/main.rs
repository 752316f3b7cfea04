//! Tests of the crate as its users see it.

mod compressed;
mod convert;
mod edit;
mod flags;
mod ply;
mod recipe;
mod turns;
mod view;
