//! A new service: a folder with its contract, its code and its section of the manifest.

use super::language::Language;
use crate::base::ServiceName;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

const CONTRACT: &str = include_str!("../../templates/wit/service.wit");
const EDITOR: &str = include_str!("../../templates/editorconfig");
const PAGE: &str = include_str!("../../templates/README.md");
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

/// Why no service was made.
#[derive(Debug, Error)]
pub enum TemplateError {
    /// WIT has stricter names than services.
    #[error(
        "`{0}` is no name in WIT: each part between dashes begins with a letter, as in `order-mailer`, and no part is \
         empty"
    )]
    Name(ServiceName),
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

/// Makes the service `name` in a folder of that name below `place`.
///
/// # Errors
/// [`TemplateError`]. The folder and what was written into it stay if a file cannot be written.
pub fn create(name: &ServiceName, language: Language, place: &Path) -> Result<NewService, TemplateError> {
    let names = SpelledName::of(name).ok_or_else(|| TemplateError::Name(name.clone()))?;
    let folder = place.join(name.as_str());
    match fs::create_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(TemplateError::Exists(folder)),
        made => made.map_err(|source| TemplateError::Write { path: folder.clone(), source })?,
    }
    let manifest = sections(&names, language);
    let contract = [("wit/{{name}}.wit", CONTRACT), ("README.md", PAGE), (".editorconfig", EDITOR)];
    let (indent_style, indent_size) = language.indent();
    let mut files = Vec::new();
    for (path, text) in contract.iter().chain(language.files()) {
        let text = names.fill(text).replace("{{manifest}}", &manifest).replace("{{guest}}", &guest());
        let text = text.replace("{{indent_style}}", indent_style).replace("{{indent_size}}", indent_size);
        files.push(write(folder.join(names.fill(path)), &text)?);
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

fn write(path: PathBuf, text: &str) -> Result<PathBuf, TemplateError> {
    let folder = path.parent().expect("it is a file in the service's folder");
    let written = fs::create_dir_all(folder)
        .and_then(|()| OpenOptions::new().write(true).create_new(true).open(&path))
        .and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Ok(()) => Ok(path),
        Err(source) => Err(TemplateError::Write { path, source }),
    }
}

fn sections(names: &SpelledName, language: Language) -> String {
    let (build, settings) = (language.build(), language.settings());
    names.fill(&format!(
        "[service.{{{{name}}}}]\n\
         component = \"{{{{name}}}}/{{{{name}}}}.wasm\"\n\
         wit = \"{{{{name}}}}/wit\"\n\
         build = \"{build}\"\n\
         {settings}\n\
         [[route]]\n\
         path = \"/{{{{name}}}}/{{person}}\"\n\
         method = \"GET\"\n\
         call = \"{{{{name}}}}/greet\"\n"
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
        for language in LANGUAGES {
            let place = tempfile::tempdir().unwrap();
            let name = ServiceName::new("order-mailer").unwrap();
            let made = create(&name, language, place.path()).unwrap();
            for file in &made.files {
                let text = fs::read_to_string(file).unwrap();
                assert!(!text.contains("{{"), "{language:?}: {} has a placeholder: {text}", file.display());
            }
            let manifest = place.path().join("atoll.toml");
            fs::write(&manifest, &made.manifest).unwrap();
            let draft = Draft::load(&manifest, &|_| None).unwrap();
            assert!(draft.findings().is_empty(), "{language:?}: {:?}", draft.findings());
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
        create(&name, Language::Rust, place.path()).unwrap();
        let again = create(&name, Language::Python, place.path());
        assert!(matches!(again, Err(TemplateError::Exists(_))), "{again:?}");
        assert!(!place.path().join("mailer/service.py").exists());
        let name = ServiceName::new("mailer-2").unwrap();
        assert!(matches!(create(&name, Language::Rust, place.path()), Err(TemplateError::Name(_))));
        assert!(!place.path().join("mailer-2").exists());
    }
}
