//! Tables of plain columns, without rules.

use comfy_table::{Row, presets};

pub use comfy_table::{CellAlignment, Table};

/// An empty table under a header.
///
/// ```
/// use grouping_core::command::table;
///
/// let mut table = table(["layer", "heads"]);
/// table.add_row(["0", "4"]);
/// assert_eq!(table.to_string(), " layer  heads \n 0      4     ");
/// ```
pub fn table(header: impl Into<Row>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}
