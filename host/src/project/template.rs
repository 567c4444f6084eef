//! A new service: a folder with its contract, its code and its section of the manifest.

use super::language::{ContractCode, Language, ServiceFace, TemplateFile};
use crate::base::ServiceName;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

const CONTRACT: &str = include_str!("../../templates/wit/service.wit");
const EDITOR: &str = include_str!("../../templates/editorconfig");
const PAGE: &str = include_str!("../../templates/README.md");
const CONTRACT_PAGE: &str = include_str!("../../templates/contract/README.md");
const HTTP_PAGE: &str = include_str!("../../templates/http/README.md");
/// The crate for services in Rust, of the version of this host.
const GUEST: &str = concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"");
/// Where the crate stands in the checkout that this host was built from.
const GUEST_IN_CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../components/guest");

/// A service that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewService {
    /// Its files, in the order in which they were written.
    pub files: Vec<PathBuf>,
    /// Its sections for the manifest.
    pub manifest: String,
}

/// Words of WIT (its grammar, `wit-parser` 0.262), of the languages that have templates, and names that the templates
/// have themselves: none of them may be a name in all of these places.
const KEYWORDS: [&str; 108] = [
    "and",
    "as",
    "assert",
    "async",
    "await",
    "bool",
    "borrow",
    "break",
    "case",
    "catch",
    "char",
    "class",
    "const",
    "constructor",
    "continue",
    "crate",
    "def",
    "default",
    "del",
    "delete",
    "do",
    "dyn",
    "elif",
    "else",
    "enum",
    "err",
    "except",
    "export",
    "exports",
    "extends",
    "extern",
    "f32",
    "f64",
    "failed",
    "false",
    "finally",
    "flags",
    "fn",
    "for",
    "from",
    "func",
    "function",
    "future",
    "global",
    "go",
    "goto",
    "if",
    "impl",
    "import",
    "in",
    "include",
    "interface",
    "is",
    "lambda",
    "let",
    "list",
    "loop",
    "map",
    "match",
    "mod",
    "move",
    "mut",
    "new",
    "nonlocal",
    "not",
    "null",
    "option",
    "or",
    "own",
    "package",
    "pass",
    "pub",
    "raise",
    "record",
    "ref",
    "resource",
    "result",
    "return",
    "s32",
    "self",
    "service",
    "static",
    "stream",
    "string",
    "struct",
    "super",
    "switch",
    "this",
    "throw",
    "trait",
    "true",
    "try",
    "tuple",
    "type",
    "typeof",
    "u32",
    "u64",
    "union",
    "unsafe",
    "use",
    "var",
    "variant",
    "void",
    "where",
    "while",
    "with",
    "world",
    "yield",
];

/// Why no service was made.
#[derive(Debug, Error)]
pub enum TemplateError {
    /// WIT has stricter names than services.
    #[error(
        "`{0}` is no name in WIT: each part between dashes begins with a letter, as in `order-mailer`, and no part is \
         empty"
    )]
    Name(ServiceName),
    /// Contracts and languages have the word for themselves.
    #[error(
        "`{0}` is a word of WIT, of a language or of the new code, and names nothing there; add another, as in `my-{0}`"
    )]
    Keyword(ServiceName),
    /// Something of this name is there.
    #[error("{} exists; a new service wants a new folder", .0.display())]
    Exists(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Whether a service can have this name; asked before anything is read that it is written into.
///
/// # Errors
/// [`TemplateError::Keyword`], [`TemplateError::Name`].
pub fn check_name(name: &ServiceName) -> Result<(), TemplateError> {
    spelled(name).map(drop)
}

fn spelled(name: &ServiceName) -> Result<SpelledName, TemplateError> {
    if KEYWORDS.contains(&name.as_str()) {
        return Err(TemplateError::Keyword(name.clone()));
    }
    SpelledName::of(name).ok_or_else(|| TemplateError::Name(name.clone()))
}

/// Makes the service `name` in a folder of that name below `place`.
///
/// # Errors
/// [`TemplateError`]. The folder and what was written into it stay if a file cannot be written.
pub fn create(
    name: &ServiceName,
    language: Language,
    face: &ServiceFace,
    place: &Path,
) -> Result<NewService, TemplateError> {
    let names = spelled(name)?;
    let (about, code): (&[TemplateFile], _) = match face {
        ServiceFace::Typed => (&[("wit/{{name}}.wit", CONTRACT), ("README.md", PAGE)], language.files()),
        ServiceFace::Http => (&[("README.md", HTTP_PAGE)], language.http_files()),
        ServiceFace::Contract(contract) => (&[("README.md", CONTRACT_PAGE)], language.contract_files(contract.narrow)),
    };
    let folder = place.join(name.as_str());
    match fs::create_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(TemplateError::Exists(folder)),
        made => made.map_err(|source| TemplateError::Write { path: folder.clone(), source })?,
    }
    let manifest = sections(&names, language, face);
    let (indent_style, indent_size) = language.indent();
    let mut files = Vec::new();
    for (path, text) in about.iter().chain(&[(".editorconfig", EDITOR)]).chain(code) {
        let text = names.fill(text).replace("{{manifest}}", &manifest).replace("{{guest}}", &guest());
        let text = text.replace("{{indent_style}}", indent_style).replace("{{indent_size}}", indent_size);
        let text = if let ServiceFace::Contract(contract) = face { begun(&text, contract) } else { text };
        files.push(write(folder.join(names.fill(path)), text.as_bytes())?);
    }
    if let ServiceFace::Contract(contract) = face {
        for (path, bytes) in &contract.files {
            files.push(write(folder.join(path), bytes)?);
        }
    }
    Ok(NewService { files, manifest })
}

