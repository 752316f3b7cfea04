//! Settings and points that are refused, with what the error says.

use burn::tensor::{Device, Tensor};
use grouping_core::Error;
use grouping_core::cluster::{Init, KMeansConfig, Metric, adjusted_rand_index, inertia};
use grouping_core::low_rank::row_gram;
use grouping_core::matrix::{Matrix, MatrixRef};

fn square() -> Matrix {
    Matrix::new(4, 2, vec![0., 0., 0., 1., 1., 0., 1., 1.]).expect("four rows")
}

/// The error of all three forms, which must be one and the same.
fn refused(config: &KMeansConfig, points: &Matrix) -> Error {
    let direct = config.fit(points.view()).expect_err("the direct form refuses");
    let gram = config
        .fit_gram(&row_gram(&[points.view()]).expect("finite points"))
        .expect_err("the Gram form refuses");
    assert_eq!(direct.to_string(), gram.to_string().replace("Gram matrix", "points"), "Gram form");
    let values: Vec<f32> = points.values().to_vec();
    let tensor = Tensor::<1>::from_floats(values.as_slice(), &Device::flex());
    let tensor = tensor.reshape([points.n_rows(), points.n_cols()]);
    let tensor = config.fit_tensor(tensor).expect_err("the tensor form refuses");
    assert_eq!(direct, tensor, "tensor form");
    direct
}

#[test]
fn numbers_of_clusters_that_cannot_be() {
    for n_clusters in [0, 5, usize::MAX] {
        let error = refused(&KMeansConfig::new(n_clusters), &square());
        assert_eq!(error, Error::ClusterCount { n_clusters, n_points: 4 });
    }
    let none = KMeansConfig::new(1).fit(MatrixRef::new(0, 3, &[]).expect("no rows"));
    assert_eq!(none, Err(Error::ClusterCount { n_clusters: 1, n_points: 0 }), "no points");
}

#[test]
fn settings_name_what_is_wrong() {
    let two = || KMeansConfig::new(2);
    let labels = |l: [usize; 4]| two().with_init(Init::Labels(l.to_vec()));
    for (config, words) in [
        (two().with_n_restarts(0), "n_restarts"),
        (two().with_max_iters(0), "max_iters"),
        (two().with_tolerance(-1.0), "tolerance"),
        (two().with_tolerance(f64::NAN), "tolerance"),
        (two().with_init(Init::Points(vec![1])), "2 point indices, found 1"),
        (two().with_init(Init::Points(vec![1, 4])), "below 4, found 4"),
        (two().with_init(Init::Points(vec![1, 1])), "distinct point indices, found 1 twice"),
        (two().with_init(Init::Labels(vec![0, 1])), "4 labels, found 2"),
        (labels([0, 1, 2, 1]), "labels below 2, found 2"),
        (labels([1, 1, 1, 1]), "found none in cluster 0"),
    ] {
        let message = refused(&config, &square()).to_string();
        assert!(message.contains(words), "`{message}` should say `{words}`");
    }
}

#[test]
fn given_centroids_are_checked() {
    let matrix = |n, d, v: Vec<f32>| Matrix::new(n, d, v).expect("a matrix");
    let config = KMeansConfig::new(2);
    let on_tensor = |start: &Matrix| {
        let tensor = Tensor::<2>::from_floats([[0., 0.], [1., 1.]], &Device::flex());
        config.fit_tensor_from(tensor, start.view()).expect_err("the tensor form refuses")
    };
    let three_columns = matrix(2, 3, vec![0.0; 6]);
    let error = config.fit_from(square().view(), three_columns.view()).expect_err("three columns");
    let (expected, found) = (vec![2, 2], vec![2, 3]);
    assert_eq!(error, Error::Shape { what: "initial centroids".into(), expected, found });
    assert_eq!(on_tensor(&three_columns), error, "on a tensor");
    let infinite = matrix(2, 2, vec![0.0, f32::INFINITY, 0.0, 0.0]);
    let error = config.fit_from(square().view(), infinite.view()).expect_err("an infinite centroid");
    assert!(matches!(error, Error::NotFinite { index: 1, .. }), "{error}");
    assert_eq!(on_tensor(&infinite), error, "on a tensor");
}

#[test]
fn values_that_are_not_numbers() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut points = square();
        points.values_mut()[5] = bad;
        let config = KMeansConfig::new(2);
        let direct = config.fit(points.view());
        assert!(matches!(direct, Err(Error::NotFinite { index: 5, .. })), "{bad}: {direct:?}");
        let tensor = Tensor::<1>::from_floats(points.values(), &Device::flex()).reshape([4, 2]);
        let on_device = config.fit_tensor(tensor).map(|c| c.labels().to_vec());
        assert!(matches!(on_device, Err(Error::NotFinite { index: 5, .. })), "{bad}: {on_device:?}");
    }
}

#[test]
fn points_without_direction_or_columns() {
    let cosine = KMeansConfig::new(2).with_metric(Metric::Cosine);
    let error = refused(&cosine, &square());
    assert_eq!(error, Error::ZeroNorm { what: "points".into(), row: 0 });
    let empty = KMeansConfig::new(2).fit(MatrixRef::new(3, 0, &[]).expect("no columns"));
    assert!(matches!(empty, Err(Error::Shape { .. })), "no columns: {empty:?}");
}

#[test]
fn first_bad_problem_of_many_is_reported() {
    let (small, large) = (row_gram(&[square().view()]), Matrix::from_fn(7, 2, |i, j| (i * 2 + j) as f32));
    let problems = [row_gram(&[large.view()]), small.clone(), small].map(|g| g.expect("finite points"));
    let error = KMeansConfig::new(5).fit_gram_many(&problems).expect_err("four points are too few");
    assert_eq!(error, Error::ClusterCount { n_clusters: 5, n_points: 4 });
}

#[test]
fn scores_check_their_arguments() {
    assert!(matches!(adjusted_rand_index(&[0], &[0, 1]), Err(Error::Shape { .. })), "lengths differ");
    let points = square();
    let centroids = Matrix::zeros(1, 2);
    assert_eq!(inertia(points.view(), centroids.view(), &[0; 4]), Ok(4.0), "by hand");
    assert!(matches!(inertia(points.view(), centroids.view(), &[0; 3]), Err(Error::Shape { .. })), "labels");
    let message =
        inertia(points.view(), centroids.view(), &[0, 0, 0, 1]).expect_err("no such centroid").to_string();
    assert!(message.contains("labels below 1, found 1"), "{message}");
    let narrow = Matrix::zeros(1, 1);
    assert!(matches!(inertia(points.view(), narrow.view(), &[0; 4]), Err(Error::Shape { .. })), "columns");
}
