//! The training loop: exact resume, shards, the schedule and its events.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use grouping_core::Error;
use grouping_core::files::output::Existing;
use grouping_core::kernels::cross_entropy;
use grouping_core::nn::weights::{self, Layout};
use grouping_core::nn::{Decoder, DecoderConfig, Initializer, LowRank};
use grouping_core::train::{
    AdamWSettings, CheckpointPolicy, Event, JsonLines, Objective, Observer, Outcome, TrainConfig, Trainer,
    TrainingRun, WarmupCosine,
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

const VOCAB: usize = 11;
const SEQ: usize = 5;

/// The next token is the last plus the first, modulo the vocabulary.
struct Successor {
    n_examples: usize,
    device: Device,
}

struct Batch {
    tokens: Tensor<2, Int>,
    targets: Tensor<1, Int>,
}

impl Objective<Decoder> for Successor {
    type Batch = Batch;

    fn batches(&self, _step: usize, n_shards: usize, rng: &mut ChaCha8Rng) -> Vec<Batch> {
        let n = self.n_examples / n_shards;
        let mut shard = |_| {
            let (mut tokens, mut targets) = (Vec::<i32>::new(), Vec::<i32>::new());
            for _ in 0..n {
                let first = rng.random_range(0..VOCAB as i32);
                let row: Vec<i32> = (0..=SEQ as i32).map(|i| (first * (i + 1)) % VOCAB as i32).collect();
                tokens.extend(&row[..SEQ]);
                targets.extend(&row[1..]);
            }
            Batch {
                tokens: Tensor::from_data(TensorData::new(tokens, [n, SEQ]), &self.device),
                targets: Tensor::from_data(TensorData::new(targets, [n * SEQ]), &self.device),
            }
        };
        (0..n_shards).map(&mut shard).collect()
    }

    fn loss(&self, model: &Decoder, batch: &Batch) -> Tensor<1> {
        let logits = model.forward(batch.tokens.clone());
        let [n, seq, vocab] = logits.dims();
        cross_entropy(logits.reshape([n * seq, vocab]), batch.targets.clone())
    }
}

fn objective() -> Successor {
    Successor { n_examples: 16, device: Device::flex().autodiff() }
}

fn decoder() -> Decoder {
    let config = DecoderConfig::new(VOCAB, 16, 2, 2, 24).with_rope_theta(100.0);
    config.init(1, &Device::flex().autodiff())
}

fn config(n_steps: usize, n_threads: usize) -> TrainConfig {
    let schedule = WarmupCosine::new(1e-2, n_steps).with_n_warmup_steps(3).with_final_share(0.1);
    let adamw = AdamWSettings::new().with_beta_2(0.98).with_max_grad_norm(Some(1.0));
    TrainConfig::new(schedule, adamw).with_seed(5).with_n_threads(n_threads).with_n_steps_per_report(4)
}

fn bytes<M: Module>(module: &M) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("module.safetensors");
    weights::save(module, &path, Layout::Training, None).expect("the file can be written");
    std::fs::read(path).expect("the file was written")
}

fn silent(_: &Event) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn policy(dir: &Path, interval_secs: u64) -> CheckpointPolicy {
    let (dir, interval) = (dir.join("run"), Duration::from_secs(interval_secs));
    CheckpointPolicy { dir, interval, description: "successor".into() }
}

/// Stops at the first report after `n_steps`.
struct StopAfter {
    n_steps: usize,
    events: Vec<Event>,
}

