//! Rate–distortion curves, and the mean distance of two (Bjøntegaard 2001): BD-rate and BD-PSNR.
//!
//! Points are `(log₁₀ rate, quality)`. A curve through them is integrated over the range that both have: for BD-rate log rate over
//! quality, for BD-PSNR quality over log rate. Three curves are known: one cubic polynomial by least squares, as first
//! proposed; and two of cubic pieces, PCHIP (Fritsch and Butland 1984) and Akima (1970), as SciPy has them.

use std::fmt;

/// The curve through the points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interpolation {
    /// One polynomial of degree 3.
    Cubic,
    /// Monotone cubic pieces.
    Pchip,
    /// Cubic pieces with Akima's slopes.
    Akima,
}

impl Interpolation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cubic, Self::Pchip, Self::Akima];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::Pchip => "pchip",
            Self::Akima => "akima",
        }
    }
}

/// Why two curves have no mean distance.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Fewer than four points.
    #[error("expected at least 4 points, found {0}")]
    Few(usize),
    /// A rate or a quality that is not finite, or a rate of nothing.
    #[error("point {0}: expected a rate above 0 and a finite quality")]
    Value(usize),
    /// Quality does not rise with the rate.
    #[error("expected a quality that rises with the rate, found {found} after {before}")]
    NotMonotone {
        /// Quality at the lesser rate.
        before: f64,
        /// Quality at the greater.
        found: f64,
    },
    /// Two points of one rate.
    #[error("expected points of different rates, found two of {0}")]
    SameRate(f64),
    /// The curves have no range of one coordinate in common.
    #[error("expected {axis} that overlap, found {own} and {anchor}")]
    Apart {
        /// Which.
        axis: Axis,
        /// Of the curve.
        own: Span,
        /// Of the curve that it is compared with.
        anchor: Span,
    },
}

/// A coordinate of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Over which BD-PSNR is a mean.
    Rate,
    /// Over which BD-rate is a mean.
    Quality,
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rate => "rates",
            Self::Quality => "qualities",
        })
    }
}

/// A range of rates or qualities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// The least value.
    pub from: f64,
    /// The greatest value.
    pub to: f64,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} to {:.4}", self.from, self.to)
    }
}

/// A rate–distortion curve: rates in any unit, in rising order, and their qualities.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    log_rates: Vec<f64>,
    qualities: Vec<f64>,
}

/// A mean distance, and the share of the joint range that both curves cover.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// Percent of rate (BD-rate) or quality (BD-PSNR).
    pub value: f64,
    /// The common range over that of both together, from 0 to 1; below 0.75 the value says little.
    pub overlap: f64,
}

impl Curve {
    /// Of `(rate, quality)`, in any order.
    ///
    /// # Errors
    /// For fewer than four points, values that are not finite, and a quality that does not rise with the rate.
    pub fn new(points: &[(f64, f64)]) -> Result<Self, Refused> {
        if let Some(at) =
            points.iter().position(|(rate, q)| !(*rate > 0.0 && rate.is_finite() && q.is_finite()))
        {
            return Err(Refused::Value(at));
        }
        if points.len() < 4 {
            return Err(Refused::Few(points.len()));
        }
        let mut points = points.to_vec();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        if let Some(pair) = points.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Refused::SameRate(pair[0].0));
        }
        if let Some(pair) = points.windows(2).find(|pair| pair[0].0 >= pair[1].0 || pair[0].1 >= pair[1].1) {
            return Err(Refused::NotMonotone { before: pair[0].1, found: pair[1].1 });
        }
        let (rates, qualities): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
        Ok(Self { log_rates: rates.iter().map(|rate| rate.log10()).collect(), qualities })
    }

    /// How much more rate `self` takes than `anchor` for the same quality, in percent; negative is better.
    ///
    /// ```
    /// use iscs_lic::measure::curve::{Curve, Interpolation};
    ///
    /// let anchor = Curve::new(&[(0.1, 28.0), (0.2, 30.0), (0.4, 32.0), (0.8, 34.0)])?;
    /// let half = Curve::new(&[(0.05, 28.0), (0.1, 30.0), (0.2, 32.0), (0.4, 34.0)])?;
    /// let bd = half.bd_rate(&anchor, Interpolation::Pchip)?;
    /// assert!((bd.value + 50.0).abs() < 1e-9 && bd.overlap == 1.0);
    /// # Ok::<(), iscs_lic::measure::curve::Refused>(())
    /// ```
    ///
    /// # Errors
    /// For curves without a quality in common.
    pub fn bd_rate(&self, anchor: &Self, by: Interpolation) -> Result<Distance, Refused> {
        let [own, other] = [self, anchor].map(|curve| (&curve.qualities[..], &curve.log_rates[..]));
        let Distance { value, overlap } = distance(own, other, by)
            .map_err(|(own, anchor)| Refused::Apart { axis: Axis::Quality, own, anchor })?;
        Ok(Distance { value: (10f64.powf(value) - 1.0) * 100.0, overlap })
    }

    /// How much better `self` is than `anchor` at the same rate, in the unit of the qualities; positive is better.
    ///
    /// # Errors
    /// For curves without a rate in common.
    pub fn bd_psnr(&self, anchor: &Self, by: Interpolation) -> Result<Distance, Refused> {
        let [own, other] = [self, anchor].map(|curve| (&curve.log_rates[..], &curve.qualities[..]));
        let rates = |span: Span| Span { from: 10f64.powf(span.from), to: 10f64.powf(span.to) };
        distance(own, other, by).map_err(|(own, anchor)| Refused::Apart {
            axis: Axis::Rate,
            own: rates(own),
            anchor: rates(anchor),
        })
    }
}

