//! What is wrong with a configuration, where it stands, and what to write instead; all of it at once.

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use std::fmt;
use std::ops::Range;

/// A value and the bytes of the file where it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    pub value: T,
    pub span: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// `serve` refuses to start.
    Error,
    /// `serve` says it and starts.
    Warning,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub weight: Weight,
    pub span: Range<usize>,
    pub what: String,
    pub help: String,
}

/// Gathers mistakes while the file is read; reading goes on after each.
#[derive(Debug, Default)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub fn error(&mut self, span: &Range<usize>, what: impl Into<String>, help: impl Into<String>) {
        self.0.push(Mistake { weight: Weight::Error, span: span.clone(), what: what.into(), help: help.into() });
    }

    pub fn warn(&mut self, span: &Range<usize>, what: impl Into<String>, help: impl Into<String>) {
        self.0.push(Mistake { weight: Weight::Warning, span: span.clone(), what: what.into(), help: help.into() });
    }
}

/// Everything that was found in one file, in the order of its lines.
#[derive(Debug, Clone)]
pub struct Findings {
    pub file: String,
    pub text: String,
    pub mistakes: Vec<Mistake>,
}

/// How to show findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The line itself with the place underlined, in colour.
    Fancy,
    /// One line per mistake, and one for its help.
    Plain,
}

impl Findings {
    pub fn new(file: String, text: String, mistakes: Mistakes) -> Findings {
        let mut mistakes = mistakes.0;
        mistakes.sort_by_key(|m| (m.span.start, m.weight));
        Findings { file, text, mistakes }
    }

    pub fn count(&self, weight: Weight) -> usize {
        self.mistakes.iter().filter(|m| m.weight == weight).count()
    }

    /// `outlast.toml: 2 mistakes, 1 warning`
    pub fn headline(&self) -> String {
        let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        let words: Vec<String> = [(Weight::Error, "mistake"), (Weight::Warning, "warning")]
            .into_iter()
            .map(|(weight, word)| (self.count(weight), word))
            .filter(|(n, _)| *n > 0)
            .map(|(n, word)| plural(n, word))
            .collect();
        format!("{}: {}", self.file, if words.is_empty() { "no mistakes".into() } else { words.join(", ") })
    }

    /// Line of a byte of the text, counted from 1.
    pub fn line_of(&self, at: usize) -> usize {
        self.text.as_bytes()[..at.min(self.text.len())].iter().filter(|b| **b == b'\n').count() + 1
    }

    pub fn render(&self, look: Look) -> String {
        let mut out = self.headline();
        out.push('\n');
        for mistake in &self.mistakes {
            match look {
                Look::Plain => out.push_str(&self.plain(mistake)),
                Look::Fancy => out.push_str(&self.fancy(mistake)),
            }
        }
        out
    }

    fn plain(&self, mistake: &Mistake) -> String {
        let word = match mistake.weight {
            Weight::Error => "error",
            Weight::Warning => "warning",
        };
        let line = self.line_of(mistake.span.start);
        format!("{}:{line}: {word}: {}\n    {}\n", self.file, mistake.what, mistake.help)
    }

    fn fancy(&self, mistake: &Mistake) -> String {
        let shown = Shown { mistake, source: NamedSource::new(&self.file, self.text.clone()) };
        let mut out = String::new();
        match GraphicalReportHandler::new_themed(GraphicalTheme::unicode()).render_report(&mut out, &shown) {
            Ok(()) => out,
            Err(_) => self.plain(mistake),
        }
    }
}

/// One mistake as miette wants to see it.
#[derive(Debug)]
struct Shown<'m> {
    mistake: &'m Mistake,
    source: NamedSource<String>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mistake.what)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.mistake.weight {
            Weight::Error => miette::Severity::Error,
            Weight::Warning => miette::Severity::Warning,
        })
    }

    fn help(&self) -> Option<Box<dyn fmt::Display + '_>> {
        Some(Box::new(&self.mistake.help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.mistake.span.clone();
        Some(Box::new(std::iter::once(LabeledSpan::underline(span))))
    }
}
