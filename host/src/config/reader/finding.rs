//! What is wrong with a manifest, where, and how to correct it.

use super::masked_text;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use textwrap::{WordSeparator, WordSplitter};

/// A byte range of the manifest's text.
pub(crate) type Span = Range<usize>;

/// The manifest's text, and the file name that errors show.
pub(crate) struct ManifestText {
    pub(crate) name: String,
    pub(crate) text: String,
    /// Where a secret stands in the text, though it must not.
    secrets: Mutex<Vec<Span>>,
    /// The text as errors show it, once one does.
    masked: OnceLock<String>,
}

impl ManifestText {
    pub(crate) fn new(name: String, text: String) -> Self {
        Self { name, text, secrets: Mutex::default(), masked: OnceLock::new() }
    }

    /// No error shows what stands here.
    pub(crate) fn hide(&self, span: Span) {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).push(span);
    }
}

/// The name alone: the text has many lines and would hide the rest of a debug output.
impl fmt::Debug for ManifestText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ValueOrigin {
    /// Written in the manifest.
    Text(Span),
    /// Set by an environment variable.
    Variable(&'static str),
    /// Not written: the default. Of a finding: the file as a whole.
    Absent,
}

/// One thing that is wrong with the manifest: what, where, and how to correct it.
#[derive(Debug, Clone)]
pub struct Finding {
    message: String,
    help: String,
    origin: ValueOrigin,
    source: Arc<ManifestText>,
}

impl Finding {
    /// `message` says what is wrong, `help` how to correct it.
    pub(crate) fn new(
        source: Arc<ManifestText>,
        origin: ValueOrigin,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { message: message.into(), help: help.into(), origin, source }
    }

    /// What is wrong. If the value came from an environment variable, the message begins with the variable's name.
    pub fn message(&self) -> String {
        match self.origin {
            ValueOrigin::Variable(name) => format!("{name}: {}", self.message),
            ValueOrigin::Text(_) | ValueOrigin::Absent => self.message.clone(),
        }
    }

    /// How to correct it.
    pub fn help(&self) -> &str {
        &self.help
    }

    /// Line and column in the manifest, both from 1, the column in characters. `None` if the problem is not in its
    /// text.
    pub fn position(&self) -> Option<(usize, usize)> {
        let start = self.span()?.start;
        let before = self.source.text.get(..start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..)?.chars().count() + 1;
        Some((before.matches('\n').count() + 1, column))
    }

    /// The part of the text that is wrong.
    pub(super) fn span(&self) -> Option<Span> {
        match &self.origin {
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

/// The findings of one manifest, in the order of its text; never empty. Findings without a position come first.
#[derive(Debug, Clone)]
pub struct ManifestErrors {
    findings: Vec<Finding>,
    /// What they mean together, if that is not obvious.
    note: Option<&'static str>,
}

impl ManifestErrors {
    /// `None` if there are no findings.
    pub fn from_findings(mut findings: Vec<Finding>) -> Option<Self> {
        findings.sort_by_key(|finding| finding.span().map(|span| span.start));
        (!findings.is_empty()).then_some(Self { findings, note: None })
    }

    /// Every finding.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The same errors with a note below them.
    #[must_use]
    pub fn with_note(self, note: &'static str) -> Self {
        Self { note: Some(note), ..self }
    }
}

impl From<Finding> for ManifestErrors {
    fn from(finding: Finding) -> Self {
        Self { findings: vec![finding], note: None }
    }
}

/// One line for each finding, with its help. [`ManifestErrors::render`] shows the manifest's text as well.
impl fmt::Display for ManifestErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{finding} ({})", finding.help)?;
        }
        self.note.map_or(Ok(()), |note| write!(f, "\n{note}"))
    }
}

impl std::error::Error for ManifestErrors {}

/// How findings are rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenderStyle {
    /// For a terminal: colours and box-drawing characters.
    Terminal,
    /// For a file or a pipe: plain ASCII.
    Plain,
}

impl ManifestErrors {
    /// Every finding with file, line and column, the wrong text marked, and its help. The result ends with a newline.
    pub fn render(&self, style: RenderStyle) -> String {
        let theme = match style {
            RenderStyle::Terminal => miette::GraphicalTheme::unicode(),
            RenderStyle::Plain => miette::GraphicalTheme::none(),
        };
        let handler = miette::GraphicalReportHandler::new_themed(theme).with_width(WIDTH).with_links(false);
        // A line ends between two words and never within a name, so that a name can be copied whole.
        let handler = handler.with_break_words(false).with_word_separator(WordSeparator::AsciiSpace);
        let handler = handler.with_word_splitter(WordSplitter::NoHyphenation);
        let mut out = String::new();
        for finding in &self.findings {
            let rendered = handler.render_report(&mut out, &FindingDiagnostic(finding));
            // If the renderer cannot show the span, the message is printed without it.
            if rendered.is_err() {
                out.push_str(&format!("{finding}\n  help: {}\n", finding.help));
            }
            out.push('\n');
        }
        out.truncate(out.trim_end().len());
        if let Some(note) = self.note {
            out.push_str(&format!("\n\n{note}"));
        }
        out.push('\n');
        out
    }
}

/// The column at which help texts are wrapped.
const WIDTH: usize = 100;

/// A finding in the form that the renderer takes.
#[derive(Debug)]
struct FindingDiagnostic<'a>(&'a Finding);

impl fmt::Display for FindingDiagnostic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message())
    }
}

impl std::error::Error for FindingDiagnostic<'_> {}

impl miette::Diagnostic for FindingDiagnostic<'_> {
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
        // The renderer takes a part of the text itself, so the masked text is kept as long as it.
        let masked = self.masked.get_or_init(|| {
            let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
            masked_text::mask(&self.text, &secrets).into_owned()
        });
        let range = part.span().offset()..part.span().offset() + part.data().len();
        let data = masked.as_bytes().get(range).unwrap_or_default();
        let named = miette::MietteSpanContents::new_named(self.name.clone(), data, *part.span(), line, column, lines);
        Ok(Box::new(named))
    }
}