/// What the manifest of a Rust service says of the guest crate. On the machine that has the checkout of this host, that
/// crate is taken, so that both are always of one state.
fn guest() -> String {
    match Path::new(GUEST_IN_CHECKOUT).canonicalize() {
        Ok(path) => format!("{GUEST}, path = {:?}", path.display().to_string()),
        Err(_) => GUEST.to_owned(),
    }
}

/// The text of a template with the functions of the contract.
fn begun(text: &str, contract: &ContractCode) -> String {
    let numbers = if contract.narrow {
        "The engine is QuickJS: a number that does not fit\n// the contract's type is wrapped without an error, so \
         check ranges yourself."
    } else {
        "The engine is StarlingMonkey: a 64-bit integer is\n// a BigInt; a number that does not fit the contract's \
         type is wrapped without an error, so check ranges yourself."
    };
    text.replace("{{numbers}}", numbers).replace("{{code}}", contract.code.trim_end())
}

fn write(path: PathBuf, text: &[u8]) -> Result<PathBuf, TemplateError> {
    let folder = path.parent().expect("it is a file in the service's folder");
    let written = fs::create_dir_all(folder)
        .and_then(|()| OpenOptions::new().write(true).create_new(true).open(&path))
        .and_then(|mut file| file.write_all(text));
    match written {
        Ok(()) => Ok(path),
        Err(source) => Err(TemplateError::Write { path, source }),
    }
}

fn sections(names: &SpelledName, language: Language, face: &ServiceFace) -> String {
    let (build, settings) = (language.build(face), language.settings(face));
    let (contract, route) = match face {
        ServiceFace::Typed => {
            ("wit = \"{{name}}/wit\"\n", "path = \"/{{name}}/{person}\"\nmethod = \"GET\"\ncall = \"{{name}}/greet\"\n")
        }
        ServiceFace::Contract(_) => ("wit = \"{{name}}/wit\"\n", ""),
        ServiceFace::Http => ("", "prefix = \"/{{name}}\"\nstrip_prefix = \"/{{name}}\"\nservice = \"{{name}}\"\n"),
    };
    let route = if route.is_empty() { String::new() } else { format!("\n[[route]]\n{route}") };
    names.fill(&format!(
        "[service.{{{{name}}}}]\ncomponent = \"{{{{name}}}}/{{{{name}}}}.wasm\"\n{contract}build = \"{build}\"\n\
         {settings}{route}"
    ))
}

/// The name of a service as the languages spell it.
struct SpelledName {
    kebab: String,
    snake: String,
    camel: String,
    pascal: String,
}

