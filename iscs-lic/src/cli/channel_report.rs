//! What `iscs-lic analyze` prints of channels: a table, or one JSON object.

use std::io::{Write, stdout};

use grouping_core::command::{CellAlignment, Table, table};
use iscs_lic::channels::{Attachment, Profile, Statistic};
use serde_json::{Value, json};

use super::analyze::{Ablated, Found};

/// Channels in the table, unless all are wanted.
const SHOWN: usize = 16;
/// Decimals of correlations and shares.
const DIGITS: usize = 3;

/// What is printed of an auxiliary channel, by channel.
fn by_channel(profile: &Profile) -> Vec<Option<Attachment>> {
    let mut all = vec![None; profile.order.len()];
    profile.attachments.iter().for_each(|attachment| all[attachment.channel] = Some(*attachment));
    all
}

fn fingerprint(found: &Found) -> String {
    found.checkpoint.fingerprint().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn print_json(found: &Found) -> anyhow::Result<()> {
    let Found { checkpoint, preset, core, redundant, profile, ablated } = found;
    let statistics: serde_json::Map<String, Value> = Statistic::ALL
        .into_iter()
        .filter_map(|kind| Some((kind.name().to_owned(), json!(profile.statistics.get(kind)?))))
        .collect();
    let auxiliary: Vec<Value> = profile
        .attachments
        .iter()
        .map(|a| {
            json!({"channel": a.channel, "parent": a.parent, "correlation": a.correlation,
                "redundant": a.is_redundant(*redundant)})
        })
        .collect();
    let mut value = json!({
        "architecture": checkpoint.architecture().name(), "n": checkpoint.n(), "m": checkpoint.m(),
        "fingerprint": fingerprint(found), "preset": preset.name(),
        "core": {"rule": core.to_string(), "size": profile.n_core, "mass": profile.core_mass()},
        "redundant_from": redundant, "order": profile.order, "scores": profile.scores,
        "statistics": statistics, "auxiliary": auxiliary,
    });
    if let Some(Ablated { n_pictures, ablation, agreements }) = ablated {
        let agreements: Vec<Value> = agreements
            .iter()
            .map(|(name, a)| {
                json!({"score": name, "spearman_distortion": a.distortion, "spearman_bits": a.bits,
                    "overlap": a.overlap})
            })
            .collect();
        value["ablation"] = json!({"pictures": n_pictures, "mse": ablation.mse,
            "delta_mse": ablation.delta_mse, "bits": ablation.bits, "agreements": agreements});
    }
    Ok(writeln!(stdout(), "{value}")?)
}

pub(super) fn print_tables(found: &Found, shows_all: bool) -> anyhow::Result<()> {
    let Found { checkpoint, preset, core, redundant, profile, ablated } = found;
    let m = checkpoint.m();
    let n_redundant = profile.attachments.iter().filter(|a| a.is_redundant(*redundant)).count();
    let mut lines = vec![
        format!("architecture  {}, N = {}, M = {m}", checkpoint.architecture(), checkpoint.n()),
        format!("score         {preset}"),
        format!(
            "core          {} of {m} channels ({core}), {:.1} % of the sum of scores",
            profile.n_core,
            100.0 * profile.core_mass()
        ),
        format!(
            "redundant     {n_redundant} of {} others, from |ρ| = {redundant} on",
            profile.attachments.len()
        ),
    ];
    if let Some(Ablated { n_pictures, ablation, .. }) = ablated {
        lines.push(format!("ablation      on {n_pictures} pictures, mean squared error {:.4}", ablation.mse));
    }
    let n_shown = if shows_all { m } else { m.min(SHOWN) };
    let mut text = format!("{}\n\n{}\n", lines.join("\n"), channels(found, n_shown));
    if n_shown < m {
        text.push_str(&format!("… and {} more\n", m - n_shown));
    }
    if let Some(ablated) = ablated {
        text.push_str(&format!("\n{}\n", agreements(ablated, profile.n_core)));
    }
    Ok(write!(stdout(), "{text}")?)
}

/// The first channels in their order, one a row.
fn channels(found: &Found, n_shown: usize) -> Table {
    let Found { redundant, profile, ablated, .. } = found;
    let statistics = [
        ("weights", Statistic::WeightVariance),
        ("|bias|", Statistic::BiasMagnitude),
        ("decoder", Statistic::DecoderVariance),
        ("scales", Statistic::ScaleVariance),
        ("means", Statistic::MeanVariance),
    ];
    let values = statistics.map(|(header, kind)| (header, profile.statistics.get(kind)));
    let values: Vec<_> = values.into_iter().filter_map(|(header, values)| Some((header, values?))).collect();
    let mut header = vec!["place", "channel", "role", "score"];
    header.extend(values.iter().map(|(header, _)| *header));
    header.extend(["parent", "ρ"]);
    if ablated.is_some() {
        header.extend(["ΔMSE", "bits"]);
    }
    let n_columns = header.len();
    let mut table = table(header);
    let attached = by_channel(profile);
    for (place, &channel) in profile.order.iter().enumerate().take(n_shown) {
        let attachment = attached[channel];
        let role = match attachment {
            None => "core",
            Some(a) if a.is_redundant(*redundant) => "redundant",
            Some(_) => "auxiliary",
        };
        let mut row =
            vec![place.to_string(), channel.to_string(), role.into(), short(profile.scores[channel])];
        row.extend(values.iter().map(|(_, values)| short(values[channel])));
        match attachment {
            Some(a) => row.extend([a.parent.to_string(), format!("{:+.*}", DIGITS, a.correlation)]),
            None => row.extend(["–".into(), "–".into()]),
        }
        if let Some(Ablated { ablation, .. }) = ablated {
            row.extend([short(ablation.delta_mse[channel]), format!("{:.0}", ablation.bits[channel])]);
        }
        table.add_row(row);
    }
    align(&mut table, (0..n_columns).filter(|&column| column != 2));
    table
}

/// How well each score finds what the ablation finds.
fn agreements(Ablated { agreements, .. }: &Ablated, n_first: usize) -> Table {
    let overlap = format!("in the first {n_first}");
    let mut table = table(["score", "Spearman's ρ with ΔMSE", "with bits", &overlap]);
    let shown = |rho: Option<f64>| rho.map_or("–".into(), |rho| format!("{rho:+.*}", DIGITS));
    for (name, agreement) in agreements {
        let (distortion, bits) = (shown(agreement.distortion), shown(agreement.bits));
        table.add_row([(*name).to_owned(), distortion, bits, agreement.overlap.to_string()]);
    }
    align(&mut table, 1..4);
    table
}

fn align(table: &mut Table, columns: impl Iterator<Item = usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// At least three digits, with an exponent where a value is small or large.
fn short(value: f64) -> String {
    let is_plain = value == 0.0 || (0.1..1e4).contains(&value.abs());
    if is_plain { format!("{value:.4}") } else { format!("{value:.2e}") }
}
