//! Results of a codec as CompressAI's `eval_model` writes them: a JSON object whose `results` are lists, an entry a checkpoint or quality.
//!
//! Read are `bpp`, and `psnr-rgb` (older files: `psnr`) or `ms-ssim-rgb` (`ms-ssim`), as lists or, in files of one picture, as numbers.
//! Written is strict JSON: a value that is not finite is `null`.

use std::path::Path;

use grouping_core::files::text::read_text;
use serde_json::{Map, Value, json};

use super::evaluate::Measures;
use crate::{Error, Result};

/// Longer files are no results.
const LONGEST_FILE: u64 = 16 << 20;

/// Which quality a curve shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Metric {
    /// Peak signal-to-noise ratio, in dB.
    #[default]
    Psnr,
    /// MS-SSIM, in dB: `−10·log₁₀(1 − value)`.
    MsSsim,
}

impl Metric {
    /// Its name with the unit.
    pub fn label(self) -> &'static str {
        match self {
            Self::Psnr => "PSNR, dB",
            Self::MsSsim => "MS-SSIM, dB",
        }
    }

    fn keys(self) -> [&'static str; 2] {
        match self {
            Self::Psnr => ["psnr-rgb", "psnr"],
            Self::MsSsim => ["ms-ssim-rgb", "ms-ssim"],
        }
    }

    fn of(self, value: f64) -> f64 {
        match self {
            Self::Psnr => value,
            Self::MsSsim => -10.0 * (1.0 - value).log10(),
        }
    }
}

/// The results of one codec.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// Its name.
    pub name: String,
    /// `(bits a pixel, quality)`, in the file's order.
    pub points: Vec<(f64, f64)>,
}

impl Results {
    /// Reads a file.
    ///
    /// # Errors
    /// For a file that is no such JSON, lists of different lengths, and values that are absent or not finite.
    pub fn read(path: &Path, metric: Metric) -> Result<Self> {
        let text = read_text(path, LONGEST_FILE)?;
        let wrong = |field: &str, expected: &str, found: &dyn ToString| {
            Error::format(path, field, expected, found.to_string())
        };
        let value: Value = serde_json::from_str(&text).map_err(|e| wrong("file", "strict JSON", &e))?;
        let results = value["results"]
            .as_object()
            .ok_or_else(|| wrong("results", "an object of lists", &value["results"]))?;
        let list = |key: &str| -> Result<Option<Vec<f64>>> {
            let Some(value) = results.get(key) else { return Ok(None) };
            let items = match value {
                Value::Array(items) => items.clone(),
                one => vec![one.clone()],
            };
            // What `null` stands for has no number: a curve with it is refused.
            let number = |item: &Value| match item {
                Value::Null => Ok(f64::NAN),
                item => item.as_f64().ok_or_else(|| wrong(key, "numbers", item)),
            };
            items.iter().map(number).collect::<Result<Vec<f64>>>().map(Some)
        };
        let keys = metric.keys();
        let absent = |key: &str| wrong(key, "a list, a value a checkpoint", &"none");
        let rates = list("bpp")?.ok_or_else(|| absent("bpp"))?;
        let qualities = match list(keys[0])? {
            Some(list) => list,
            None => list(keys[1])?.ok_or_else(|| absent(keys[0]))?,
        };
        if rates.len() != qualities.len() {
            let expected = format!("{} values, as many as of `bpp`", rates.len());
            return Err(wrong(keys[0], &expected, &qualities.len()));
        }
        let file_name = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = value["name"].as_str().map_or_else(file_name, str::to_owned);
        Ok(Self {
            name,
            points: rates.into_iter().zip(qualities.into_iter().map(|q| metric.of(q))).collect(),
        })
    }
}

/// The JSON object of a codec that was measured at several points.
pub fn to_json(name: &str, description: &str, points: &[Measures]) -> Value {
    let mut lists = Map::new();
    for point in points {
        if let Ok(Value::Object(fields)) = serde_json::to_value(point) {
            for (key, value) in fields {
                let list = lists.entry(key).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    list.push(value);
                }
            }
        }
    }
    json!({"name": name, "description": description, "results": lists})
}
