//! Correlations of the rows of Burn tensors, on whatever device holds them, in the tensor's own float type.
//!
//! Two matrices of unit rows are multiplied on the device. Ranks are made on the host, whatever the device: few devices sort.

use burn::tensor::{Bool, DType, Tensor, TensorData};

use super::Measure;
use super::rank::ranks;
use crate::stats::norms::{Norm, norm_tensor};
use crate::{Error, Result};

/// Correlations of the rows of `x [n, d]` with those of `y [m, d]`, `[n, m]`, as [`correlation_between`] has them up to rounding;
/// for those among the rows of one tensor, `y` is its clone. A row that holds NaN or an infinity, which matrices are refused for, is
/// compared with none: its correlations are NaN, as those of a constant row.
///
/// Differentiable, ranks apart.
///
/// # Errors
/// [`Error::Shape`] where the numbers of columns differ or are 0, [`Error::TensorRead`] when the device fails to deliver.
///
/// [`correlation_between`]: super::correlation_between
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::correlation::{Measure, correlation_tensor};
/// let x = Tensor::<2>::from_floats([[1., 2., 4.], [-2., -4., -8.]], &Device::flex());
/// let r = correlation_tensor(x.clone(), x, Measure::Pearson)?; // [2, 2]
/// let r: Vec<f32> = r.try_into_vec_as().expect("values");
/// assert!((r[1] + 1.0).abs() < 1e-6);
/// # }
/// # Ok::<(), grouping_core::Error>(())
/// ```
pub fn correlation_tensor(x: Tensor<2>, y: Tensor<2>, measure: Measure) -> Result<Tensor<2>> {
    let ([n, d], [m, d_y]) = (x.dims(), y.dims());
    if d == 0 || d_y != d {
        let (what, expected) = ("second tensor".into(), vec![m, d.max(1)]);
        return Err(Error::Shape { what, expected, found: vec![m, d_y] });
    }
    let dtype = x.dtype();
    let ((x, x_lacks), (y, y_lacks)) = (unit_rows(x, measure)?, unit_rows(y, measure)?);
    let lacking = x_lacks.expand([n, m]).bool_or(y_lacks.transpose().expand([n, m]));
    let r = x.matmul(y.transpose()).clamp(-1.0, 1.0).mask_fill(lacking, f32::NAN);
    Ok(r.cast(dtype))
}

/// Rows of unit length as `measure` compares them, and which have no direction, `[n, 1]`.
fn unit_rows(x: Tensor<2>, measure: Measure) -> Result<(Tensor<2>, Tensor<2, Bool>)> {
    let (device, [n, d]) = (x.device(), x.dims());
    // Zeros have no direction by any measure.
    let x = x.clone().mask_fill(x.is_finite().all_dim(1).bool_not().expand([n, d]), 0.0);
    let x = match measure {
        Measure::Spearman => {
            let values =
                x.try_into_vec_as::<f32>().map_err(|e| Error::TensorRead { cause: e.to_string() })?;
            Tensor::from_data(TensorData::new(ranks(&values, d), [n, d]), (&device, DType::F32))
        }
        Measure::Pearson | Measure::Cosine => x,
    };
    let lacks = match measure {
        Measure::Cosine => x.clone().abs().max_dim(1).equal_elem(0.0),
        Measure::Pearson | Measure::Spearman => x.clone().max_dim(1).equal(x.clone().min_dim(1)),
    };
    let x = match measure {
        Measure::Cosine => x,
        // Twice: the first mean is rounded to the magnitude of the values.
        Measure::Pearson | Measure::Spearman => (0..2).fold(x, |x, _| x.clone() - x.mean_dim(1)),
    };
    let lengths = norm_tensor(x.clone(), &[1], Norm::L2)?.mask_fill(lacks.clone(), 1.0);
    Ok((x / lengths, lacks))
}