impl Observer for StopAfter {
    fn on_event(&mut self, event: &Event) -> ControlFlow<()> {
        self.events.push(event.clone());
        match event {
            Event::Progress { done, .. } if *done >= self.n_steps => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

#[test]
fn a_resumed_run_ends_with_the_same_bytes() {
    for n_threads in [1, 2] {
        let mut straight = Trainer::new(decoder(), config(24, n_threads)).expect("threads start");
        let outcome = straight.run(&objective(), None, &mut silent).expect("training runs");
        assert_eq!(outcome, Outcome::Finished, "without checkpoints it runs to the end");

        let dir = tempfile::tempdir().expect("a temporary folder");
        let policy = policy(dir.path(), 0);
        let mut first = Trainer::new(decoder(), config(24, n_threads)).expect("threads start");
        let mut observer = StopAfter { n_steps: 12, events: Vec::new() };
        let outcome = first.run(&objective(), Some(&policy), &mut observer).expect("training runs");
        assert_eq!(outcome, Outcome::Stopped, "the observer stops it");
        assert_eq!(first.n_steps_done(), 12, "at the step it asked for");
        drop(first);
        let kept = std::fs::read_dir(&policy.dir).expect("checkpoints were written").count();
        assert_eq!(kept, 1, "older checkpoints are removed");

        // Another module, whose values must not matter.
        let other = DecoderConfig::new(VOCAB, 16, 2, 2, 24).with_rope_theta(100.0);
        let other = other.init(99, &Device::flex().autodiff());
        let mut second = Trainer::new(other, config(24, n_threads)).expect("threads start");
        let mut observer = StopAfter { n_steps: 1000, events: Vec::new() };
        let outcome = second.run(&objective(), Some(&policy), &mut observer).expect("training resumes");
        assert_eq!(outcome, Outcome::Finished, "the rest runs to the end");
        let resumed = matches!(observer.events.first(), Some(Event::Resumed { step: 12, .. }));
        assert!(resumed, "it starts at step 12: {:?}", observer.events.first());
        assert_eq!(bytes(straight.module()), bytes(second.module()), "{n_threads} threads: the same weights");
    }
}

#[test]
fn training_repeats_and_learns() {
    let run = || {
        let mut trainer = Trainer::new(decoder(), config(150, 2)).expect("threads start");
        let losses: Vec<f64> =
            (0..150).map(|_| trainer.step(&objective()).expect("the loss is finite")).collect();
        (losses, bytes(trainer.module()))
    };
    let (losses, weights) = run();
    assert!(losses[0] > 2.0, "it starts near ln {VOCAB}: {}", losses[0]);
    // The first token does not tell the second; the other four of five predictions are certain.
    let last = losses[losses.len() - 1];
    assert!(last < 1.0, "it learns the rule: {last}");
    let (losses_again, weights_again) = run();
    assert_eq!(losses, losses_again, "the same losses");
    assert_eq!(weights, weights_again, "the same weights");
}

/// The same examples in one shard or two.
struct Fixed(Successor);

impl Objective<Decoder> for Fixed {
    type Batch = Batch;

    fn batches(&self, step: usize, n_shards: usize, rng: &mut ChaCha8Rng) -> Vec<Batch> {
        let whole = self.0.batches(step, 1, rng).remove(0);
        let n = self.0.n_examples / n_shards;
        let part = |shard: usize| Batch {
            tokens: whole.tokens.clone().narrow(0, shard * n, n),
            targets: whole.targets.clone().narrow(0, shard * n * SEQ, n * SEQ),
        };
        (0..n_shards).map(part).collect()
    }

    fn loss(&self, model: &Decoder, batch: &Batch) -> Tensor<1> {
        self.0.loss(model, batch)
    }
}

#[test]
fn shards_give_the_gradient_of_the_whole_batch() {
    let after = |n_threads| {
        let mut trainer = Trainer::new(decoder(), config(50, n_threads)).expect("threads start");
        let loss = trainer.step(&Fixed(objective())).expect("the loss is finite");
        let decoder = trainer.into_module();
        let weight = decoder.model.layers[0].mlp.gate_proj.weight.val().inner();
        (loss, weight.into_data().try_into_vec::<f32>().expect("f32 values"))
    };
    let ((loss_1, one), (loss_4, four)) = (after(1), after(4));
    assert!((loss_1 - loss_4).abs() < 1e-6, "the same loss: {loss_1} and {loss_4}");
    // AdamW's first step is ±rate wherever |g| ≫ ε, so only entries of tiny gradient may differ.
    let differing = one.iter().zip(&four).filter(|(a, b)| (*a - *b).abs() > 1e-5).count();
    assert!(differing * 100 < one.len(), "{differing} of {} weights differ", one.len());
}

#[test]
fn a_checkpoint_of_another_run_is_refused_and_a_damaged_one_too() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let checkpoints = policy(dir.path(), 0);
    let start = |config: TrainConfig, policy: &CheckpointPolicy| {
        let mut trainer = Trainer::new(decoder(), config).expect("threads start");
        let mut observer = StopAfter { n_steps: 4, events: Vec::new() };
        trainer.run(&objective(), Some(policy), &mut observer)
    };
    start(config(24, 1), &checkpoints).expect("training runs");
    let differs = |error: Error, what: &str| {
        assert!(
            matches!(&error, Error::OtherRun { source } if source.to_string().contains(what)),
            "{error:?}"
        );
    };
    let error = start(config(24, 1).with_seed(6), &checkpoints).expect_err("another seed is another run");
    differs(error, "seed: 6");
    let other = CheckpointPolicy { description: "other data".into(), ..checkpoints.clone() };
    let error = start(config(24, 1), &other).expect_err("other data are another run");
    differs(error, "other data");

    let folder = checkpoints.dir.join("step-00000004");
    for file in ["parameters.safetensors", "moments.safetensors", "state.json"] {
        let path = folder.join(file);
        let whole = std::fs::read(&path).expect("the checkpoint is there");
        std::fs::write(&path, &whole[..whole.len() / 2]).expect("the checkpoint can be damaged");
        let error = start(config(24, 1), &checkpoints).expect_err("a damaged checkpoint is refused");
        assert!(matches!(&error, Error::FileField { path: found, .. } if *found == path), "{error:?}");
        std::fs::remove_file(&path).expect("the file can go");
        let error =
            start(config(24, 1), &checkpoints).expect_err("a checkpoint that lacks a file is refused");
        assert!(matches!(&error, Error::Io { path: found, .. } if *found == path), "{error:?}");
        std::fs::write(&path, whole).expect("the checkpoint can be mended");
    }
    let path = folder.join("state.json");
    let whole = std::fs::read_to_string(&path).expect("the state is there");
    std::fs::write(&path, whole.clone() + &" ".repeat(16 << 20)).expect("a long state");
    let error = start(config(24, 1), &checkpoints).expect_err("a state has a bounded size");
    assert!(error.to_string().contains("expected at most"), "{error}");
    std::fs::write(&path, whole).expect("the checkpoint can be mended");
    start(config(24, 1), &checkpoints).expect("mended, it resumes");
}

fn training_run(out: &Path, existing: Existing) -> TrainingRun {
    let (out, checkpoint_interval) = (out.to_owned(), Duration::ZERO);
    let (n_steps, batch_size, learning_rate, n_threads) = (12, 16, 1e-2, 2);
    TrainingRun { out, existing, n_steps, batch_size, learning_rate, n_threads, checkpoint_interval }
}

#[test]
fn a_training_run_checks_its_settings_before_it_starts() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let fits = training_run(&dir.path().join("out"), Existing::Refuse);
    fits.check().expect("settings that fit");
    for (name, wrong) in [
        ("n_threads", TrainingRun { n_threads: 0, ..fits.clone() }),
        ("batch_size", TrainingRun { batch_size: 15, ..fits.clone() }),
        ("batch_size", TrainingRun { batch_size: 0, ..fits.clone() }),
        ("learning_rate", TrainingRun { learning_rate: f64::NAN, ..fits.clone() }),
        ("learning_rate", TrainingRun { learning_rate: 0.0, ..fits.clone() }),
    ] {
        let error = wrong.check().expect_err("settings that do not fit");
        assert!(matches!(&error, Error::Setting { name: found, .. } if found == name), "{name}: {error}");
    }
    let taken = training_run(dir.path(), Existing::Refuse);
    assert_eq!(taken.check(), Err(Error::Exists { path: dir.path().into() }), "an output that is there");
    training_run(dir.path(), Existing::Replace).check().expect("one that is to be replaced");
}

#[test]
fn a_training_run_goes_on_from_its_checkpoints_and_removes_them() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let train = |out: &str, existing, n_steps_more: usize, description: &str| {
        let run = training_run(&dir.path().join(out), existing);
        let config = run.config(AdamWSettings::new(), 5, 3).with_n_steps_per_report(4);
        let mut observer = StopAfter { n_steps: n_steps_more, events: Vec::new() };
        let write = |decoder| {
            std::fs::write(&run.out, bytes(&decoder)).expect("the output can be written");
            Ok::<_, Error>(())
        };
        run.train(decoder(), config, &objective(), description.into(), &mut observer, write)
    };
    let read = |out: &str| std::fs::read(dir.path().join(out)).expect("an output");
    assert_eq!(train("whole", Existing::Refuse, 99, "a"), Ok(Outcome::Finished), "in one go");
    assert_eq!(train("parts", Existing::Refuse, 4, "a"), Ok(Outcome::Stopped), "stopped on the way");
    assert!(!dir.path().join("parts").exists() && dir.path().join("parts.partial").exists(), "checkpoints");
    let other = train("parts", Existing::Refuse, 99, "b").expect_err("checkpoints of another run");
    assert!(matches!(other, Error::OtherRun { .. }), "{other}");
    let parameters = dir.path().join("parts.partial/step-00000004/parameters.safetensors");
    let whole = std::fs::read(&parameters).expect("a checkpoint");
    std::fs::write(&parameters, &whole[..whole.len() / 2]).expect("the checkpoint can be damaged");
    let damaged = train("parts", Existing::Refuse, 99, "a").expect_err("a damaged checkpoint");
    assert!(matches!(damaged, Error::FileField { .. }), "of no other run: {damaged}");
    std::fs::write(&parameters, whole).expect("the checkpoint can be mended");
    assert_eq!(train("parts", Existing::Refuse, 99, "a"), Ok(Outcome::Finished), "goes on");
    assert_eq!(read("whole"), read("parts"), "the same bytes");
    assert!(!dir.path().join("parts.partial").exists(), "no checkpoints are left");
    assert_eq!(train("forced", Existing::Refuse, 4, "b"), Ok(Outcome::Stopped), "of another run");
    assert_eq!(train("forced", Existing::Replace, 99, "a"), Ok(Outcome::Finished), "from the start");
    assert_eq!(read("whole"), read("forced"), "nothing of the other run is in it");
}

