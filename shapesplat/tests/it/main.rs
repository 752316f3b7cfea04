//! Tests of the crate as its users see it.

mod compressed;
mod convert;
mod edit;
mod elements;
mod flags;
mod formats;
mod gltf_meshes;
mod mesh_commands;
mod mesh_spellings;
mod meshes;
mod nodes;
mod ply;
mod readme;
mod real_formats;
mod recipe;
mod surfaces;
mod synthetic;
mod textures;
mod turns;
mod view;
