//! Plans in JSON files (`docs/formats/plan.md`), one field a line; every field is checked as it is read.
//!
//! | field | content |
//! |---|---|
//! | `format`, `version` | `"iscs-plan"`, 1 |
//! | `model` | `architecture`, `channels` (M), and `fingerprint`: 32 hexadecimal digits |
//! | `objective` | `rate`, `progressive` or `parallelism` |
//! | `preset`, `core` | which score, and the rule for the size of the core |
//! | `grouping` | `even`, `uneven`, `correlation-spread`, `correlation-cluster` or `model` |
//! | `n_core` | channels of the core, those of the first slices |
//! | `order`, `inverse` | the channel at each position, the position of each channel |
//! | `slices` | channels of each slice, which sum to M |
//! | `dependencies` | for each slice those before it that it is conditioned on, ascending |
//! | `scores` | of each channel |
//! | `fingerprint` | [`Plan::fingerprint`]: 16 hexadecimal digits |
//!
//! A slice depends on slices before it alone, so that there is no cycle, and the order of the slices is one of decoding.

use std::fmt::Write as _;
use std::path::Path;

use grouping_core::files::json::Fields;
use grouping_core::files::output::{Existing, write_text};
use serde_json::{Value, json};

use super::{Grouping, MAX_SLICES, Objective, Plan, PlannedModel, hex, inverted};
use crate::Result;

const FORMAT: &str = "iscs-plan";
const VERSION: u64 = 1;
/// Rows of tables are numbered by 16 bits.
const MAX_CHANNELS: usize = 65_535;
/// The longest name of a score or rule.
pub(super) const MAX_NAME: usize = 64;

/// Whether a text is the name of a score or rule.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME && !text.contains(char::is_control)
}

/// Characters of a value in an error.
const MAX_SHOWN: usize = 60;

const FIELDS: [&str; 14] = [
    "format",
    "version",
    "model",
    "objective",
    "preset",
    "core",
    "grouping",
    "n_core",
    "order",
    "inverse",
    "slices",
    "dependencies",
    "scores",
    "fingerprint",
];
const MODEL_FIELDS: [&str; 3] = ["architecture", "channels", "fingerprint"];

impl Plan {
    /// The plan as JSON, one field a line.
    pub fn to_json(&self) -> String {
        let PlannedModel { architecture, m, fingerprint } = &self.model;
        let model = json!({"architecture": architecture, "channels": m, "fingerprint": hex(fingerprint)});
        let values: [Value; FIELDS.len()] = [
            json!(FORMAT),
            json!(VERSION),
            model,
            json!(self.objective.name()),
            json!(self.preset),
            json!(self.core),
            json!(self.grouping.name()),
            json!(self.n_core),
            json!(self.order),
            json!(self.inverse),
            json!(self.slices),
            json!(self.dependencies),
            json!(self.scores),
            json!(hex(&self.fingerprint())),
        ];
        let mut text = String::from("{\n");
        for (i, (name, value)) in FIELDS.iter().zip(values).enumerate() {
            let comma = if i + 1 < FIELDS.len() { "," } else { "" };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  \"{name}\": {value}{comma}");
        }
        text + "}\n"
    }

    /// Writes the plan, whole or not at all.
    ///
    /// # Errors
    /// [`crate::Error::Core`] from the system, and for a file that is there and not to be replaced.
    pub fn write(&self, path: &Path, existing: Existing) -> Result<()> {
        Ok(write_text(path, existing, &self.to_json())?)
    }

    /// Reads a plan, and checks all of it but whether it is for a certain model: see [`Plan::check_model`].
    ///
    /// # Errors
    /// [`crate::Error::Core`] for a file that cannot be read, and with the first field that is not as it should be.
    pub fn read(path: &Path) -> Result<Self> {
        parse(&Fields::read(path)?)
    }

    /// The plan in a text; `path` names it in errors.
    ///
    /// ```
    /// use std::path::Path;
    /// use iscs_lic::channels::Preset;
    /// use iscs_lic::checkpoint::Checkpoint;
    /// use iscs_lic::plan::{Plan, PlanConfig, plan};
    ///
    /// let made = plan(&Checkpoint::default_model()?, &PlanConfig::new(Preset::Literal))?.plan;
    /// let text = made.to_json();
    /// assert_eq!(Plan::from_json(Path::new("plan.json"), &text)?, made);
    /// let error = Plan::from_json(Path::new("plan.json"), &text.replace("\"slices\": [4,", "\"slices\": [5,")).expect_err("65");
    /// assert_eq!(error.to_string(), "plan.json: `slices`: expected 64 channels in all, found 65");
    /// # Ok::<(), iscs_lic::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Plan::read`].
    pub fn from_json(path: &Path, text: &str) -> Result<Self> {
        parse(&Fields::parse(path, text)?)
    }
}

