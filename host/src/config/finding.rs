//! What is wrong with a manifest, where, and how to mend it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A byte range of the manifest's text.
pub(super) type Span = Range<usize>;

/// The manifest's text and the name that errors call it by.
pub(super) struct ManifestText {
    pub(super) name: String,
    pub(super) text: String,
}

/// The name alone: a text of many lines would drown what it is printed with.
impl fmt::Debug for ManifestText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ValueOrigin {
    /// Written in the manifest.
    Text(Span),
    /// Set by an environment variable.
    Variable(&'static str),
    /// Nowhere: the default, or the file as a whole.
    Absent,
}

/// One thing that is wrong with the manifest: what, where, and how to mend it.
#[derive(Debug, Clone)]
pub struct Finding {
    message: String,
    help: String,
    place: ValueOrigin,
    source: Arc<ManifestText>,
}

impl Finding {
    /// `message` says what is wrong, `help` how to mend it.
    pub(super) fn new(
        source: Arc<ManifestText>,
        place: ValueOrigin,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { message: message.into(), help: help.into(), place, source }
    }

    /// What is wrong; where an environment variable is at fault, it comes first.
    pub fn message(&self) -> String {
        match self.place {
            ValueOrigin::Variable(name) => format!("{name}: {}", self.message),
            ValueOrigin::Text(_) | ValueOrigin::Absent => self.message.clone(),
        }
    }

    /// How to mend it.
    pub fn help(&self) -> &str {
        &self.help
    }

    /// Line and column in the manifest, both from 1, the column in characters; `None` when the fault is not in its text.
    pub fn position(&self) -> Option<(usize, usize)> {
        let start = self.span()?.start;
        let before = self.source.text.get(..start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..)?.chars().count() + 1;
        Some((before.matches('\n').count() + 1, column))
    }

    /// The text that is at fault.
    pub(super) fn span(&self) -> Option<Span> {
        match &self.place {
            ValueOrigin::Text(span) => Some(span.clone()),
            ValueOrigin::Variable(_) | ValueOrigin::Absent => None,
        }
    }
}

/// One line: `atoll.toml:3:10: what is wrong`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position() {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.source.name, self.message()),
            None => f.write_str(&self.message()),
        }
    }
}

impl std::error::Error for Finding {}

/// The findings of one manifest, in the order of its text; never empty. What has no place in the text comes first.
#[derive(Debug, Clone)]
pub struct ManifestErrors(Vec<Finding>);

impl ManifestErrors {
    /// `None` when there is nothing to find fault with.
    pub fn from_findings(mut findings: Vec<Finding>) -> Option<Self> {
        findings.sort_by_key(|finding| finding.span().map(|span| span.start));
        (!findings.is_empty()).then_some(Self(findings))
    }

    /// Every finding.
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }
}

impl From<Finding> for ManifestErrors {
    fn from(finding: Finding) -> Self {
        Self(vec![finding])
    }
}

/// One line a finding, with its help; [`ManifestErrors::render`] shows the text as well.
impl fmt::Display for ManifestErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{finding} ({})", finding.help)?;
        }
        Ok(())
    }
}

impl std::error::Error for ManifestErrors {}

/// How findings are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// For a terminal: colours and box-drawing characters.
    Terminal,
    /// For a file or a pipe: plain ASCII.
    Plain,
}

impl ManifestErrors {
    /// Every finding with file, line and column, the text at fault marked, and its help; ends with a newline.
    pub fn render(&self, look: Look) -> String {
        let theme = match look {
            Look::Terminal => miette::GraphicalTheme::unicode(),
            Look::Plain => miette::GraphicalTheme::none(),
        };
        let handler = miette::GraphicalReportHandler::new_themed(theme).with_width(WIDTH).with_links(false);
        let mut out = String::new();
        for finding in &self.0 {
            let drawn = handler.render_report(&mut out, &Drawn(finding));
            // A span that the drawing cannot place must not cost the message.
            if drawn.is_err() {
                out.push_str(&format!("{finding}\n  help: {}\n", finding.help));
            }
            out.push('\n');
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
        out
    }
}

/// Where the lines of help are wrapped, in columns.
const WIDTH: usize = 100;

/// A finding as miette draws it.
#[derive(Debug)]
struct Drawn<'a>(&'a Finding);

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message())
    }
}

impl std::error::Error for Drawn<'_> {}

impl miette::Diagnostic for Drawn<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.0.help))
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(&*self.0.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        let span = self.0.span()?;
        Some(Box::new(std::iter::once(miette::LabeledSpan::new_primary_with_span(None, span))))
    }
}

impl miette::SourceCode for ManifestText {
    fn read_span<'a>(
        &'a self,
        span: &miette::SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, miette::MietteError> {
        let part = self.text.read_span(span, lines_before, lines_after)?;
        let (line, column, lines) = (part.line(), part.column(), part.line_count());
        let named =
            miette::MietteSpanContents::new_named(self.name.clone(), part.data(), *part.span(), line, column, lines);
        Ok(Box::new(named))
    }
}
