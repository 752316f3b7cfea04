//! Coded pictures and the files that hold them: CompressAI's `.cai`, and `.iscs`.

mod coded;

pub use coded::{Coded, CodedString, Mode, Pads, Role};
