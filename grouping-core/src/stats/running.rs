//! Statistics of a vector that is seen again and again: its exponential mean, and its change from window to window.
//!
//! Exponential mean: `e₁ = x₁`, `e_t = β·e_{t−1} + (1−β)·x_t`. Window difference: `|x − x'|` with `x'` the first vector of the
//! window before, once a window. Both keep one vector in `f64`. A vector with NaN or infinity is refused, and changes nothing.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Exponential mean of vectors; the first one counts whole.
///
/// ```
/// use grouping_core::stats::running::ExponentialMean;
/// let mut mean = ExponentialMean::new(0.75)?;
/// assert_eq!(mean.push(&[4., 8.])?, [4., 8.]);
/// assert_eq!(mean.push(&[8., 8.])?, [5., 8.]);
/// assert!(mean.push(&[f64::NAN, 8.]).unwrap_err().to_string().contains("is not finite"));
/// assert_eq!(mean.get(), Some(&[5., 8.][..]), "as it was");
/// # Ok::<(), grouping_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct ExponentialMean {
    decay: f64,
    mean: Option<Vec<f64>>,
}

impl ExponentialMean {
    /// A mean of nothing yet. `decay` is β, the weight of what was there before.
    ///
    /// # Errors
    /// [`Error::Setting`] where `decay` is not within 0 and 1.
    pub fn new(decay: f64) -> Result<Self> {
        if (0.0..=1.0).contains(&decay) {
            return Ok(Self { decay, mean: None });
        }
        Err(Error::Setting { name: "decay".into(), expected: "0 to 1".into(), found: decay.to_string() })
    }

    /// Takes one vector in, and gives the mean.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::Shape`] where the length changed; the mean stays.
    pub fn push(&mut self, values: &[f64]) -> Result<&[f64]> {
        check(values, self.mean.as_deref())?;
        let decay = self.decay;
        let mean = self.mean.get_or_insert_with(|| values.to_vec());
        mean.iter_mut().zip(values).for_each(|(m, x)| *m = decay * *m + (1.0 - decay) * x);
        Ok(mean)
    }

    /// The mean; none before the first vector.
    pub fn get(&self) -> Option<&[f64]> {
        self.mean.as_deref()
    }
}

/// The change of a vector from the first of a window to the first of the next.
///
/// ```
/// use grouping_core::stats::running::WindowDifference;
/// let mut change = WindowDifference::new(2)?;
/// assert_eq!(change.push(&[4., 8.])?, None, "nothing to compare with");
/// assert_eq!(change.push(&[0., 0.])?, None, "within the window");
/// assert_eq!(change.push(&[1., 9.])?, Some(vec![3., 1.]));
/// # Ok::<(), grouping_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct WindowDifference {
    window: usize,
    position: usize,
    start: Option<Vec<f64>>,
}

impl WindowDifference {
    /// Windows of `window` vectors.
    ///
    /// # Errors
    /// [`Error::Setting`] where that is 0.
    pub fn new(window: usize) -> Result<Self> {
        if window > 0 {
            return Ok(Self { window, position: 0, start: None });
        }
        Err(Error::Setting { name: "window".into(), expected: "at least 1".into(), found: "0".into() })
    }

    /// The length of the windows.
    pub fn window(&self) -> usize {
        self.window
    }

    /// The first vector of the last window that began; none before the first vector.
    pub fn start(&self) -> Option<&[f64]> {
        self.start.as_deref()
    }

    /// Takes one vector in. The first of a window gives its distance, value by value, to the first of the window before.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::Shape`] where the length changed; the vector counts for nothing.
    pub fn push(&mut self, values: &[f64]) -> Result<Option<Vec<f64>>> {
        check(values, self.start.as_deref())?;
        let first = self.position == 0;
        self.position = (self.position + 1) % self.window;
        if !first {
            return Ok(None);
        }
        let before = self.start.replace(values.to_vec());
        Ok(before.map(|before| before.iter().zip(values).map(|(b, x)| (b - x).abs()).collect()))
    }
}

fn check(values: &[f64], like: Option<&[f64]>) -> Result<()> {
    if let Some(index) = values.iter().position(|x| !x.is_finite()) {
        return Err(Error::NotFinite { what: "running statistic".into(), index, value: values[index] });
    }
    match like {
        Some(like) if like.len() != values.len() => {
            let (expected, found) = (vec![like.len()], vec![values.len()]);
            Err(Error::Shape { what: "running statistic".into(), expected, found })
        }
        _ => Ok(()),
    }
}

/// What is saved of either.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decay: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    values: Option<Vec<f64>>,
}

impl Fields {
    fn checked_values(self) -> Result<Option<Vec<f64>>> {
        check(self.values.as_deref().unwrap_or_default(), None)?;
        Ok(self.values)
    }
}

impl From<ExponentialMean> for Fields {
    fn from(mean: ExponentialMean) -> Self {
        Self { decay: Some(mean.decay), window: None, position: None, values: mean.mean }
    }
}

impl TryFrom<Fields> for ExponentialMean {
    type Error = Error;
    fn try_from(fields: Fields) -> Result<Self> {
        let mut mean = Self::new(fields.decay.unwrap_or(f64::NAN))?;
        mean.mean = fields.checked_values()?;
        Ok(mean)
    }
}

impl From<WindowDifference> for Fields {
    fn from(change: WindowDifference) -> Self {
        let WindowDifference { window, position, start } = change;
        Self { decay: None, window: Some(window), position: Some(position), values: start }
    }
}

impl TryFrom<Fields> for WindowDifference {
    type Error = Error;
    fn try_from(fields: Fields) -> Result<Self> {
        let mut change = Self::new(fields.window.unwrap_or(0))?;
        change.position = fields.position.unwrap_or(0) % change.window;
        change.start = fields.checked_values()?;
        Ok(change)
    }
}
