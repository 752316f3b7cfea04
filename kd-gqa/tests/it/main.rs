//! Integration tests.

mod account;
mod allocate_command;
mod allocated_bytes;
mod allocations;
mod attention;
mod calibrate;
mod checkpoint;
mod cifar10;
mod commands;
mod convert;
mod data;
mod decoders;
mod generate;
mod groups;
mod malformed;
mod models;
mod pgqa;
mod readme;
mod settings;
mod text;
mod unmerged;
mod vit;
