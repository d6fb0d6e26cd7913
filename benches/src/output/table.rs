//! Plain tables for a terminal.

use std::fmt;

/// On which side a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table with a title, a head and rows of cells.
#[derive(Clone, Debug)]
pub struct Table {
    title: String,
    head: Vec<String>,
    align: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(title: impl Into<String>, columns: &[(&str, Align)]) -> Self {
        Self {
            title: title.into(),
            head: columns.iter().map(|column| column.0.to_string()).collect(),
            align: columns.iter().map(|column| column.1).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; cells that are missing at its end are empty.
    pub fn push(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as Markdown, without its title.
    #[must_use]
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
        let rules = self.align.iter().map(|align| match align {
            Align::Left => "---",
            Align::Right => "---:",
        });
        let mut text = line(self.head.iter().map(String::as_str).collect());
        text += &line(rules.collect());
        for row in &self.rows {
            let cells = 0..self.head.len();
            text += &line(
                cells
                    .map(|at| row.get(at).map_or("", String::as_str))
                    .collect(),
            );
        }
        text
    }

    /// The title.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let widths = cells
                .chain(self.head.get(column))
                .map(|cell| cell.chars().count());
            widths.max().unwrap_or(0)
        };
        (0..self.head.len()).map(width).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let line = |cells: &[String]| {
            let mut line = String::new();
            for (column, width) in widths.iter().enumerate() {
                let cell = cells.get(column).map_or("", String::as_str);
                let gap = " ".repeat(width - cell.chars().count());
                match self.align[column] {
                    Align::Left => line += &format!("{cell}{gap}  "),
                    Align::Right => line += &format!("{gap}{cell}  "),
                }
            }
            line.trim_end().to_string()
        };
        let rule = "─".repeat(widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1));
        writeln!(f, "{}\n{rule}\n{}\n{rule}", self.title, line(&self.head))?;
        for row in &self.rows {
            writeln!(f, "{}", line(row))?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_their_cells_hold() {
        let mut table = Table::new("Times", &[("case", Align::Left), ("hvp", Align::Right)]);
        assert!(table.is_empty());
        table.push(vec!["64-1-10".into(), "7.00 µs".into()]);
        table.push(vec!["b".into(), "12.5 ms".into()]);
        table.push(vec!["c".into()]);
        let expected = "\
Times
────────────────
case         hvp
────────────────
64-1-10  7.00 µs
b        12.5 ms
c

";
        assert_eq!(table.to_string(), expected);
        let expected = "\
| case | hvp |
| --- | ---: |
| 64-1-10 | 7.00 µs |
| b | 12.5 ms |
| c |  |
";
        assert_eq!(table.markdown(), expected);
    }
}