impl SpelledName {
    /// `None` if WIT has no such name.
    fn of(name: &ServiceName) -> Option<Self> {
        let words: Vec<&str> = name.as_str().split('-').collect();
        if !words.iter().all(|word| word.starts_with(|first: char| first.is_ascii_lowercase())) {
            return None;
        }
        let pascal: String = words.iter().map(|word| capital(word)).collect();
        let camel = format!("{}{}", words[0], words[1..].iter().map(|word| capital(word)).collect::<String>());
        Some(Self { kebab: words.join("-"), snake: words.join("_"), camel, pascal })
    }

    fn fill(&self, text: &str) -> String {
        let Self { kebab, snake, camel, pascal } = self;
        let text = text.replace("{{name}}", kebab).replace("{{snake}}", snake);
        let text = text.replace("{{upper}}", &snake.to_ascii_uppercase());
        text.replace("{{camel}}", camel).replace("{{pascal}}", pascal)
    }
}

fn capital(word: &str) -> String {
    word[..1].to_ascii_uppercase() + &word[1..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Draft;

    const LANGUAGES: [Language; 7] = [
        Language::Rust,
        Language::JavaScript,
        Language::TypeScript,
        Language::Python,
        Language::C,
        Language::Zig,
        Language::Go,
    ];

    #[test]
    fn every_template_is_filled_and_its_sections_are_a_manifest() {
        let typed = LANGUAGES.map(|language| (language, ServiceFace::Typed));
        let http = LANGUAGES.map(|language| (language, ServiceFace::Http));
        let begun = |narrow| {
            let files = vec![
                (PathBuf::from("wit/order-mailer.wit"), b"package example:order-mailer;".to_vec()),
                (PathBuf::from("export_shop_stock_stock/service.go"), b"package export_shop_stock_stock".to_vec()),
            ];
            ServiceFace::Contract(ContractCode { files, code: "\nCODE\n".to_owned(), narrow })
        };
        let begun = LANGUAGES.into_iter().flat_map(|language| [(language, begun(true)), (language, begun(false))]);
        let faces = typed.into_iter().chain(http).chain(begun);
        for (language, face) in faces {
            let place = tempfile::tempdir().unwrap();
            let name = ServiceName::new("order-mailer").unwrap();
            let made = create(&name, language, &face, place.path()).unwrap();
            for file in &made.files {
                let text = fs::read_to_string(file).unwrap();
                // Go writes `{{F0: ` where a list begins.
                let mut inside = text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}"));
                let placeholder = inside.find(|(name, _)| name.bytes().all(|byte| byte.is_ascii_lowercase()));
                assert_eq!(placeholder, None, "{language:?} {face:?}: {} has a placeholder: {text}", file.display());
            }
            let manifest = place.path().join("atoll.toml");
            fs::write(&manifest, &made.manifest).unwrap();
            let draft = Draft::load(&manifest, &|_| None).unwrap();
            assert!(draft.findings().is_empty(), "{language:?} {face:?}: {:?}", draft.findings());
            // Not built yet, and the finding says how it is.
            assert_eq!(draft.absent().len(), 1, "{language:?}");
            let build = draft.manifest.services[0].build.as_ref().unwrap();
            assert_eq!(build.component, place.path().join("order-mailer/order-mailer.wasm"));
            assert_eq!(build.folder, place.path().join("order-mailer"));
        }
    }

    #[test]
    fn nothing_that_exists_is_touched_and_a_name_that_wit_has_not_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let name = ServiceName::new("mailer").unwrap();
        create(&name, Language::Rust, &ServiceFace::Typed, place.path()).unwrap();
        let again = create(&name, Language::Python, &ServiceFace::Typed, place.path());
        assert!(matches!(again, Err(TemplateError::Exists(_))), "{again:?}");
        assert!(!place.path().join("mailer/service.py").exists());
        for word in ["list", "fn", "class"] {
            let made = create(&ServiceName::new(word).unwrap(), Language::Rust, &ServiceFace::Typed, place.path());
            assert!(matches!(made, Err(TemplateError::Keyword(_))) && !place.path().join(word).exists(), "{made:?}");
        }
        let name = ServiceName::new("mailer-2").unwrap();
        assert!(matches!(
            create(&name, Language::Rust, &ServiceFace::Typed, place.path()),
            Err(TemplateError::Name(_))
        ));
        assert!(!place.path().join("mailer-2").exists());
    }
}
