//! A graph as text.

use std::fmt;

use super::Graph;

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for id in self.ids() {
            let node = self.node(id);
            write!(
                f,
                "%{} {} = {}",
                id.index(),
                node.shape,
                node.op.def().name()
            )?;
            for input in node.inputs {
                write!(f, " %{}", input.index())?;
            }
            match &node.op.attr {
                crate::ops::Attr::None => {}
                crate::ops::Attr::Float(bits) => write!(f, " {}", f64::from_bits(*bits))?,
                crate::ops::Attr::Ints(ints) => write!(f, " {:?}", ints.as_slice())?,
            }
            if let Some(site) = self.site(id) {
                write!(f, "  # line {}", site.line())?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