impl Curve {
    /// Its quality at a rate between the least and the greatest, by PCHIP over log rate; none beyond.
    pub fn quality_at(&self, rate: f64) -> Option<f64> {
        let (x, y, at) = (&self.log_rates, &self.qualities, rate.log10());
        let slopes = pchip_slopes(x, y);
        let i = (0..x.len() - 1).find(|&i| (x[i]..=x[i + 1]).contains(&at))?;
        let width = x[i + 1] - x[i];
        let (t, rise) = (at - x[i], (y[i + 1] - y[i]) / width);
        let c = (3.0 * rise - 2.0 * slopes[i] - slopes[i + 1]) / width;
        let b = (slopes[i] + slopes[i + 1] - 2.0 * rise) / (width * width);
        Some(y[i] + t * (slopes[i] + t * (c + t * b)))
    }
}

/// The mean of own − other over the range of x that both have, or the ranges.
fn distance(
    own: (&[f64], &[f64]),
    other: (&[f64], &[f64]),
    by: Interpolation,
) -> Result<Distance, (Span, Span)> {
    let span = |x: &[f64]| Span { from: x[0], to: x[x.len() - 1] };
    let (a, b) = (span(own.0), span(other.0));
    let (from, to) = (a.from.max(b.from), a.to.min(b.to));
    if from >= to {
        return Err((a, b));
    }
    let integral = |(x, y): (&[f64], &[f64])| match by {
        Interpolation::Cubic => cubic_integral(x, y, from, to),
        Interpolation::Pchip => pieces_integral(x, y, &pchip_slopes(x, y), from, to),
        Interpolation::Akima => pieces_integral(x, y, &akima_slopes(x, y), from, to),
    };
    let value = (integral(own) - integral(other)) / (to - from);
    Ok(Distance { value, overlap: (to - from) / (a.to.max(b.to) - a.from.min(b.from)) })
}

/// The integral of the least-squares polynomial of degree 3.
fn cubic_integral(x: &[f64], y: &[f64], from: f64, to: f64) -> f64 {
    // Centred and scaled, so that the normal equations are well conditioned.
    let middle = (x[0] + x[x.len() - 1]) / 2.0;
    let scale = (x[x.len() - 1] - x[0]) / 2.0;
    let t = |x: f64| (x - middle) / scale;
    let mut matrix = [[0.0; 5]; 4];
    for (&x, &y) in x.iter().zip(y) {
        let powers = [1.0, t(x), t(x).powi(2), t(x).powi(3)];
        for i in 0..4 {
            for j in 0..4 {
                matrix[i][j] += powers[i] * powers[j];
            }
            matrix[i][4] += powers[i] * y;
        }
    }
    let coefficients = solved(matrix);
    let primitive = |x: f64| {
        let t = t(x);
        (0..4).map(|i| coefficients[i] * t.powi(i as i32 + 1) / (i as f64 + 1.0)).sum::<f64>() * scale
    };
    primitive(to) - primitive(from)
}

/// Gaussian elimination with row pivots.
fn solved(mut rows: [[f64; 5]; 4]) -> [f64; 4] {
    for i in 0..4 {
        let best = (i..4).max_by(|&a, &b| rows[a][i].abs().total_cmp(&rows[b][i].abs())).unwrap_or(i);
        rows.swap(i, best);
        let pivot = rows[i];
        for (j, row) in rows.iter_mut().enumerate() {
            if j != i {
                let factor = row[i] / pivot[i];
                row.iter_mut().zip(pivot).for_each(|(v, p)| *v -= factor * p);
            }
        }
    }
    std::array::from_fn(|i| rows[i][4] / rows[i][i])
}

