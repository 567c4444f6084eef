//! The argument `--lang` of `atoll new`.

use crate::project::Language;
use clap::ValueEnum;

/// The language of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum LanguageArg {
    /// Rust, by cargo
    #[default]
    Rust,
    /// JavaScript on QuickJS, by npm
    #[value(alias = "javascript")]
    Js,
    /// TypeScript on QuickJS, by npm
    #[value(alias = "typescript")]
    Ts,
    /// Python, by pip
    Python,
    /// C, by Zig's C compiler, which pip installs
    C,
    /// Zig, by pip
    Zig,
    /// Go, by pip
    Go,
}

impl From<LanguageArg> for Language {
    fn from(language: LanguageArg) -> Self {
        match language {
            LanguageArg::Rust => Self::Rust,
            LanguageArg::Js => Self::JavaScript,
            LanguageArg::Ts => Self::TypeScript,
            LanguageArg::Python => Self::Python,
            LanguageArg::C => Self::C,
            LanguageArg::Zig => Self::Zig,
            LanguageArg::Go => Self::Go,
        }
    }
}
