//! `shapesplat mesh`: what a mesh is, and points on it.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use grouping_core::command::{check_output, say};
use grouping_core::files::output::Existing;
use serde_json::json;
use shapesplat::mesh::{Convention, Mesh, Note};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what a mesh holds: sizes, parts, materials, flaws
    Inspect(Inspect),
    /// Draw points on a mesh, uniform by area, with normals and colours
    Sample(Sample),
}

#[derive(Debug, clap::Args)]
struct Inspect {
    /// The mesh: .off, .obj (with .mtl and textures), .ply, .stl, .gltf or .glb
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Sample {
    /// The mesh: .off, .obj (with .mtl and textures), .ply, .stl, .gltf or .glb
    file: PathBuf,
    /// The points, as PLY
    #[arg(value_name = "OUT.ply")]
    output: PathBuf,
    /// Number of points
    #[arg(long, value_name = "N", default_value_t = 5000)]
    n: usize,
    /// Seed of the choice of points
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Place, size and axes, before points are drawn
    #[arg(long, value_enum, default_value_t = ConventionName::AsIs)]
    normalise: ConventionName,
    /// Replace an output that exists
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ConventionName {
    /// Nothing is changed
    AsIs,
    /// The centroid by area is the origin, the largest extent 1, (x, y, z) become (y, z, −x)
    Modelnet,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Inspect(args) => inspect(args),
        Command::Sample(args) => sample(args),
    }
}

/// The mesh and its notes, which go to stderr.
fn open(file: &Path) -> anyhow::Result<(Mesh, Vec<Note>)> {
    let (mesh, notes) = Mesh::open(file)?;
    for note in &notes {
        say(format_args!("warning: {}: {note}", file.display()));
    }
    Ok((mesh, notes))
}

fn words(notes: &[Note]) -> Vec<String> {
    notes.iter().map(ToString::to_string).collect()
}

fn inspect(args: &Inspect) -> anyhow::Result<()> {
    let (mesh, notes) = open(&args.file)?;
    let measures = mesh.measures();
    let size = |texture: &shapesplat::mesh::Texture| [texture.image.width(), texture.image.height()];
    let mut out = stdout().lock();
    if args.json {
        let name = |index: usize| &mesh.materials[index].name;
        let parts: Vec<_> = mesh
            .parts
            .iter()
            .map(|p| json!({"name": p.name, "faces": p.triangles.len(), "material": p.material.map(name)}))
            .collect();
        let materials: Vec<_> = mesh
            .materials
            .iter()
            .map(|m| {
                json!({"name": m.name, "colour": m.colour, "opacity": m.opacity, "texture": m.texture.as_ref().map(size)})
            })
            .collect();
        let mut value = serde_json::to_value(&measures)?;
        let more = json!({
            "file": args.file, "parts": parts, "materials": materials, "normals": !mesh.normals.is_empty(),
            "texture_coordinates": !mesh.uvs.is_empty(), "vertex_colours": !mesh.colours.is_empty(),
            "face_colours": !mesh.face_colours.is_empty(), "warnings": words(&notes),
        });
        if let (Some(value), serde_json::Value::Object(more)) = (value.as_object_mut(), more) {
            value.extend(more);
        }
        return Ok(writeln!(out, "{value}")?);
    }
    let vector = |v: [f64; 3]| format!("{} {} {}", v[0], v[1], v[2]);
    writeln!(out, "vertices   {} at {} positions", measures.vertices, measures.positions)?;
    writeln!(out, "faces      {}", measures.faces)?;
    let has = [
        ("normals", !mesh.normals.is_empty()),
        ("texture coordinates", !mesh.uvs.is_empty()),
        ("colours of vertices", !mesh.colours.is_empty()),
        ("colours of faces", !mesh.face_colours.is_empty()),
    ];
    let has: Vec<&str> = has.into_iter().filter(|(_, has)| *has).map(|(what, _)| what).collect();
    writeln!(out, "holds      {}", if has.is_empty() { "positions alone".into() } else { has.join(", ") })?;
    writeln!(out, "parts      {}", mesh.parts.len())?;
    writeln!(out, "materials  {}", mesh.materials.len())?;
    for material in &mesh.materials {
        let [r, g, b] = material.colour.map(|x| (x * 255.0).round());
        let texture = material.texture.as_ref().map(size).map(|[w, h]| format!(", texture {w} × {h}"));
        writeln!(out, "           {}: rgb {r} {g} {b}{}", material.name, texture.unwrap_or_default())?;
    }
    writeln!(out, "least      {}", vector(measures.bounds[0]))?;
    writeln!(out, "greatest   {}", vector(measures.bounds[1]))?;
    writeln!(out, "extents    {}", vector(measures.extents))?;
    writeln!(out, "area       {}", measures.area)?;
    writeln!(out, "centroid   {} (weighted by area)", vector(measures.centroid))?;
    writeln!(out, "watertight {}", if measures.watertight { "yes" } else { "no" })?;
    if let Some(volume) = measures.volume {
        writeln!(out, "volume     {volume}")?;
    }
    writeln!(out, "degenerate {} faces without area", measures.degenerate)?;
    let [alike, back] = [measures.duplicate, measures.back_to_back];
    Ok(writeln!(out, "duplicate  {alike} faces turned alike, {back} back to back")?)
}

fn sample(args: &Sample) -> anyhow::Result<()> {
    check_output(&args.output, "ply", &[&args.file])?;
    let existing = Existing::replaced_if(args.force);
    existing.check(&args.output)?;
    let convention = match args.normalise {
        ConventionName::AsIs => Convention::AsIs,
        ConventionName::Modelnet => Convention::ModelNet,
    };
    let (mesh, notes) = open(&args.file)?;
    let (area, _) = mesh.area_and_centroid();
    let points = mesh.normalised(convention)?.sample(args.n, args.seed)?;
    points.write_ply(&args.output, existing)?;
    let mut out = stdout().lock();
    if args.json {
        let value = json!({
            "output": args.output, "points": points.len(), "area": area, "seed": args.seed, "warnings": words(&notes),
        });
        return Ok(writeln!(out, "{value}")?);
    }
    Ok(writeln!(out, "{}: {} points on an area of {area}", args.output.display(), points.len())?)
}
