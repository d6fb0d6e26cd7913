//! A plan as text: what runs, on how much data.

use std::fmt;

use super::{Instr, Plan};

impl<T> fmt::Display for Instr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map { len, text, .. } => write!(f, "map     {len} elements:{text}"),
            Self::MatMul { shape: s, .. } => {
                let how = if s.accumulate { "+=" } else { "=" };
                let stack = if s.batch > 1 {
                    format!("{} × ", s.batch)
                } else {
                    String::new()
                };
                write!(
                    f,
                    "matmul  C {how} {stack}[{}, {}]·[{}, {}]",
                    s.m, s.k, s.k, s.n
                )
            }
            Self::Reduce { job, .. } => write!(f, "reduce  {job}"),
            Self::Indexed { job, .. } => write!(f, "indexed {} elements", job.len()),
            Self::Recurrence { job, .. } => write!(f, "recurrence {} elements", job.len()),
            Self::Rows { job, .. } => write!(f, "rows    {job}"),
            Self::Copy { job, .. } => write!(f, "copy    {} elements", job.len()),
            Self::Zero { job, .. } => write!(f, "zero    {} elements", job.len()),
        }
    }
}

impl<T> fmt::Display for Plan<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, instr) in self.instrs.iter().enumerate() {
            writeln!(f, "{at:4}  {instr}")?;
        }
        writeln!(
            f,
            "      {} bytes of workspace, {} multiply-adds in products",
            self.workspace_bytes(),
            self.product_flops()
        )
    }
}