#[test]
fn adapters_train_over_frozen_weights_that_stay() {
    let device = Device::flex().autodiff();
    let mut adapted = decoder().no_grad();
    let mut init = Initializer::new(3, &device);
    for (name, projection) in adapted.projections_mut() {
        if name.ends_with("q_proj") || name.ends_with("down_proj") {
            projection.low_rank = Some(LowRank::new(projection.dims(), 2, 2.0, &mut init));
        }
    }
    let before = bytes(&decoder());
    let mut trainer = Trainer::new(adapted, config(40, 2)).expect("threads start");
    let losses: Vec<f64> = (0..40).map(|_| trainer.step(&objective()).expect("the loss is finite")).collect();
    assert!(losses[39] < losses[0] - 0.1, "the adapters learn: {} to {}", losses[0], losses[39]);
    let mut adapted = trainer.into_module();
    for (_, projection) in adapted.projections_mut() {
        projection.low_rank = None;
    }
    let base = adapted.set_require_grad(true);
    assert_eq!(before, bytes(&base), "the frozen weights are untouched");
}

#[test]
fn a_loss_that_is_not_finite_is_an_error() {
    struct Infinite(Successor);
    impl Objective<Decoder> for Infinite {
        type Batch = Batch;
        fn batches(&self, step: usize, n_shards: usize, rng: &mut ChaCha8Rng) -> Vec<Batch> {
            self.0.batches(step, n_shards, rng)
        }
        fn loss(&self, model: &Decoder, batch: &Batch) -> Tensor<1> {
            self.0.loss(model, batch).mul_scalar(f32::INFINITY)
        }
    }
    let mut trainer = Trainer::new(decoder(), config(10, 1)).expect("threads start");
    let error = trainer.step(&Infinite(objective())).expect_err("an infinite loss is an error");
    assert!(error.to_string().contains("step 0 is inf"), "the step and the loss are named: {error}");
    assert_eq!(bytes(trainer.module()), bytes(&decoder()), "the module is as before");
}