/// The integral of cubic Hermite pieces with these slopes at the points.
fn pieces_integral(x: &[f64], y: &[f64], slopes: &[f64], from: f64, to: f64) -> f64 {
    let mut sum = 0.0;
    for i in 0..x.len() - 1 {
        let (start, end) = (x[i].max(from), x[i + 1].min(to));
        if start >= end {
            continue;
        }
        let width = x[i + 1] - x[i];
        let rise = (y[i + 1] - y[i]) / width;
        // y = y₀ + d₀·t + c·t² + b·t³
        let c = (3.0 * rise - 2.0 * slopes[i] - slopes[i + 1]) / width;
        let b = (slopes[i] + slopes[i + 1] - 2.0 * rise) / (width * width);
        let primitive = |t: f64| t * (y[i] + t * (slopes[i] / 2.0 + t * (c / 3.0 + t * b / 4.0)));
        sum += primitive(end - x[i]) - primitive(start - x[i]);
    }
    sum
}

fn rises(x: &[f64], y: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let widths: Vec<f64> = x.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let rises = y.windows(2).zip(&widths).map(|(pair, width)| (pair[1] - pair[0]) / width).collect();
    (widths, rises)
}

/// Weighted harmonic means of the neighbours' rises; at the ends by three points, kept in shape.
fn pchip_slopes(x: &[f64], y: &[f64]) -> Vec<f64> {
    let (widths, rises) = rises(x, y);
    let n = x.len();
    let mut slopes = vec![0.0; n];
    for i in 1..n - 1 {
        let (before, after) = (rises[i - 1], rises[i]);
        if before * after > 0.0 {
            let (w1, w2) = (2.0 * widths[i] + widths[i - 1], widths[i] + 2.0 * widths[i - 1]);
            slopes[i] = (w1 + w2) / (w1 / before + w2 / after);
        }
    }
    let end = |w0: f64, w1: f64, r0: f64, r1: f64| {
        let slope = ((2.0 * w0 + w1) * r0 - w0 * r1) / (w0 + w1);
        if slope * r0 <= 0.0 {
            0.0
        } else if r0 * r1 <= 0.0 && slope.abs() > 3.0 * r0.abs() {
            3.0 * r0
        } else {
            slope
        }
    };
    slopes[0] = end(widths[0], widths[1], rises[0], rises[1]);
    slopes[n - 1] = end(widths[n - 2], widths[n - 3], rises[n - 2], rises[n - 3]);
    slopes
}

