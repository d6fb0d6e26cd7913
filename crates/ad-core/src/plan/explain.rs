//! A plan as text: what runs, on how much data.

use std::fmt;

use super::{Instr, Plan, Step};

impl<T> fmt::Display for Plan<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, instr) in self.instrs.iter().enumerate() {
            write!(f, "{at:4}  ")?;
            match instr {
                Instr::Map { len, steps, .. } => {
                    write!(f, "map     {len} elements:")?;
                    for step in steps {
                        match step {
                            Step::Run { name, .. } => write!(f, " {name}")?,
                            Step::Gather { .. } => write!(f, " gather")?,
                        }
                    }
                    writeln!(f)?;
                }
                Instr::MatMul { shape: s, .. } => {
                    let how = if s.accumulate { "+=" } else { "=" };
                    let stack = if s.batch > 1 {
                        format!("{} × ", s.batch)
                    } else {
                        String::new()
                    };
                    writeln!(
                        f,
                        "matmul  C {how} {stack}[{}, {}]·[{}, {}]",
                        s.m, s.k, s.k, s.n
                    )?;
                }
                Instr::Reduce { job, .. } => writeln!(f, "reduce  {job}")?,
                Instr::Copy { job, .. } => writeln!(f, "copy    {} elements", job.len())?,
                Instr::Zero { job, .. } => writeln!(f, "zero    {} elements", job.len())?,
            }
        }
        writeln!(
            f,
            "      {} bytes of workspace, {} multiply-adds in products",
            self.workspace_bytes(),
            self.product_flops()
        )
    }
}