#[test]
fn the_schedule_warms_up_and_decays() {
    let schedule = WarmupCosine::new(2.0, 110).with_n_warmup_steps(10).with_final_share(0.1);
    let rates: Vec<f64> = (0..=120).map(|step| schedule.learning_rate(step)).collect();
    assert_eq!(rates[0], 0.2, "the first step of ten");
    assert_eq!(rates[9], 2.0, "the peak at the end of warm-up");
    assert_eq!(rates[10], 2.0, "the cosine starts at the peak");
    assert!((rates[60] - 1.1).abs() < 1e-12, "half-way down: {}", rates[60]);
    assert!((rates[110] - 0.2).abs() < 1e-12, "the last share: {}", rates[110]);
    assert_eq!(rates[120], rates[110], "past the end");
    assert!(rates[10..111].windows(2).all(|pair| pair[1] <= pair[0]), "it never rises after warm-up");
    assert_eq!(WarmupCosine::new(1.0, 0).learning_rate(0), 1.0, "a run of no steps has no division by zero");
}

#[test]
fn lines_of_json_stop_the_run_when_nobody_reads_them() {
    #[derive(Debug)]
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut lines = JsonLines::new(Closed);
    let mut trainer = Trainer::new(decoder(), config(24, 1)).expect("threads start");
    let outcome = trainer.run(&objective(), None, &mut lines).expect("training runs");
    assert_eq!((outcome, trainer.n_steps_done()), (Outcome::Stopped, 4), "it stops at the first line");
    let error = lines.finish().expect_err("the error is kept");
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe, "and says what happened");

    let mut lines = JsonLines::new(Vec::new());
    let mut trainer = Trainer::new(decoder(), config(8, 1)).expect("threads start");
    trainer.run(&objective(), None, &mut lines).expect("training runs");
    let text = String::from_utf8(lines.finish().expect("a vector takes everything")).expect("text");
    let values: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert_eq!(values.len(), 4, "a loss and a progress line at steps 4 and 8: {text}");
    assert_eq!(values[2]["name"], "loss", "{text}");
    assert_eq!(values[2]["step"], 8, "{text}");
    assert_eq!(
        values[3],
        serde_json::json!({"event": "progress", "done": 8, "total": 8, "unit": "step"}),
        "{text}"
    );
}