fn parse(fields: &Fields) -> Result<Plan> {
    if string(fields, "format")? != FORMAT {
        return Err(fields.misfit("format", format!("\"{FORMAT}\"")).into());
    }
    if fields.present("version").and_then(Value::as_u64) != Some(VERSION) {
        return Err(fields.misfit("version", VERSION.to_string()).into());
    }
    known(fields, &FIELDS)?;
    let Some(model) = fields.object("model")? else { return Err(fields.misfit("model", "an object").into()) };
    known(&model, &MODEL_FIELDS)?;
    let m = model.size("channels")?;
    if m > MAX_CHANNELS {
        return Err(model.misfit("channels", format!("from 1 to {MAX_CHANNELS}")).into());
    }
    let model = PlannedModel {
        architecture: string(&model, "architecture")?,
        m,
        fingerprint: bytes(&model, "fingerprint")?,
    };
    let objective = one_of(fields, "objective", &Objective::ALL, Objective::name)?;
    let grouping = one_of(fields, "grouping", &Grouping::ALL, Grouping::name)?;
    let (order, inverse) = permutation(fields, m)?;
    let slices = slices(fields, m)?;
    let dependencies = dependencies(fields, slices.len())?;
    let n_core = n_core(fields, &slices)?;
    let scores = scores(fields, m)?;
    let (preset, core) = (string(fields, "preset")?, string(fields, "core")?);
    let plan = Plan {
        model,
        objective,
        preset,
        core,
        grouping,
        n_core,
        order,
        inverse,
        slices,
        dependencies,
        scores,
    };
    if bytes::<8>(fields, "fingerprint")? != plan.fingerprint() {
        return Err(fields
            .misfit("fingerprint", format!("{}, that of the fields", hex(&plan.fingerprint())))
            .into());
    }
    Ok(plan)
}

fn known(fields: &Fields, names: &[&str]) -> Result<()> {
    match fields.as_map().keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(fields.misfit_of(name, "a field of a plan", "an unknown one").into()),
        None => Ok(()),
    }
}

/// A name: short, and of letters that stand for themselves.
fn string(fields: &Fields, name: &str) -> Result<String> {
    let text = fields.present(name).and_then(Value::as_str);
    match text.filter(|text| is_name(text)) {
        Some(text) => Ok(text.to_owned()),
        None => Err(fields.misfit(name, format!("a text of 1 to {MAX_NAME} bytes")).into()),
    }
}

fn bytes<const N: usize>(fields: &Fields, name: &str) -> Result<[u8; N]> {
    let digits = fields.present(name).and_then(Value::as_str).map(str::as_bytes).unwrap_or_default();
    let mut out = [0; N];
    let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
    let is_whole = digits.len() == 2 * N
        && out.iter_mut().zip(digits.chunks_exact(2)).all(|(to, pair)| {
            match (digit(pair[0]), digit(pair[1])) {
                (Some(high), Some(low)) => {
                    *to = (16 * high + low) as u8;
                    true
                }
                _ => false,
            }
        });
    if is_whole { Ok(out) } else { Err(fields.misfit(name, format!("{} hexadecimal digits", 2 * N)).into()) }
}

fn one_of<T: Copy>(fields: &Fields, name: &str, all: &[T], of: fn(T) -> &'static str) -> Result<T> {
    let text = fields.present(name).and_then(Value::as_str);
    let found = all.iter().copied().find(|&value| Some(of(value)) == text);
    let names = || all.iter().map(|&value| of(value)).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| fields.misfit(name, format!("one of {}", names())).into())
}

