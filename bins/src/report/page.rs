//! A page that is put together block by block, from top to bottom.

use super::escape::Escaped;
use super::picture::Figure;
use super::plot::Plot;
use crate::command::VERSION;
use crate::failure::Failure;
use crate::publish;
use crate::table::{Align, Table};
use std::fmt::Write;
use std::path::Path;

const STYLE: &str = include_str!("style.css");

/// A report. Blocks appear in the order of the calls; all text is escaped here.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    title: String,
    body: String,
    headings: Vec<String>,
}

impl Page {
    /// An empty page.
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), body: String::new(), headings: Vec::new() }
    }

    /// Begins a section.
    pub(crate) fn section(mut self, heading: &str) -> Self {
        let number = self.headings.len();
        self.push(format_args!("<h2 id=\"s{number}\">{}</h2>\n", Escaped(heading)));
        self.headings.push(heading.to_owned());
        self
    }

    /// A paragraph of text.
    pub(crate) fn paragraph(mut self, text: &str) -> Self {
        self.push(format_args!("<p>{}</p>\n", Escaped(text)));
        self
    }

    /// Names and values beside each other.
    pub(crate) fn facts<'f>(mut self, facts: impl IntoIterator<Item = (&'f str, String)>) -> Self {
        self.push(format_args!("<dl>"));
        for (name, value) in facts {
            let (name, value) = (Escaped(name), Escaped(&value));
            self.push(format_args!("<div><dt>{name}</dt><dd>{value}</dd></div>"));
        }
        self.push(format_args!("</dl>\n"));
        self
    }

    /// Text in which line breaks and spaces count, such as a configuration or a command.
    pub(crate) fn code(mut self, text: &str) -> Self {
        self.push(format_args!("<pre><code>{}</code></pre>\n", Escaped(text)));
        self
    }

    /// A table.
    pub(crate) fn table(mut self, table: &Table) -> Self {
        let class = |align: &Align| match align {
            Align::Left => "",
            Align::Right => " class=\"number\"",
        };
        self.push(format_args!("<div class=\"wide\"><table><thead><tr>"));
        for (name, align) in table.columns() {
            self.push(format_args!("<th{}>{}</th>", class(align), Escaped(name)));
        }
        self.push(format_args!("</tr></thead><tbody>\n"));
        for row in table.rows() {
            self.push(format_args!("<tr>"));
            for (cell, (_, align)) in row.iter().zip(table.columns()) {
                self.push(format_args!("<td{}>{}</td>", class(align), Escaped(cell)));
            }
            self.push(format_args!("</tr>\n"));
        }
        self.push(format_args!("</tbody></table></div>\n"));
        self
    }

    /// Figures side by side, as many a row as fit.
    pub(crate) fn image_strip<'f>(mut self, figures: impl IntoIterator<Item = &'f Figure>) -> Self {
        self.push(format_args!("<div class=\"strip\">\n"));
        for figure in figures {
            self.push(format_args!("{figure}"));
        }
        self.push(format_args!("</div>\n"));
        self
    }

    /// Curves.
    pub(crate) fn plot(mut self, plot: &Plot) -> Self {
        self.push(format_args!("{}", plot.large()));
        self
    }

    /// Small plots side by side, as many a row as fit.
    pub(crate) fn plots<'p>(mut self, plots: impl IntoIterator<Item = &'p Plot>) -> Self {
        self.push(format_args!("<div class=\"plots\">\n"));
        for plot in plots {
            self.push(format_args!("{}", plot.small()));
        }
        self.push(format_args!("</div>\n"));
        self
    }

    /// The whole page.
    pub(crate) fn html(&self) -> String {
        let title = Escaped(&self.title);
        let mut links = String::new();
        if self.headings.len() > 3 {
            for (number, heading) in self.headings.iter().enumerate() {
                let heading = Escaped(heading);
                append(&mut links, format_args!("<a href=\"#s{number}\">{heading}</a> "));
            }
            links = format!("<nav>{}</nav>\n", links.trim_end());
        }
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1>{title}</h1>\n{links}{}<footer>vincie {}</footer>\n</main>\n</body>\n</html>\n",
            self.body,
            Escaped(&VERSION),
        )
    }

    /// Publishes the page as a file, which is replaced where it exists.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        publish::file(path, self.html().as_bytes())
    }

    fn push(&mut self, html: std::fmt::Arguments<'_>) {
        append(&mut self.body, html);
    }
}

fn append(text: &mut String, html: std::fmt::Arguments<'_>) {
    text.write_fmt(html).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_self_contained_and_escaped() {
        let mut table = Table::new([("<th>", Align::Left), ("n", Align::Right)]);
        table.row(["<td>&", "1"]);
        let html = Page::new("<title>")
            .section("<h2>")
            .paragraph("<p>\u{0}")
            .facts([("<dt>", "<dd>".to_owned())])
            .code("<code>")
            .table(&table)
            .image_strip(&[])
            .html();
        for text in ["<title>", "<h2>", "<p>", "<dt>", "<dd>", "<code>", "<th>"] {
            let escaped = text.replace('<', "&lt;").replace('>', "&gt;");
            assert!(html.contains(&escaped), "{text} is not in the page as text");
        }
        assert!(html.contains("<td class=\"number\">1</td>"), "{html}");
        for outside in ["http:", "https:", "src=\"/", "@import", "url("] {
            assert!(!html.contains(outside), "{outside} reaches outside the page");
        }
    }

    #[test]
    fn long_pages_have_links_to_their_sections() {
        let page = |sections: usize| {
            (0..sections).fold(Page::new("p"), |page, s| page.section(&format!("part {s}"))).html()
        };
        assert!(!page(3).contains("<nav>"));
        let html = page(4);
        assert!(
            html.contains("<a href=\"#s3\">part 3</a>") && html.contains("id=\"s3\""),
            "{html}"
        );
    }
}
