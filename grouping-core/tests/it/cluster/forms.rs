//! The same settings give the same partition in every form, alone or among many, with any number of threads.

use burn::tensor::{DType, Device, Tensor, TensorData};
use grouping_core::cluster::{Init, KMeansConfig, Metric};
use grouping_core::low_rank::{Gram, row_gram};
use grouping_core::matrix::Matrix;

use super::groups;

fn gram(points: &Matrix) -> Gram {
    row_gram(&[points.view()]).expect("finite points")
}

fn tensor(points: &Matrix, device: &Device) -> Tensor<2> {
    let shape = [points.n_rows(), points.n_cols()];
    Tensor::from_data(TensorData::new(points.values().to_vec(), shape), (device, DType::F32))
}

/// Compares direct, Gram and tensor form.
fn assert_forms_agree(config: &KMeansConfig, points: &Matrix, what: &str) {
    let direct = config.fit(points.view()).expect("direct form");
    let in_gram = config.fit_gram(&gram(points)).expect("Gram form");
    let on_device = config.fit_tensor(tensor(points, &Device::flex())).expect("tensor form");
    assert_eq!(direct.labels(), in_gram.labels(), "{what}: direct and Gram form");
    assert_eq!(direct.labels(), on_device.labels(), "{what}: direct and tensor form");
    let scale = direct.inertia().max(1e-3);
    assert!((direct.inertia() - in_gram.inertia()).abs() <= 1e-5 * scale, "{what}: inertia in Gram form");
    assert!((direct.inertia() - on_device.inertia()).abs() <= 1e-4 * scale, "{what}: inertia in tensor form");
    let labels: Vec<i64> = on_device.labels_tensor().try_into_vec_as().expect("labels from the device");
    assert!(
        labels.iter().zip(direct.labels()).all(|(&a, &b)| a as usize == b),
        "{what}: labels on the device"
    );
    let centroids: Vec<f32> =
        on_device.centroids().clone().try_into_vec_as().expect("centroids from the device");
    for (i, (c, d)) in centroids.iter().zip(direct.centroids().values()).enumerate() {
        assert!((c - d).abs() <= 1e-4 * d.abs().max(1.0), "{what}: centroid value {i}: {c} instead of {d}");
    }
}

#[test]
fn forms_agree_for_every_start_and_metric() {
    let separate = groups(120, 5, 6, 8.0, 1);
    let overlapping = groups(90, 3, 4, 1.0, 2);
    let long = groups(40, 700, 8, 0.3, 3);
    for (name, points) in [("separate", &separate), ("overlapping", &overlapping), ("long", &long)] {
        let k = 6;
        let starts = [
            Init::KMeansPlusPlus,
            Init::Random,
            Init::Points((0..k).map(|j| 3 * j).collect()),
            Init::Labels((0..points.n_rows()).map(|i| i % k).collect()),
        ];
        for init in starts {
            for metric in [Metric::Euclidean, Metric::Cosine] {
                for seed in [0, 9] {
                    let what = format!("{name}, {init:?}, {metric:?}, seed {seed}");
                    let config = KMeansConfig::new(k).with_init(init.clone()).with_metric(metric);
                    assert_forms_agree(&config.with_seed(seed).with_n_restarts(4), points, &what);
                }
            }
        }
    }
}

#[test]
fn blocks_of_centroids_and_points_join() {
    // More points and centroids than one block of either holds.
    let points = groups(1500, 3, 40, 30.0, 4);
    let config = KMeansConfig::new(300).with_n_restarts(1).with_seed(3);
    let direct = config.fit(points.view()).expect("direct form");
    let in_gram = config.fit_gram(&gram(&points)).expect("Gram form");
    assert_eq!(direct.labels(), in_gram.labels(), "blocked products and the Gram matrix");
}

#[test]
fn given_centroids_agree_between_direct_and_tensor_form() {
    let points = groups(80, 4, 3, 6.0, 5);
    let start = groups(3, 4, 3, 6.0, 6);
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let config = KMeansConfig::new(3).with_metric(metric);
        let direct = config.fit_from(points.view(), start.view()).expect("direct form");
        let on_device = tensor(&points, &Device::flex());
        let on_device = config.fit_tensor_from(on_device, start.view()).expect("tensor form");
        assert_eq!(direct.labels(), on_device.labels(), "{metric:?}");
    }
}

