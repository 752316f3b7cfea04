//! The learning rate as a function of the step: linear warm-up, then half a cosine (Loshchilov & Hutter 2017, Eq. 5).
//!
//! For step t of T with W steps of warm-up, peak η and last share ρ:
//! `η·(t+1)/W` for t < W, then `η·(ρ + (1−ρ)·½·(1 + cos(π·(t−W)/(T−W))))`.
//!
//! Deviation from Burn's schedulers, which count for themselves: nothing has to be saved to resume.

use burn::config::Config;

/// Warm-up and cosine decay.
///
/// ```
/// use grouping_core::train::WarmupCosine;
///
/// let schedule = WarmupCosine::new(1e-3, 100).with_n_warmup_steps(10).with_final_share(0.02);
/// assert_eq!(schedule.learning_rate(9), 1e-3);
/// assert!(schedule.learning_rate(99) < 1e-4);
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct WarmupCosine {
    /// The highest learning rate η.
    pub peak: f64,
    /// The number of steps T.
    pub n_steps: usize,
    /// The number of steps W of linear warm-up.
    #[config(default = 0)]
    pub n_warmup_steps: usize,
    /// The share ρ of the peak that the cosine ends at.
    #[config(default = 0.0)]
    pub final_share: f64,
}

impl WarmupCosine {
    /// The learning rate of step `step`, counted from zero; steps past the end get the last share.
    pub fn learning_rate(&self, step: usize) -> f64 {
        if step < self.n_warmup_steps {
            return self.peak * (step + 1) as f64 / self.n_warmup_steps as f64;
        }
        let n_decay_steps = self.n_steps.saturating_sub(self.n_warmup_steps).max(1);
        let progress = ((step - self.n_warmup_steps) as f64 / n_decay_steps as f64).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
        self.peak * (self.final_share + (1.0 - self.final_share) * cosine)
    }
}
