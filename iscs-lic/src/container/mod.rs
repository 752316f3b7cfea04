//! Coded pictures and the files that hold them: CompressAI's `.cai`, and `.iscs` (`docs/formats/iscs.md`).
//!
//! [`Coded::read`] tells the two apart and checks both; [`Coded::write_cai`] and [`Coded::to_iscs`] write them.
//! [`Read::summary`] describes a file without decoding it.

mod cai;
mod coded;
mod index_hash;
mod iscs;
mod limits;
mod read;
mod summary;

pub use cai::{CaiHeader, CaiModel, Metric};
pub use coded::{Coded, CodedString, Mode, Pads, Role};
pub use index_hash::{IndexHash, index_hash};
pub use iscs::MAGIC;
pub use limits::Limits;
pub use read::{Format, Integrity, Read};
pub use summary::{StringSummary, Summary};
