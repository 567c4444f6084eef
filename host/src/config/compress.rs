//! `compress` of `[[route]]`: the codings of answers.

use super::reader::key::ManifestKey;
use super::reader::kind::{KindError, ListKind, ValueKind, refused};
use super::reader::section::Section;
use crate::coding::ContentCoding;
use crate::gateway::AnswerCompression;
use std::sync::Arc;
use toml::Spanned;
use toml::de::DeValue;

static COMPRESS: ManifestKey<CodingsKind> = ManifestKey::new(
    "compress",
    CodingsKind,
    "false",
    "Whether answers are compressed for clients that say they take it; or by which codings, of which the first is \
     taken that the client likes best: `[\"zstd\", \"br\", \"gzip\"]` is what `true` means.",
);
/// What `true` means: Zstandard compresses as well as Brotli at the levels that are fast enough, in half the time.
const USUAL: [ContentCoding; 3] = [ContentCoding::Zstd, ContentCoding::Brotli, ContentCoding::Gzip];

/// `true`, `false`, or a list of codings.
struct CodingsKind;

/// A list of codings.
const CODING_LIST: ListKind<CodingKind> = ListKind { of: CodingKind, max: 3 };

impl ValueKind for CodingsKind {
    type Value = Vec<ContentCoding>;

    fn accepts(&self) -> String {
        "true, false, or a list of \"br\", \"zstd\" and \"gzip\"".into()
    }

    fn help(&self) -> String {
        "write true, or the codings in square brackets: [\"br\", \"gzip\"]".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<ContentCoding>, Vec<KindError>> {
        match value.get_ref() {
            DeValue::Boolean(true) => Ok(USUAL.to_vec()),
            DeValue::Boolean(false) => Ok(Vec::new()),
            DeValue::Array(_) => Ok(CODING_LIST.read(value)?.into_iter().map(Spanned::into_inner).collect()),
            _ => Err(refused(self, value)),
        }
    }
}

/// The name of a coding.
struct CodingKind;

impl ValueKind for CodingKind {
    type Value = ContentCoding;

    fn accepts(&self) -> String {
        "\"br\" or \"zstd\" or \"gzip\"".into()
    }

    fn help(&self) -> String {
        format!("write {}", self.accepts())
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<ContentCoding, Vec<KindError>> {
        let known = |text| ContentCoding::ALL.into_iter().find(|coding| coding.as_str() == text);
        value.get_ref().as_str().and_then(known).ok_or_else(|| refused(self, value))
    }
}

/// How the route's answers are compressed; `None`: not at all.
pub(super) fn read(section: &mut Section<'_>) -> Option<Arc<AnswerCompression>> {
    let codings = section.get(&COMPRESS);
    (!codings.is_empty()).then(|| Arc::new(AnswerCompression::new(codings)))
}
