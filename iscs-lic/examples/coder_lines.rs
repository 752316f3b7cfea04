//! The coder behind JSON lines, for comparisons from other languages: each line of stdin is a request, each line of stdout its answer.
//!
//! `{"rows": [[0, …, 65536], …], "offsets": […], "symbols": […], "which": […]}` → `{"stream": "hexadecimal"}`;
//! `{"matrices": [[…], …], "biases": …, "factors": …, "quantiles": […]}` → `{"rows": …, "offsets": …}`, the tables of a factorized prior.

use std::io::{BufRead, Write};

use iscs_lic::coder::{FactorizedPrior, Tables, encode};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(untagged)]
enum Request {
    Stream { rows: Vec<Vec<i32>>, offsets: Vec<i32>, symbols: Vec<i32>, which: Vec<u16> },
    Prior { matrices: Vec<Vec<f32>>, biases: Vec<Vec<f32>>, factors: Vec<Vec<f32>>, quantiles: Vec<f32> },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Stream { stream: String },
    Tables { rows: Vec<Vec<u32>>, offsets: Vec<i32> },
}

fn answer(request: Request) -> iscs_lic::Result<Answer> {
    match request {
        Request::Stream { rows, offsets, symbols, which } => {
            let width = rows.iter().map(Vec::len).max().unwrap_or(0);
            let lengths: Vec<i32> = rows.iter().map(|row| row.len() as i32).collect();
            let padded: Vec<i32> = rows
                .into_iter()
                .flat_map(|row| row.into_iter().chain([0].into_iter().cycle()).take(width))
                .collect();
            let tables = Tables::from_parts(&padded, width, &lengths, &offsets)?;
            let stream = encode(&symbols, &which, &tables)?;
            Ok(Answer::Stream { stream: stream.iter().map(|byte| format!("{byte:02x}")).collect() })
        }
        Request::Prior { matrices, biases, factors, quantiles } => {
            let [matrices, biases, factors] = [&matrices, &biases, &factors]
                .map(|tensors| tensors.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let tables =
                Tables::factorized(&FactorizedPrior::new(&matrices, &biases, &factors, &quantiles)?)?;
            let rows = (0..tables.n_rows()).map(|i| tables.row(i).to_vec()).collect();
            Ok(Answer::Tables { rows, offsets: (0..tables.n_rows()).map(|i| tables.offset(i)).collect() })
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        serde_json::to_writer(&mut out, &answer(serde_json::from_str(&line?)?)?)?;
        writeln!(out)?;
    }
    Ok(())
}