#[test]
fn tensor_form_drops_gradients_and_takes_other_float_types() {
    let points = groups(60, 4, 4, 8.0, 7);
    let config = KMeansConfig::new(4).with_seed(2);
    let direct = config.fit(points.view()).expect("direct form");
    let tracked = tensor(&points, &Device::flex().autodiff()).require_grad();
    let clusters = config.fit_tensor(tracked).expect("a tensor with gradients");
    assert_eq!(clusters.labels(), direct.labels(), "with gradients");
    let half = tensor(&points, &Device::flex()).cast(DType::F16);
    assert_eq!(config.fit_tensor(half).expect("a half tensor").labels(), direct.labels(), "in f16");
}

/// On another device than the CPU: the same partition, restarts and all.
#[cfg(feature = "wgpu")]
#[test]
fn wgpu_clusters_as_the_cpu_does() {
    let Some(gpu) = crate::device::adapter("wgpu_clusters_as_the_cpu_does") else { return };
    let points = groups(150, 6, 5, 8.0, 10);
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let config = KMeansConfig::new(5).with_metric(metric).with_n_restarts(3).with_seed(6);
        let direct = config.fit(points.view()).expect("direct form");
        let on_device = config.fit_tensor(tensor(&points, &gpu)).expect("tensor form");
        assert_eq!(on_device.labels(), direct.labels(), "{metric:?}");
        let error = (on_device.inertia() / direct.inertia() - 1.0).abs();
        assert!(error < 1e-4, "{metric:?}: inertia {} against {}", on_device.inertia(), direct.inertia());
    }
}

#[test]
fn many_problems_equal_the_problems_alone() {
    let problems: Vec<Matrix> = (0..12).map(|i| groups(30 + i, 4, 5, 2.0, i as u64)).collect();
    let grams: Vec<Gram> = problems.iter().map(gram).collect();
    let views: Vec<_> = problems.iter().map(Matrix::view).collect();
    let config = KMeansConfig::new(5).with_seed(u64::MAX - 3).with_n_restarts(3);
    let in_gram = config.fit_gram_many(&grams).expect("valid problems");
    let direct = config.fit_many(&views).expect("valid problems");
    assert_eq!((in_gram.len(), direct.len()), (12, 12), "one result a problem");
    for i in 0..12 {
        let alone = config.clone().with_seed((u64::MAX - 3).wrapping_add(i as u64));
        assert_eq!(in_gram[i], alone.fit_gram(&grams[i]).expect("a valid problem"), "Gram problem {i}");
        assert_eq!(direct[i], alone.fit(views[i]).expect("a valid problem"), "direct problem {i}");
    }
}

#[test]
fn threads_do_not_change_a_byte() {
    let points = groups(9000, 7, 12, 3.0, 8);
    let grams: Vec<Gram> = (0..9).map(|i| gram(&groups(40, 6, 5, 2.0, i))).collect();
    let config = KMeansConfig::new(12).with_n_restarts(2).with_seed(4);
    let fit = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("a pool");
        pool.install(|| {
            let direct = config.fit(points.view()).expect("a valid problem");
            let many = KMeansConfig::new(5).fit_gram_many(&grams).expect("valid problems");
            let bits: Vec<u32> = direct.centroids().values().iter().map(|c| c.to_bits()).collect();
            (direct.labels().to_vec(), bits, direct.inertia().to_bits(), many)
        })
    };
    let one = fit(1);
    for n_threads in [2, 3, 8] {
        assert!(fit(n_threads) == one, "{n_threads} threads differ from one");
    }
}

#[cfg(feature = "kmeans")]
#[test]
fn kmeans_crate_agrees_with_ours() {
    use grouping_core::cluster::adjusted_rand_index;
    use grouping_core::testing::assert_refused;
    for (n, d, k, spread) in [(200, 5, 6, 8.0), (300, 3, 4, 6.0), (56, 2000, 8, 1.0)] {
        let points = groups(n, d, k, spread, n as u64);
        for init in [Init::KMeansPlusPlus, Init::Random, Init::Points((0..k).collect())] {
            let config = KMeansConfig::new(k).with_init(init.clone()).with_seed(5);
            let ours = config.fit(points.view()).expect("our engine");
            let theirs = config.fit_by_kmeans_crate(points.view()).expect("the crate's engine");
            let what = format!("{n} × {d} into {k}, {init:?}");
            let agreement = adjusted_rand_index(ours.labels(), theirs.labels()).expect("equal lengths");
            assert!(agreement > 0.999, "{what}: adjusted Rand index {agreement}");
            let ratio = ours.inertia() / theirs.inertia();
            assert!((ratio - 1.0).abs() < 1e-5, "{what}: inertia {ratio} of the crate's");
        }
    }
    let points = groups(20, 3, 2, 8.0, 1);
    let cosine = KMeansConfig::new(2).with_metric(Metric::Cosine).fit_by_kmeans_crate(points.view());
    assert_refused(cosine, "metric: expected euclidean");
}