/// The values of an array of this many at most, each read by `read`.
fn array<T>(
    fields: &Fields,
    name: &str,
    expected: &str,
    read: impl Fn(usize, &Value) -> Option<T>,
) -> Result<Vec<T>> {
    let Some(values) = fields.present(name).and_then(Value::as_array) else {
        let found = fields.present(name).map_or("nothing".into(), shown);
        return Err(fields.misfit_of(name, format!("an array of {expected}"), found).into());
    };
    let item = |(i, value): (usize, &Value)| {
        let misfit = || fields.misfit_of(&format!("{name}[{i}]"), expected, shown(value)).into();
        read(i, value).ok_or_else(misfit)
    };
    values.iter().enumerate().map(item).collect()
}

/// A value in an error: the beginning of a long one.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn counts(fields: &Fields, name: &str, range: std::ops::RangeInclusive<usize>) -> Result<Vec<usize>> {
    let expected = format!("whole numbers from {} to {}", range.start(), range.end());
    let read =
        |_, value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| range.contains(n));
    array(fields, name, &expected, read)
}

fn of_length<T>(fields: &Fields, name: &str, values: Vec<T>, n: usize) -> Result<Vec<T>> {
    if values.len() == n {
        return Ok(values);
    }
    Err(fields.misfit_of(name, format!("{n} values"), format!("{} values", values.len())).into())
}

fn permutation(fields: &Fields, m: usize) -> Result<(Vec<usize>, Vec<usize>)> {
    let [order, inverse] = ["order", "inverse"]
        .map(|name| counts(fields, name, 0..=m - 1).and_then(|values| of_length(fields, name, values, m)));
    let (order, inverse) = (order?, inverse?);
    let mut seen = vec![false; m];
    for (i, &channel) in order.iter().enumerate() {
        if std::mem::replace(&mut seen[channel], true) {
            let found = format!("{channel} again");
            return Err(fields.misfit_of(&format!("order[{i}]"), "each channel once", found).into());
        }
    }
    let wanted = inverted(&order);
    if let Some(i) = (0..m).find(|&i| inverse[i] != wanted[i]) {
        let expected = format!("{}, the position of channel {i} in the order", wanted[i]);
        return Err(fields.misfit_of(&format!("inverse[{i}]"), expected, inverse[i]).into());
    }
    Ok((order, inverse))
}

fn slices(fields: &Fields, m: usize) -> Result<Vec<usize>> {
    let slices = counts(fields, "slices", 1..=m)?;
    if slices.len() > MAX_SLICES {
        let found = format!("{} values", slices.len());
        return Err(fields.misfit_of("slices", format!("at most {MAX_SLICES} values"), found).into());
    }
    // At most 64 widths of 65,535.
    let sum: usize = slices.iter().sum();
    if sum != m {
        return Err(fields.misfit_of("slices", format!("{m} channels in all"), sum).into());
    }
    Ok(slices)
}

fn dependencies(fields: &Fields, n_slices: usize) -> Result<Vec<Vec<usize>>> {
    let expected = "slices before this one, ascending";
    let read = |k: usize, value: &Value| {
        let earlier: Option<Vec<usize>> =
            value.as_array()?.iter().map(|n| n.as_u64().and_then(|n| usize::try_from(n).ok())).collect();
        earlier.filter(|list| list.windows(2).all(|pair| pair[0] < pair[1]) && list.iter().all(|&n| n < k))
    };
    let lists = array(fields, "dependencies", expected, read)?;
    of_length(fields, "dependencies", lists, n_slices)
}

fn n_core(fields: &Fields, slices: &[usize]) -> Result<usize> {
    let n_core = fields.size("n_core")?;
    let mut ends = slices.iter().scan(0, |end, n| {
        *end += n;
        Some(*end)
    });
    if ends.any(|end| end == n_core) {
        return Ok(n_core);
    }
    Err(fields.misfit("n_core", "as many channels as whole slices hold").into())
}

fn scores(fields: &Fields, m: usize) -> Result<Vec<f64>> {
    let scores =
        array(fields, "scores", "finite numbers", |_, value| value.as_f64().filter(|v| v.is_finite()))?;
    of_length(fields, "scores", scores, m)
}
