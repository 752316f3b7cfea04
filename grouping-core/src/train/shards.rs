//! The gradient of one step, taken on several threads at once.
//!
//! The batch comes as shards of equal size; each is carried forward and backward by one thread in a pool of one, on leaves of its
//! own (`valid().train()`: shared leaves would make the threads wait for each other), and the gradients are summed in the
//! order of shards. So the result depends on the number of shards and on nothing else.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Error, Result};

/// The threads of a training run, one pool of one thread each.
#[derive(Debug)]
pub(super) struct Threads {
    pools: Vec<ThreadPool>,
}

impl Threads {
    pub(super) fn new(n_threads: usize) -> Result<Self> {
        let build = |_| ThreadPoolBuilder::new().num_threads(1).build();
        match (0..n_threads.max(1)).map(build).collect() {
            Ok(pools) => Ok(Self { pools }),
            Err(error) => Err(Error::Threads { n_threads, reason: error.to_string() }),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.pools.len()
    }

    /// The mean loss over `batches` (one a thread) and its gradient.
    pub(super) fn gradient<M, B>(
        &self,
        module: &M,
        batches: &[B],
        loss: &(impl Fn(&M, &B) -> Tensor<1> + Sync),
    ) -> (f64, GradientsParams)
    where
        M: Module + Sync,
        B: Sync,
    {
        assert_eq!(batches.len(), self.pools.len(), "one batch for each thread");
        let share = 1.0 / batches.len() as f64;
        let replicas: Vec<M> = (1..batches.len()).map(|_| module.valid().train()).collect();
        let run = |shard: usize| {
            let module = if shard == 0 { module } else { &replicas[shard - 1] };
            let loss = loss(module, &batches[shard]).mul_scalar(share);
            let value = f64::from(loss.clone().into_scalar::<f32>());
            (value, GradientsParams::from_grads(loss.backward(), module))
        };
        let mut results: Vec<Option<(f64, GradientsParams)>> = batches.iter().map(|_| None).collect();
        in_pools(&self.pools, 0, &mut results, &run);
        let mut total = 0.0;
        let mut sum = GradientsAccumulator::new();
        for (value, gradient) in results.into_iter().flatten() {
            total += value;
            sum.accumulate(module, gradient);
        }
        (total, sum.grads())
    }
}

/// Runs shard after shard, each in its own pool, and returns when all are done.
fn in_pools<T: Send>(
    pools: &[ThreadPool],
    shard: usize,
    results: &mut [Option<T>],
    run: &(impl Fn(usize) -> T + Sync),
) {
    let (Some((pool, pools)), Some((result, results))) = (pools.split_first(), results.split_first_mut())
    else {
        return;
    };
    pool.in_place_scope(|scope| {
        scope.spawn(|_| *result = Some(run(shard)));
        in_pools(pools, shard + 1, results, run);
    });
}