/// Means of the neighbours' rises, weighted by how much the rises beyond them change; two rises are added at each end.
fn akima_slopes(x: &[f64], y: &[f64]) -> Vec<f64> {
    let (_, inner) = rises(x, y);
    let k = inner.len();
    let mut all = vec![0.0; k + 4];
    all[2..k + 2].copy_from_slice(&inner);
    all[1] = 2.0 * all[2] - all[3];
    all[0] = 2.0 * all[1] - all[2];
    all[k + 2] = 2.0 * all[k + 1] - all[k];
    all[k + 3] = 2.0 * all[k + 2] - all[k + 1];
    let weights: Vec<(f64, f64)> =
        (0..x.len()).map(|i| ((all[i + 3] - all[i + 2]).abs(), (all[i + 1] - all[i]).abs())).collect();
    let greatest = weights.iter().fold(0.0, |m: f64, (a, b)| m.max(a + b));
    let slope = |(i, (a, b)): (usize, &(f64, f64))| {
        // Where the rises on both sides are equal, their plain mean.
        if a + b > 1e-9 * greatest {
            (a * all[i + 1] + b * all[i + 2]) / (a + b)
        } else {
            (all[i + 1] + all[i + 2]) / 2.0
        }
    };
    weights.iter().enumerate().map(slope).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kodak results of two models, as CompressAI publishes them.
    const HYPERPRIOR: [(f64, f64); 8] = [
        (0.1313, 27.58),
        (0.2089, 29.20),
        (0.3199, 30.97),
        (0.4784, 32.84),
        (0.6687, 34.53),
        (0.9388, 36.74),
        (1.2592, 38.58),
        (1.6602, 40.56),
    ];
    const MEAN_SCALE: [(f64, f64); 8] = [
        (0.1239, 27.70),
        (0.1980, 29.36),
        (0.3072, 31.13),
        (0.4606, 32.95),
        (0.6617, 34.97),
        (0.9144, 36.91),
        (1.2342, 38.84),
        (1.6191, 40.63),
    ];

    /// Values of SciPy 1.17.1 and NumPy 2.4.6, from `oracles/iscs-lic/bd_rate.py`.
    #[test]
    fn distances_are_those_of_scipy() {
        use Interpolation::{Akima, Cubic, Pchip};
        let cases = [
            (8, Cubic, -6.779251835310807, 0.3551556198550459),
            (8, Pchip, -6.845197877893439, 0.3607916688007639),
            (8, Akima, -6.832875395241922, 0.3604358920007363),
            (4, Cubic, -8.029477272558093, 0.33993022758326463),
            (4, Pchip, -8.045202275984476, 0.3394954731227103),
            (4, Akima, -8.041655169005358, 0.33953583677285476),
        ];
        for (n, by, rate, quality) in cases {
            let [own, anchor] =
                [&MEAN_SCALE, &HYPERPRIOR].map(|points| Curve::new(&points[..n]).expect("a curve"));
            let found = own.bd_rate(&anchor, by).expect("they overlap").value;
            assert!((found - rate).abs() < 1e-7, "BD-rate, {n} points, {by:?}: {found} for {rate}");
            let found = own.bd_psnr(&anchor, by).expect("they overlap").value;
            assert!((found - quality).abs() < 1e-9, "BD-PSNR, {n} points, {by:?}: {found} for {quality}");
        }
    }

    #[test]
    fn curves_that_say_nothing_are_refused() {
        let curve = |points: &[(f64, f64)]| Curve::new(points);
        assert_eq!(curve(&HYPERPRIOR[..3]), Err(Refused::Few(3)), "three points");
        let mut swapped = HYPERPRIOR;
        swapped[2].1 = 29.0;
        let refused = curve(&swapped);
        assert!(matches!(refused, Err(Refused::NotMonotone { .. })), "quality falls: {refused:?}");
        let mut nan = HYPERPRIOR;
        nan[5].1 = f64::NAN;
        assert_eq!(curve(&nan), Err(Refused::Value(5)), "a quality that is not finite");
        let low = curve(&HYPERPRIOR[..4]).expect("four points");
        let high = curve(&HYPERPRIOR[4..]).expect("four points");
        for by in Interpolation::ALL {
            let refused = high.bd_rate(&low, by);
            let is_apart =
                |axis: Axis| move |r: &Refused| matches!(r, Refused::Apart { axis: a, .. } if *a == axis);
            let refused = refused.expect_err("no quality in common");
            assert!(is_apart(Axis::Quality)(&refused), "no quality in common: {refused:?}");
            // A codec of the same qualities at a tenth of the rates has no rate in common.
            let tenth: Vec<(f64, f64)> = HYPERPRIOR[..4].iter().map(|(rate, q)| (rate / 10.0, *q)).collect();
            let tenth = curve(&tenth).expect("four points");
            let refused = tenth.bd_psnr(&low, by).expect_err("no rate in common");
            assert!(is_apart(Axis::Rate)(&refused), "no rate in common: {refused:?}");
            let words = refused.to_string();
            assert!(words.contains("rates that overlap, found 0.0131 to 0.0478 and 0.1313"), "{words}");
            let rate = tenth.bd_rate(&low, by).expect("the same qualities").value;
            assert!((rate + 90.0).abs() < 1e-9, "a tenth of the rate: {rate} %");
            // One of the same rates and 20 dB more has no quality in common.
            let better: Vec<(f64, f64)> = HYPERPRIOR[..4].iter().map(|(rate, q)| (*rate, q + 20.0)).collect();
            let better = curve(&better).expect("four points");
            let refused = better.bd_rate(&low, by).expect_err("no quality in common");
            assert!(is_apart(Axis::Quality)(&refused), "no quality in common: {refused:?}");
            let gain = better.bd_psnr(&low, by).expect("the same rates").value;
            assert!((gain - 20.0).abs() < 1e-9, "20 dB above: {gain}");
        }
    }

    #[test]
    fn a_curve_passes_through_its_points() {
        let curve = Curve::new(&MEAN_SCALE).expect("a curve");
        for (rate, quality) in MEAN_SCALE {
            let found = curve.quality_at(rate).expect("within the curve");
            assert!((found - quality).abs() < 1e-9, "{found} for {quality}");
        }
        let between = curve.quality_at(0.25).expect("within the curve");
        assert!((29.36..31.13).contains(&between), "{between} lies between its neighbours");
        assert_eq!(curve.quality_at(0.1), None, "nothing is said beyond the points");
    }

    #[test]
    fn the_order_of_points_does_not_matter() {
        let mut turned = MEAN_SCALE;
        turned.reverse();
        let [a, b] = [&MEAN_SCALE, &turned].map(|points| Curve::new(points).expect("a curve"));
        assert_eq!(a, b, "points are sorted by rate");
    }
}
