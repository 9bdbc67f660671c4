//! `Table`: rows under titles, in the columns of the terminal.

use std::io;

use super::{Cell, Fields, Out};

/// Between two columns.
const GAP: usize = 2;
/// Narrower than this no column becomes: it would say nothing.
const WIDTH_MIN: usize = 8;

/// Rows with the same columns.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Without rows. The names of the columns are those of JSON; people see them in capitals.
    pub(crate) fn new(columns: &[&'static str]) -> Table {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// A row with a cell for each column.
    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        assert_eq!(row.len(), self.columns.len(), "a row has a cell for each column");
        self.rows.push(row);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints it: for programs an object a row. Without rows people see nothing, not even titles.
    pub(crate) fn print(&self, out: &mut Out) -> io::Result<()> {
        if out.is_json() {
            for row in &self.rows {
                let fields = self.columns.iter().copied().zip(row.iter().cloned());
                out.line(&Fields(fields.collect()).json())?;
            }
            return Ok(());
        }
        if self.is_empty() {
            return Ok(());
        }
        for line in self.lines(out.width()) {
            out.line(&line)?;
        }
        Ok(())
    }

    fn lines(&self, width: Option<usize>) -> Vec<String> {
        let titles = self.columns.iter().map(|name| name.to_uppercase().replace('_', " ")).collect();
        let mut rows: Vec<Vec<String>> = vec![titles];
        rows.extend(self.rows.iter().map(|row| row.iter().map(Cell::column_text).collect()));
        let mut widths: Vec<usize> = (0..self.columns.len())
            .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
            .collect();
        if let Some(width) = width {
            narrow(&mut widths, width);
        }
        let is_number =
            |column: usize| self.rows.iter().all(|row| matches!(row[column], Cell::Number(_) | Cell::None));
        let is_right: Vec<bool> = (0..widths.len()).map(is_number).collect();
        let line = |row: Vec<String>| {
            let cells = row.into_iter().zip(&widths).zip(&is_right).map(|((text, width), is_right)| {
                let text = cut(&text, *width);
                if *is_right { format!("{text:>width$}") } else { format!("{text:<width$}") }
            });
            cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned()
        };
        rows.into_iter().map(line).collect()
    }
}

/// Takes from the widest column until all fit, or none can give any more.
fn narrow(widths: &mut [usize], width: usize) {
    let mut excess = (widths.iter().sum::<usize>() + GAP * (widths.len() - 1)).saturating_sub(width);
    while excess > 0 {
        let widest = widths.iter_mut().max().expect("a table has columns");
        if *widest <= WIDTH_MIN {
            return;
        }
        *widest -= 1;
        excess -= 1;
    }
}

/// So many characters at most, the last of them a sign that there are more.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::Sink;

    fn table() -> Table {
        let mut table = Table::new(&["topic", "end_offset", "what"]);
        table.push(vec!["orders".into(), 7.into(), "a long sentence that goes on".into()]);
        table.push(vec!["x".into(), 1_000.into(), Cell::None]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them_and_numbers_stand_to_the_right() {
        let expected = [
            "TOPIC   END OFFSET  WHAT",
            "orders           7  a long sentence that goes on",
            "x             1000  -",
        ];
        assert_eq!(table().lines(None), expected);
        assert_eq!(table().lines(Some(48)), expected);
    }

    #[test]
    fn the_widest_column_gives_way_to_the_terminal() {
        let lines = table().lines(Some(40));
        assert_eq!(lines[1], "orders           7  a long sentence tha…");
        assert!(lines.iter().all(|line| line.chars().count() <= 40), "{lines:?}");
        // No narrower than it can be read.
        assert_eq!(table().lines(Some(5))[1], "orders         7  a long …");
    }

    #[test]
    fn programs_get_an_object_a_row() {
        let sink = Sink::default();
        table().print(&mut Out::to(sink.clone(), true, None)).unwrap();
        let expected = "{\"topic\":\"orders\",\"end_offset\":7,\"what\":\"a long sentence that goes on\"}\n\
                        {\"topic\":\"x\",\"end_offset\":1000,\"what\":null}\n";
        assert_eq!(sink.text(), expected);
    }
}
